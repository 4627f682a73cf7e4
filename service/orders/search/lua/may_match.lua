-- Leave out most of the orders that a search does not find, so that only the others have to be read.
-- Returns the places, from 1, of those that may match.
-- ARGV: status       '' for any
--       customer_id  '' for any
--       po           a part of the PO number in lower case, as its JSON has it; '' for any
--       entries      the orders' keys
local places = {}
for place, entry in ipairs(entries) do
  local matches = (status == '' or redis.call('HGET', entry, 'status') == status)
    and (customer_id == '' or redis.call('HGET', entry, 'customer_id') == customer_id)
  if matches and po ~= '' then
    -- The JSON is ASCII. Where it has an escape, Lua does not know the lower case.
    local text = redis.call('HGET', entry, 'po_number') or ''
    matches = string.find(text, '\\', 1, true) or string.find(string.lower(text), po, 1, true)
  end
  if matches then
    table.insert(places, place)
  end
end
return places
