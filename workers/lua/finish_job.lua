-- Close a job or requeue it. Returns 0, and changes nothing, when it is no longer the job that was claimed.
-- KEYS: lease
--       job
--       tries
--       queue
--       work_list    the sorted set that the job works off, if it has one
-- ARGV: now_ms       '' for Redis's own time
--       owner        the worker
--       job_id
--       due_ms       when the job was due as it was claimed
--       is_done      '1' to close the job, '0' to requeue it
--       delay_ms     in how long a requeued job is due; '' to leave its due time
local holder = redis.call('GET', lease)
local due = tonumber(redis.call('ZSCORE', queue, job_id) or -1)
if holder ~= owner and (holder or due ~= tonumber(due_ms)) then
  return 0
end
redis.call('DEL', lease)
if is_done ~= '1' then
  if redis.call('EXISTS', job) == 1 then
    local time = redis.call('TIME')
    local now = tonumber(now_ms) or time[1] * 1000 + math.floor(time[2] / 1000)
    redis.call('ZADD', queue, delay_ms == '' and due_ms or now + delay_ms, job_id)
  end
  return 1
end
redis.call('DEL', tries)
if work_list then
  -- What was added to the list in this very moment must not wait for a job that is gone.
  local first = redis.call('ZRANGE', work_list, 0, 0, 'WITHSCORES')
  if first[1] then
    redis.call('ZADD', queue, first[2], job_id)
    return 1
  end
end
redis.call('DEL', job)
redis.call('ZREM', queue, job_id)
return 1
