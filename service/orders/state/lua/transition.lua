-- Write an order's entry and move the order to its next state. It is in one state at a time: in one of the two queues,
-- to be verified, parked, held, waiting for its status or for a value, or finished. Its jobs are closed with the move.
-- Returns Redis's time (ms) and
--   'moved'
--   'stale'  a newer attempt at the order has begun: nothing was written
--   'again'  (to waiting, awaiting_value, held) it has just changed: begin a new attempt
--            (to ended) its values were just set by hand: nothing was written
--   'open'   (to parked) the store's credentials are accepted again: it need not be parked
--            (to held) writing is not paused any more: it need not be held
-- KEYS: entry
--       index            the store's orders by the time of their last change
--       failed           its failed orders
--       to_verify        its orders whose records are to be verified
--       parked           its parked orders
--       breaker          there while the store's credentials are refused
--       paused           there while a person has paused writing for the store
--       held             its orders that are held for this reason
--       to_reverify      its finished orders whose records are to be re-verified, or to be looked for
--       awaiting_status  its orders that wait for their status to change
--       awaiting_value   its orders that wait for the value of a required rule
--       recovery_queue
--       verify_queue
--       probe_queue
--       reverify_queue
--       wake_queue
--       window_job       what may be there of the order's jobs: body, lease and tries of each
--       window_lease
--       window_tries
--       recovery_job
--       recovery_lease
--       recovery_tries
--       job              the job that the new state needs
--       window_queue
--       pending_counters  what finished orders add to the statistics (add_up_counters.lua)
-- ARGV: now_ms    '' for Redis's own time
--       state     recovery, checks, parked, held, waiting, awaiting_value or ended
--       attempt   the number of the attempt that writes
--       order_id
--       delay_ms  in how long the next step is due; to ended: the re-verification; to waiting: the request for the
--                 status; to awaiting_value: the next attempt; '' for never
--       window_id    the ids of the order's jobs
--       recovery_id
--       job_id       and of the one that the new state needs, with its body up to the enqueue time
--       job_body
--       entry_prefix  what the keys of the store's entries begin with
--       used         the id of the values by hand that the attempt has used
--       writes_off   whether the stores file says that nothing is written
--       keep_ms      how long an entry is kept, and how long one that failed
--       keep_failed_ms
--       most         how many entries of a store are kept
--       counted   to ended: what the order adds to its store's statistics, as long as it stands like this; the entry
--                 keeps it, to take it back when the order is finished again. '' for nothing
--       once      what it adds only when it is first finished
--       fields    fields of the entry: name, value, ...
local time = redis.call('TIME')
local now = tonumber(now_ms) or time[1] * 1000 + math.floor(time[2] / 1000)
local due = delay_ms ~= '' and now + delay_ms

local latest = redis.call('HMGET', entry, 'attempts', 'by_hand_id', 'counted')
if latest[1] and latest[1] ~= attempt then
  return { now, 'stale' }
end
local waits = state == 'waiting' or state == 'awaiting_value' or state == 'held'
if waits and redis.call('HDEL', entry, 'again') == 1 then
  return { now, 'again' }
end
if state == 'ended' and latest[2] and latest[2] ~= used then
  return { now, 'again' }
end
if state == 'held' and writes_off ~= '1' and redis.call('EXISTS', paused) == 0 then
  return { now, 'open' }
end
if state == 'parked' and redis.call('EXISTS', breaker) == 0 then
  return { now, 'open' }
end

if state == 'ended' then
  -- The same once more: only the answer of this script got lost.
  if counted ~= '' and latest[3] ~= counted then
    if latest[3] then
      redis.call('RPUSH', pending_counters, '-' .. latest[3], '+' .. counted)
    else
      redis.call('RPUSH', pending_counters, '+' .. counted .. '\n' .. once)
    end
    fields[#fields + 1] = 'counted'
    fields[#fields + 1] = counted
  end
  fields[#fields + 1] = 'ended_at'
  fields[#fields + 1] = string.format('%.3f', now / 1000)
end
redis.call('HSET', entry, unpack(fields))

-- Out of all states but the new one. A job's lease is deleted with the job.
redis.call('ZREM', window_queue, window_id)
redis.call('ZREM', recovery_queue, recovery_id)
redis.call('DEL', window_job, window_lease, window_tries, recovery_job, recovery_lease, recovery_tries)
if state ~= 'checks' then
  redis.call('ZREM', to_verify, order_id)
end
if state ~= 'parked' then
  redis.call('ZREM', parked, order_id)
end
if state ~= 'held' then
  redis.call('ZREM', held, order_id)
end
redis.call('ZREM', awaiting_status, order_id)
redis.call('ZREM', awaiting_value, order_id)

local function ensure_job(queue, mode)
  redis.call('SET', job, job_body .. string.format('%.0f}', now), 'NX')
  redis.call('ZADD', queue, mode, due, job_id)
end

if state == 'recovery' or state == 'checks' or state == 'parked' or state == 'held' then
  redis.call('PERSIST', entry)
end
if state == 'recovery' then
  ensure_job(recovery_queue, 'NX')
elseif state == 'checks' then
  redis.call('ZADD', to_verify, due, order_id)
  ensure_job(verify_queue, 'LT')
elseif state == 'parked' then
  redis.call('ZADD', parked, 'NX', now, order_id)
  ensure_job(probe_queue, 'NX')
elseif state == 'held' then
  redis.call('ZADD', held, 'NX', now, order_id)
  redis.call('ZADD', index, now, order_id)
  redis.call('ZREM', failed, order_id)
else
  local status = redis.call('HGET', entry, 'status')
  redis.call('HDEL', entry, 'again')
  redis.call('PEXPIRE', entry, status == 'failed' and keep_failed_ms or keep_ms)
  redis.call('ZADD', index, now, order_id)
  redis.call('ZREM', failed, order_id)
  if status == 'failed' then
    redis.call('ZADD', failed, now, order_id)
  end
  if due and state == 'waiting' then
    redis.call('ZADD', awaiting_status, due, order_id)
  elseif due and state == 'awaiting_value' then
    redis.call('ZADD', awaiting_value, due, order_id)
    ensure_job(wake_queue, 'LT')
  elseif due then
    redis.call('ZADD', to_reverify, due, order_id)
    ensure_job(reverify_queue, 'LT')
  end

  -- Bound the memory: delete what is past its retention, and the oldest entries of a store that has too many.
  redis.call('ZREMRANGEBYSCORE', index, '-inf', now - keep_ms)
  redis.call('ZREMRANGEBYSCORE', failed, '-inf', now - keep_failed_ms)
  for _ = 1, math.min(10, redis.call('ZCARD', index) - most) do
    local oldest = entry_prefix .. redis.call('ZPOPMIN', index)[1]
    local its_status = redis.call('HGET', oldest, 'status')
    if its_status == 'created' or its_status == 'updated' or its_status == 'unchanged' or its_status == 'skipped' then
      redis.call('DEL', oldest)
    end
  end
end
return { now, 'moved' }
