-- Move a parked order to recovery, or close the breaker when none is left. Returns 1 once the breaker is closed.
-- KEYS: breaker  there while the store's credentials are refused
--       parked   the store's parked orders
--       job      the order's recovery job
--       queue    the recovery queue
-- ARGV: now_ms    '' for Redis's own time
--       order_id  '' for none
--       job_id
--       body      the job up to its enqueue time
local time = redis.call('TIME')
local now = tonumber(now_ms) or time[1] * 1000 + math.floor(time[2] / 1000)
if order_id ~= '' and redis.call('ZREM', parked, order_id) == 1 then
  if redis.call('SET', job, body .. string.format('%.0f}', now), 'NX') then
    redis.call('ZADD', queue, now, job_id)
  end
end
if redis.call('ZCARD', parked) > 0 then
  return 0
end
redis.call('DEL', breaker)
return 1
