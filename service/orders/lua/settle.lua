-- Write an order's end, or park it until its status changes. Returns 0 when a status change came in meanwhile.
-- KEYS: 1 entry, 2 the store's index, 3 the store's failed orders
-- ARGV: 1 order id, 2 now (ms), 3 keep entry (ms), 4 keep in index (ms), 5 keep failed (ms), 6 most in index,
--       7 prefix of entries, 8 status, 9... fields of the entry
local status = ARGV[8]
if redis.call('HDEL', KEYS[1], 'again') == 1 and status == 'waiting' then
  return 0
end
local id, now = ARGV[1], tonumber(ARGV[2])
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 9))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('ZADD', KEYS[2], now, id)
if status == 'failed' then
  redis.call('ZADD', KEYS[3], now, id)
else
  redis.call('ZREM', KEYS[3], id)
end

-- Memory stays bounded: what is past its time, and what a very busy store has beyond its share, goes.
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[4]))
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - tonumber(ARGV[5]))
for _ = 1, math.min(10, redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[6])) do
  local oldest = redis.call('ZPOPMIN', KEYS[2])[1]
  local entry = ARGV[7] .. oldest
  local stands = redis.call('HGET', entry, 'status')
  if stands and stands ~= 'queued' and stands ~= 'failed' then
    redis.call('DEL', entry)
  end
end
return 1
