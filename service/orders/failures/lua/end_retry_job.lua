-- End a job: it is kept for people to read, and its group may be retried again.
-- Returns 1, or 0 when this process no longer has the lease of the job: nothing was done.
-- KEYS: active   the id of the job that retries this group
--       job      the job: a hash
--       orders   its orders
--       results  what became of each of them
--       running  all jobs that run
--       lease
-- ARGV: owner
--       job_id
--       name     the job's name among all that run
--       state    done or stopped
--       why      why it was stopped, where nobody asked for that
--       keep_ms  how long it is kept
if redis.call('GET', lease) ~= owner then
  return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', job, 'state', state, 'why', why, 'ended_ms', string.format('%.0f', now))
redis.call('ZREM', running, name)
if redis.call('GET', active) == job_id then
  redis.call('DEL', active)
end
redis.call('DEL', lease)
for _, key in ipairs({ job, orders, results }) do
  redis.call('PEXPIRE', key, keep_ms)
end
return 1
