-- A changed order was read. It stays in the list if it has changed again meanwhile. Returns 1 when it is out of the list.
-- KEYS: changed   the store's changed orders, by when to read them (ms)
--       changes   what has changed in each of them: when that was (ms), by order:change
-- ARGV: now_ms    '' for Redis's own time
--       order_id
--       lease     the end of its lease (ms), which identifies the reading
--       again_ms  in how long it is to be read again; '' for not at all
--       names     of all changes
local due = redis.call('ZSCORE', changed, order_id)
if not due or tonumber(due) ~= tonumber(lease) then
  return 0
end
if again_ms ~= '' then
  local time = redis.call('TIME')
  local now = tonumber(now_ms) or time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('ZADD', changed, now + again_ms, order_id)
  return 0
end
redis.call('ZREM', changed, order_id)
for _, name in ipairs(names) do
  redis.call('HDEL', changes, order_id .. ':' .. name)
end
return 1
