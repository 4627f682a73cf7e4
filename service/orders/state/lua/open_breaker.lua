-- Open a store's breaker and schedule a probe of its credentials. Returns 0 when it is open already.
-- KEYS: breaker   there while the store's credentials are refused
--       job       the probe's job
--       queue     the probe's queue
-- ARGV: now_ms    '' for Redis's own time
--       job_id
--       body      the job up to its enqueue time
--       delay_ms  in how long the probe is due
local time = redis.call('TIME')
local now = tonumber(now_ms) or time[1] * 1000 + math.floor(time[2] / 1000)

local was_closed = redis.call('SET', breaker, string.format('%.3f', now / 1000), 'NX')
redis.call('SET', job, body .. string.format('%.0f}', now), 'NX')
redis.call('ZADD', queue, 'NX', now + delay_ms, job_id)
return was_closed and 1 or 0
