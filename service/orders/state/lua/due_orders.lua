-- Orders of a store whose next step is due, the first due first.
-- KEYS: orders    the store's orders by when their next step is due
-- ARGV: now_ms    '' for Redis's own time
--       ahead_ms  how long before it is due a step may be taken
--       most      how many orders at most
local time = redis.call('TIME')
local now = tonumber(now_ms) or time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZRANGEBYSCORE', orders, '-inf', now + ahead_ms, 'LIMIT', 0, most)
