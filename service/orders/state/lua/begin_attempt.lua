-- Begin an attempt at an order. From now on, writes of older attempts are refused as stale.
-- Returns whether the store's breaker is open (1 or 0), then the entry. A finished order is left as it is.
-- KEYS: entry
--       breaker  there while the store's credentials are refused
-- ARGV: now_ms   '' for Redis's own time
local time = redis.call('TIME')
local now = tonumber(now_ms) or time[1] * 1000 + math.floor(time[2] / 1000)
local status = redis.call('HGET', entry, 'status')
if not status then
  redis.call('HSET', entry, 'status', 'queued')
end
local is_unfinished = not status or status == 'queued' or status == 'waiting'
if is_unfinished then
  redis.call('HINCRBY', entry, 'attempts', 1)
  redis.call('HSETNX', entry, 't:picked_up', string.format('%.3f', now / 1000))
end
local begun = { redis.call('EXISTS', breaker), redis.call('HGETALL', entry) }
if is_unfinished then
  -- This attempt is told that the order has changed, and sees what changed before.
  redis.call('HDEL', entry, 'again')
end
return begun
