-- Start a retry job, unless one of the same group runs already.
-- Returns the id of the job that runs.
-- KEYS: active   the id of the job that retries this group
--       job      the new job: a hash
--       orders   its orders: JSON
--       running  all jobs that run, by when they began (ms)
--       recent   the store's jobs by when they began (ms)
-- ARGV: job_id
--       name       the job's name among all that run
--       order_ids  JSON
--       keep_ms    how long a job stays among the store's jobs
--       fields     fields of the job: name, value, ...
local other = redis.call('GET', active)
if other then
  return other
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_text = string.format('%.0f', now)
redis.call('SET', active, job_id)
redis.call('HSET', job, 'state', 'running', 'began_ms', now_text, 'touched_ms', now_text, unpack(fields))
redis.call('SET', orders, order_ids)
redis.call('ZADD', running, now_text, name)
redis.call('ZREMRANGEBYSCORE', recent, '-inf', string.format('%.0f', now - keep_ms))
redis.call('ZADD', recent, now_text, job_id)
return job_id
