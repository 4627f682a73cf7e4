-- Note where an order stands and have its record looked at.
-- KEYS: 1 entry, 2 the store's checks, 3 the store's check job, 4 queue of such jobs
-- ARGV: 1 order id, 2 due (ms), 3 job id, 4 job, 5... fields of the entry, none to leave it as it is
if #ARGV > 4 then
  redis.call('HSET', KEYS[1], unpack(ARGV, 5))
end
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
redis.call('SET', KEYS[3], ARGV[4], 'NX')
redis.call('ZADD', KEYS[4], 'LT', ARGV[2], ARGV[3])
return 1
