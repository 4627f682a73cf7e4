-- Note that an order has changed, and have it read again: now, or five seconds after it was last read for a change.
-- Returns
--   'marked'
--   'old'      the order is older than changes are followed
--   'read'     the order was read after this change
--   'unknown'  the order has no entry
--   'new'      the same, and its id is above all that the store's list has shown: its first webhook was lost
-- KEYS: entry
--       changed      the store's changed orders, by when to read them (ms)
--       changes      what has changed in each of them: when that was (ms), by order:change
--       cursor       the cursor into the store's list of orders: JSON
--       job          the store's job that reads them
--       queue        the job's queue
-- ARGV: now_ms       '' for Redis's own time
--       order_id
--       change       what has changed: metafield, order_updated, status, record ...
--       changed_ms   when, by BigCommerce's clock; '' for now
--       follow_ms    how old an order may be
--       pause_ms     the pause between two readings of an order
--       job_id
--       body         the job up to its enqueue time
--       alike        the changes for which the same is read
local time = redis.call('TIME')
local now = tonumber(now_ms) or time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HMGET', entry, 'status', 't:created', 't:queued', 't:read', 'skew')
if not known[1] then
  local kept = redis.call('GET', cursor)
  local highest = kept and cjson.decode(kept).highest_id
  return highest and tonumber(order_id) > highest and 'new' or 'unknown'
end
local created = tonumber(known[2] or known[3] or '')
if created and now - created * 1000 > tonumber(follow_ms) then
  return 'old'
end
-- BigCommerce's times have whole seconds, and its clock is known to about a second.
local last_read = 0
for _, name in ipairs(alike) do
  last_read = math.max(last_read, tonumber(redis.call('HGET', entry, 'read_ms:' .. name) or '') or 0)
end
local seen_until = math.max(last_read, (tonumber(known[4] or '') or 0) * 1000)
if change ~= 'record' and changed_ms ~= '' and seen_until > 0 then
  if seen_until + (tonumber(known[5] or '') or 0) * 1000 >= changed_ms + 2000 then
    return 'read'
  end
end

local due = math.max(now, last_read + pause_ms)
redis.call('ZADD', changed, due, order_id)
local name = order_id .. ':' .. change
local latest = math.max(tonumber(changed_ms) or now, tonumber(redis.call('HGET', changes, name) or '') or 0)
redis.call('HSET', changes, name, string.format('%.0f', latest))
redis.call('SET', job, body .. string.format('%.0f}', now), 'NX')
redis.call('ZADD', queue, 'LT', due, job_id)
return 'marked'
