-- Have orders that were skipped for their buyer tried again soon, because Company users of the store changed.
-- Everything told within one period is one member of the set, due in the next period but one: so what is due is
-- complete, and the job that handles it removes no later news.
-- KEYS: changed    when the store's Company users or Companies last changed (ms)
--       due        whose orders are tried again, by when
--       job        the store's job that does it
--       queue      the job's queue
-- ARGV: now_ms     '' for Redis's own time
--       who        a customer who is known to be a Company's buyer now; '*' for anybody
--       job_id
--       body       the job up to its enqueue time
--       period_ms
--       keep_ms    how long the time of the change is kept
local time = redis.call('TIME')
local now = tonumber(now_ms) or time[1] * 1000 + math.floor(time[2] / 1000)
local at = (math.floor(now / period_ms) + 2) * period_ms

if who == '*' then
  redis.call('SET', changed, string.format('%.0f', now), 'PX', keep_ms)
end
redis.call('ZADD', due, at, string.format('%s:%.0f', who, at))
redis.call('SET', job, body .. string.format('%.0f}', now), 'NX')
redis.call('ZADD', queue, 'LT', at, job_id)
return 1
