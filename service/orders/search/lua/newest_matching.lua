-- The newest orders of a store without most of those that a search does not find, so that only the others are read.
-- Returns 1 where there are no more, else 0; then of each order its id, its time (ms), how many orders were looked at
-- since the one before it, and
--   1  it may match
--   0  it does not: it says how far the script has looked
--   2  the same, of an order that the index has, which is not to be counted
-- KEYS: orders         the store's orders to look at, by time (ms)
--       index          all its orders of the last days by time (ms)
-- ARGV: prefix         of the orders' keys
--       highest        the time from which on
--       lowest         the time to which
--       most           how many orders to look at
--       enough         how many that may match
--       skips_indexed  1 to leave out those that the index has, else 0
--       status         '' for any
--       customer_id    '' for any
--       aged           the age (s) of the order that Create is sent at, at the least; '' for any, also for none
--       po             a part of the PO number in lower case, as its JSON has it; '' for any
local STEP = 50
most, enough = tonumber(most), tonumber(enough)
local found = redis.call('ZREVRANGEBYSCORE', orders, highest, lowest, 'WITHSCORES', 'LIMIT', 0, most)
local rows, looked_at, matching = {#found < 2 * most and 1 or 0}, 0, 0

local function may_match(entry)
  if status ~= '' and redis.call('HGET', entry, 'status') ~= status then
    return false
  end
  if customer_id ~= '' and redis.call('HGET', entry, 'customer_id') ~= customer_id then
    return false
  end
  if aged ~= '' and (tonumber(redis.call('HGET', entry, 'create_age') or '') or -1) < tonumber(aged) then
    return false
  end
  if po == '' then
    return true
  end
  -- The JSON is ASCII. Where it has an escape, Lua does not know the lower case.
  local text = redis.call('HGET', entry, 'po_number') or ''
  return string.find(string.lower(text), po, 1, true) or string.find(text, '\\', 1, true)
end

for place = 1, #found, 2 do
  local id, kind = found[place], 0
  if skips_indexed == '1' and redis.call('ZSCORE', index, id) then
    kind = 2
  else
    looked_at = looked_at + 1
    if may_match(prefix .. id) then
      kind, matching = 1, matching + 1
    end
  end
  local is_last = place + 2 > #found
  if matching == enough and not is_last then
    rows[1], is_last = 0, true
  end
  if kind == 1 or is_last or (kind == 0 and looked_at == STEP) then
    for _, word in ipairs({id, found[place + 1], looked_at, kind}) do
      table.insert(rows, word)
    end
    looked_at = 0
  end
  if is_last then
    break
  end
end
return rows
