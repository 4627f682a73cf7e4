-- Note where an order stands and queue its recovery, in one step.
-- KEYS: 1 entry, 2 recovery job, 3 recovery queue
-- ARGV: 1 job id, 2 job, 3 score (ms), 4... fields of the entry
redis.call('HSET', KEYS[1], unpack(ARGV, 4))
if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('SET', KEYS[2], ARGV[2])
  redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1])
end
return 1
