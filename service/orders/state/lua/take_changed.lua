-- Take the store's changed orders that are due, the first due first. Each is due again when its lease ends, unless it is
-- finished or changes before.
-- Returns order, what has changed and when (change:ms,...), end of the lease (ms), order, ...
-- KEYS: changed   the store's changed orders, by when to read them (ms)
--       changes   what has changed in each of them: when that was (ms), by order:change
-- ARGV: now_ms    '' for Redis's own time
--       lease_ms
--       prefix    of the keys of entries; the order's id follows
--       most      how many orders at most
--       names     of all changes
local time = redis.call('TIME')
local now = tonumber(now_ms) or time[1] * 1000 + math.floor(time[2] / 1000)
local taken = {}
for _, order_id in ipairs(redis.call('ZRANGEBYSCORE', changed, '-inf', now, 'LIMIT', 0, most)) do
  redis.call('ZADD', changed, now + lease_ms, order_id)
  local found, is_known = {}, redis.call('EXISTS', prefix .. order_id) == 1
  for _, name in ipairs(names) do
    local at = redis.call('HGET', changes, order_id .. ':' .. name)
    if at then
      found[#found + 1] = name .. ':' .. at
      if is_known then
        redis.call('HSET', prefix .. order_id, 'read_ms:' .. name, now)
      end
    end
  end
  taken[#taken + 1] = order_id
  taken[#taken + 1] = table.concat(found, ',')
  taken[#taken + 1] = string.format('%.0f', now + lease_ms)
end
return taken
