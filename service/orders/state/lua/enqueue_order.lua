-- Queue an order once, however many webhooks and tasks report it.
-- Returns
--   'queued'
--   'duplicate'  the order is queued already, or finished
--   'ignored'    its status changed, but it does not wait for that
-- KEYS: entry
--       window_job       the order's job in the window queue
--       recovery_job     and in the recovery queue
--       window_queue
--       recovery_queue
--       reconcile_queue
--       index            the store's orders by the time of their last change
--       to_verify        its orders whose records are to be verified
--       parked           its parked orders
--       webhook_seen     when a webhook of the store was last received in time
--       webhook_pace     the mean gap between its webhooks for new orders: last_ms, gaps, mean_ms; late_ms is when one
--                        last came after its window
--       awaiting_status  its orders that wait for their status to change
--       awaiting_value   its orders that wait for the value of a required rule
--       held             its orders that are held because nothing may be written
-- ARGV: now_ms           '' for Redis's own time
--       reported_ms      when the order was created or changed, by BigCommerce's clock; '' for when it was received
--       received_ago_ms  how long ago the report was received; '' for now
--       window_ms        the length of a window
--       window_id        the ids of the jobs
--       recovery_id
--       reconcile_id     the job that reconciles the store
--       reconcile_within_ms  in how long that is due at the latest, once a new order is reported
--       window_body      the jobs up to their enqueue time
--       recovery_body
--       order_id
--       trigger          what reports the order: webhook, status, found or retry
--       fields           fields of the entry: name, value, ...
local time = redis.call('TIME')
local now = tonumber(now_ms) or time[1] * 1000 + math.floor(time[2] / 1000)
local received = now - (tonumber(received_ago_ms) or 0)
local reported = tonumber(reported_ms) or received
local is_late = now - reported > tonumber(window_ms)
local status = redis.call('HGET', entry, 'status')
if trigger == 'webhook' and not status then
  -- The store may not have been reconciled for minutes, because it had no orders.
  redis.call('ZADD', reconcile_queue, 'XX', 'LT', now + reconcile_within_ms, reconcile_id)
  if is_late then
    redis.call('HSET', webhook_pace, 'late_ms', now)
  end
end
if (trigger == 'webhook' or trigger == 'status') and not is_late then
  redis.call('SET', webhook_seen, now)
  if trigger == 'webhook' then
    -- The plain mean of the first 16 gaps, then an exponentially weighted one. A gap of over a minute counts as one
    -- minute, so that an outage does not hide the next one: at such a pace, reconciling is often enough. A duplicate
    -- is no new gap.
    local pace = redis.call('HMGET', webhook_pace, 'last_ms', 'gaps', 'mean_ms')
    if pace[1] and not status then
      local gap = math.max(0, math.min(now - pace[1], 60000))
      local gaps, mean = math.min((pace[2] or 0) + 1, 16), pace[3] or 0
      redis.call('HSET', webhook_pace, 'last_ms', now, 'gaps', gaps, 'mean_ms', mean + (gap - mean) / gaps)
    else
      redis.call('HSET', webhook_pace, 'last_ms', now)
    end
  end
end

if trigger == 'status' and status ~= 'waiting' then
  -- An attempt may be about to let the order wait: the mark makes it begin again instead.
  if status == 'queued' then
    redis.call('HSET', entry, 'again', '1')
  end
  return 'ignored'
end
local requeued = trigger == 'retry' or (trigger == 'status' and status == 'waiting')
if status and status ~= 'queued' and not requeued then
  return 'duplicate'
end
if redis.call('EXISTS', window_job, recovery_job) > 0 then
  return 'duplicate'
end
if status == 'queued' and (redis.call('ZSCORE', to_verify, order_id) or redis.call('ZSCORE', parked, order_id)) then
  return 'duplicate'
end

-- No expiry: a job must outlive any outage. The transition to the order's next state deletes it.
local job, queue, job_id, body = window_job, window_queue, window_id, window_body
-- A report that is older than a window must not delay new orders.
if is_late or trigger == 'retry' then
  job, queue, job_id, body = recovery_job, recovery_queue, recovery_id, recovery_body
end
-- The order's own time sorts the window queue, but never delays the order. A requeued order is due now: a worker that
-- still closes its first job would take a new one with the same due time for it. In recovery, an old order must not
-- overtake those that have been there for longer.
local due = now
if queue == window_queue and trigger ~= 'status' then
  due = math.min(reported, now)
end
redis.call('SET', job, body .. string.format('%.0f}', now))
redis.call('ZADD', queue, due, job_id)
if requeued then
  -- An older version may have left the order among those to verify.
  redis.call('ZREM', to_verify, order_id)
  redis.call('ZREM', awaiting_status, order_id)
  redis.call('ZREM', awaiting_value, order_id)
  redis.call('ZREM', held, order_id)
  redis.call('HDEL', entry, 'reason', 'rule', 'recovering_since', 'ended_at')
  redis.call('HDEL', entry, 't:picked_up', 't:sent', 't:answered', 't:verified')
end
if received_ago_ms ~= '' then
  fields[#fields + 1] = 't:received'
  fields[#fields + 1] = string.format('%.3f', received / 1000)
end
redis.call('HSET', entry, 'status', 'queued', 't:queued', string.format('%.3f', now / 1000), unpack(fields))
redis.call('PERSIST', entry)
redis.call('ZADD', index, now, order_id)
-- Workers poll as well: for a Redis user that may not publish, orders only wait for the next poll.
redis.pcall('PUBLISH', 'enrich:wake', queue)
return 'queued'
