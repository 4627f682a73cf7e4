-- Let an order wait until the store's credentials are accepted. Returns 0 when they already are again.
-- KEYS: 1 entry, 2 the store's breaker, 3 its parked orders
-- ARGV: 1 order id, 2 now (ms), 3... fields of the entry
if redis.call('EXISTS', KEYS[2]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
redis.call('ZADD', KEYS[3], 'NX', ARGV[2], ARGV[1])
return 1
