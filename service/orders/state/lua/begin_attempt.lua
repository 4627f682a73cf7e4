-- Begin an attempt at an order. From now on, writes of older attempts are refused as stale.
-- Returns whether the store's breaker is open (1 or 0), then the entry. A finished order is left as it is.
-- KEYS: entry
--       breaker  there while the store's credentials are refused
-- ARGV: now_s
local status = redis.call('HGET', entry, 'status')
if not status then
  redis.call('HSET', entry, 'status', 'queued')
end
if not status or status == 'queued' or status == 'waiting' then
  redis.call('HINCRBY', entry, 'attempts', 1)
  redis.call('HSETNX', entry, 't:picked_up', now_s)
end
return { redis.call('EXISTS', breaker), redis.call('HGETALL', entry) }
