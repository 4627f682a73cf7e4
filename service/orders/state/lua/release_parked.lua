-- Move a parked order to recovery, or close the breaker when none is left. Returns 1 once the breaker is closed.
-- KEYS: breaker  there while the store's credentials are refused
--       parked   the store's parked orders
--       job      the order's recovery job
--       queue    the recovery queue
-- ARGV: order_id  '' for none
--       job_id
--       body      the job as arq writes it
--       due_ms
if order_id ~= '' and redis.call('ZREM', parked, order_id) == 1 then
  if redis.call('SET', job, body, 'NX') then
    redis.call('ZADD', queue, due_ms, job_id)
  end
end
if redis.call('ZCARD', parked) > 0 then
  return 0
end
redis.call('DEL', breaker)
return 1
