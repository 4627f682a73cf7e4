-- Have the record of an order that has ended looked at once more.
-- KEYS: 1 the store's second looks, 2 the store's job for them, 3 queue of such jobs
-- ARGV: 1 order id, 2 due (ms), 3 job id, 4 job
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('SET', KEYS[2], ARGV[4], 'NX')
redis.call('ZADD', KEYS[3], 'LT', ARGV[2], ARGV[3])
return 1
