-- Take up an order: a new look at it begins, and with it whatever an older look still wants to write is void.
-- Returns whether the store's breaker is open, then the entry. An order that has ended is left as it is.
-- KEYS: 1 entry, 2 the store's breaker
-- ARGV: 1 now (seconds)
local status = redis.call('HGET', KEYS[1], 'status')
if not status then
  redis.call('HSET', KEYS[1], 'status', 'queued')
end
if not status or status == 'queued' or status == 'waiting' then
  redis.call('HINCRBY', KEYS[1], 'attempts', 1)
  redis.call('HSETNX', KEYS[1], 't:picked_up', ARGV[1])
end
return { redis.call('EXISTS', KEYS[2]), redis.call('HGETALL', KEYS[1]) }
