-- Queue an order that waits for the value of a required rule: something told of a change, or its next attempt is due.
-- Returns 1; 0 where the order does not wait for a value: then it leaves the list of those that do. An attempt that is
-- about to let it wait begins again instead.
-- KEYS: entry
--       window_job      the order's job in the window queue
--       recovery_job    and in the recovery queue
--       window_queue
--       recovery_queue
--       index           the store's orders by the time of their last change
--       awaiting_value  its orders that wait for a value
-- ARGV: now_ms          '' for Redis's own time
--       window_ms       the length of a window
--       window_id       the ids of the jobs
--       recovery_id
--       window_body     the jobs up to their enqueue time
--       recovery_body
--       order_id
--       source          what woke it, as JSON
--       is_news         '1' when something told of a change, '0' when it is only due
local time = redis.call('TIME')
local now = tonumber(now_ms) or time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HMGET', entry, 'status', 'reason', 't:created')
if known[1] ~= 'waiting' or known[2] ~= '"value"' then
  redis.call('ZREM', awaiting_value, order_id)
  if known[1] == 'queued' and is_news == '1' then
    redis.call('HSET', entry, 'again', '1')
  end
  return 0
end

-- Inside its window it can still be created; after that it must not delay new orders.
local created = tonumber(known[3] or '')
local job, queue, job_id, body = recovery_job, recovery_queue, recovery_id, recovery_body
if created and now - created * 1000 < tonumber(window_ms) then
  job, queue, job_id, body = window_job, window_queue, window_id, window_body
end
redis.call('SET', job, body .. string.format('%.0f}', now))
redis.call('ZADD', queue, now, job_id)
redis.call('ZREM', awaiting_value, order_id)
redis.call('HDEL', entry, 'reason', 'rule', 'recovering_since', 'ended_at')
redis.call('HDEL', entry, 't:picked_up', 't:sent', 't:answered', 't:verified')
-- The attempt that let it wait may repeat its transition when the answer got lost: the mark keeps the order queued.
redis.call('HSET', entry, 'status', 'queued', 't:queued', string.format('%.3f', now / 1000), 'woken_by', source,
           'again', '1')
redis.call('PERSIST', entry)
redis.call('ZADD', index, now, order_id)
-- Workers poll as well: for a Redis user that may not publish, orders only wait for the next poll.
redis.pcall('PUBLISH', 'enrich:wake', queue)
return 1
