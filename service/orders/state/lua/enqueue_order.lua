-- Queue an order once, however many webhooks and tasks report it.
-- Returns
--   'queued'
--   'duplicate'  the order is queued already, or finished
--   'ignored'    its status changed, but it does not wait for that
-- KEYS: entry
--       job              the job to queue
--       other_job        the order's job in the other queue
--       queue            where the job goes
--       index            the store's orders by the time of their last change
--       to_verify        its orders whose records are to be verified
--       parked           its parked orders
--       webhook_seen     when a webhook of the store was last received in time
--       webhook_pace     the mean gap between its webhooks for new orders: last_ms, gaps, mean_ms
--       awaiting_status  its orders that wait for their status to change
-- ARGV: job_id
--       body             the job as arq writes it
--       due_ms
--       order_id
--       now_ms
--       trigger          what reports the order: webhook, status, found or retry
--       webhook_in_time  '1' if a webhook came in time, else '0'
--       fields           fields of the entry: name, value, ...
local status = redis.call('HGET', entry, 'status')
if webhook_in_time == '1' then
  redis.call('SET', webhook_seen, now_ms)
  if trigger == 'webhook' then
    -- The plain mean of the first 16 gaps, then an exponentially weighted one. A gap of over a minute counts as one
    -- minute, so that an outage does not hide the next one: at such a pace, reconciling is often enough. A duplicate
    -- is no new gap.
    local pace = redis.call('HMGET', webhook_pace, 'last_ms', 'gaps', 'mean_ms')
    if pace[1] and not status then
      local gap = math.max(0, math.min(now_ms - pace[1], 60000))
      local gaps, mean = math.min((pace[2] or 0) + 1, 16), pace[3] or 0
      redis.call('HSET', webhook_pace, 'gaps', gaps, 'mean_ms', mean + (gap - mean) / gaps)
    end
    redis.call('HSET', webhook_pace, 'last_ms', now_ms)
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
if redis.call('EXISTS', job, other_job) > 0 then
  return 'duplicate'
end
if status == 'queued' and (redis.call('ZSCORE', to_verify, order_id) or redis.call('ZSCORE', parked, order_id)) then
  return 'duplicate'
end

-- No expiry: a job must outlive any outage. The transition to the order's next state deletes it.
redis.call('SET', job, body)
redis.call('ZADD', queue, due_ms, job_id)
if requeued then
  -- An older version may have left the order among those to verify.
  redis.call('ZREM', to_verify, order_id)
  redis.call('ZREM', awaiting_status, order_id)
  redis.call('HDEL', entry, 't:picked_up', 't:sent', 't:answered', 't:verified', 'recovering_since', 'ended_at')
end
redis.call('HSET', entry, 'status', 'queued', unpack(fields))
redis.call('PERSIST', entry)
redis.call('ZADD', index, now_ms, order_id)
-- Workers poll as well: for a Redis user that may not publish, orders only wait for the next poll.
redis.pcall('PUBLISH', 'enrich:wake', queue)
return 'queued'
