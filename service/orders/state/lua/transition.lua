-- Write an order's entry and move the order to its next state. It is in one state at a time: in one of the two queues,
-- to be verified, parked, held, waiting for its status or for a value, or finished.
-- Returns Redis's time (ms) and
--   'moved'
--   'stale'  a newer attempt at the order has begun: nothing was written
--   'again'  (to waiting, awaiting_value, held) it has just changed: begin a new attempt
--            (to ended) its values were just set by hand: nothing was written
--   'open'   (to parked) the store's credentials are accepted again: it need not be parked
--            (to held) writing is not paused any more: it need not be held
--   'paused' (to sending) nothing may be written for the store: nothing was changed here either
-- KEYS: entry
--       index            the store's orders by the time of their last change
--       failed           its failed orders
--       to_verify        its orders whose records are to be verified
--       parked           its parked orders
--       breaker          there while the store's credentials are refused
--       paused           there while nothing may be written for the store
--       held             its orders that are held for this reason
--       to_reverify      its finished orders whose records are to be re-verified, or to be looked for
--       awaiting_status  its orders that wait for their status to change
--       awaiting_value   its orders that wait for the value of a required rule
--       recovery_queue
--       verify_queue
--       probe_queue
--       reverify_queue
--       wake_queue
--       pending_counters  what finished orders add to the statistics (add_up_counters.lua)
-- ARGV: now_ms    '' for Redis's own time
--       state     here (no move), sending (no move: a write follows), recovery, checks, parked, held, waiting,
--                 awaiting_value or ended
--       attempt   the number of the attempt that writes
--       order_id
--       delay_ms  in how long the next step is due; to ended: the re-verification; to waiting: the request for the
--                 status; to awaiting_value: the next attempt; '' for never
--       context   JSON: the job that the new state needs, the order's jobs, prefixes of keys, and retention; the id
--                 of the values by hand that the attempt has used; whether the stores file says that nothing is written
--       counted   to ended: what the order adds to its store's statistics, as long as it stands like this; the entry
--                 keeps it, to take it back when the order is finished again. '' for nothing
--       once      what it adds only when it is first finished
--       fields    fields of the entry: name, value, ...
local time = redis.call('TIME')
local now = tonumber(now_ms) or time[1] * 1000 + math.floor(time[2] / 1000)
local due = delay_ms ~= '' and now + delay_ms
local known = cjson.decode(context)

local latest = redis.call('HMGET', entry, 'attempts', 'by_hand_id', 'counted')
if latest[1] and latest[1] ~= attempt then
  return { now, 'stale' }
end
if state == 'sending' and redis.call('EXISTS', paused) == 1 then
  return { now, 'paused' }
end
local waits = state == 'waiting' or state == 'awaiting_value' or state == 'held'
if waits and redis.call('HDEL', entry, 'again') == 1 then
  return { now, 'again' }
end
if state == 'ended' and latest[2] and latest[2] ~= known.used then
  return { now, 'again' }
end
if state == 'held' and not known.writes_off and redis.call('EXISTS', paused) == 0 then
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
if state == 'here' or state == 'sending' then
  return { now, 'moved' }
end

-- Out of all states but the new one. A job's lease is deleted with the job.
for _, job in ipairs(known.jobs) do
  redis.call('ZREM', job.queue, job.id)
  redis.call('DEL', known.prefixes.job .. job.id, known.prefixes.lease .. job.id, known.prefixes.tries .. job.id)
end
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
  redis.call('SET', known.prefixes.job .. known.job.id, known.job.body .. string.format('%.0f}', now), 'NX')
  redis.call('ZADD', queue, mode, due, known.job.id)
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
  redis.call('PEXPIRE', entry, status == 'failed' and known.keep.failed or known.keep.ended)
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
  redis.call('ZREMRANGEBYSCORE', index, '-inf', now - known.keep.ended)
  redis.call('ZREMRANGEBYSCORE', failed, '-inf', now - known.keep.failed)
  for _ = 1, math.min(10, redis.call('ZCARD', index) - known.keep.most) do
    local oldest = known.prefixes.entry .. redis.call('ZPOPMIN', index)[1]
    local its_status = redis.call('HGET', oldest, 'status')
    if its_status == 'created' or its_status == 'updated' or its_status == 'unchanged' or its_status == 'skipped' then
      redis.call('DEL', oldest)
    end
  end
end
return { now, 'moved' }
