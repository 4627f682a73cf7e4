-- Take a parked order to recovery, or close the breaker when none is left. Returns 1 once it is closed.
-- KEYS: 1 the store's breaker, 2 its parked orders, 3 recovery job, 4 recovery queue
-- ARGV: 1 order id ('' for none), 2 job id, 3 job, 4 score (ms)
if ARGV[1] ~= '' and redis.call('ZREM', KEYS[2], ARGV[1]) == 1 then
  if redis.call('SET', KEYS[3], ARGV[3], 'NX') then
    redis.call('ZADD', KEYS[4], ARGV[4], ARGV[2])
  end
end
if redis.call('ZCARD', KEYS[2]) > 0 then
  return 0
end
redis.call('DEL', KEYS[1])
return 1
