-- Make the window job of an order that waits for late values due now. Returns 1; 0 where it does not wait, or where a
-- worker still closes the attempt that lets it wait: then the next poll wakes it.
-- KEYS: late        the store's orders that wait
--       seen        what their last attempts saw, by order
--       entry       the order's entry
--       lease       the lease of the order's window job
--       queue       the window queue
-- ARGV: now_ms      '' for Redis's own time
--       order_id
--       job_id      the order's window job
--       source      what woke it, as JSON
if not redis.call('ZSCORE', late, order_id) or redis.call('EXISTS', lease) == 1 then
  return 0
end
local time = redis.call('TIME')
local now = tonumber(now_ms) or time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREM', late, order_id)
redis.call('HDEL', seen, order_id)
redis.call('HSET', entry, 'woken_by', source)
-- Its own time sorts the queue, so that it does not go behind younger orders.
local created = tonumber(redis.call('HGET', entry, 't:created') or '')
redis.call('ZADD', queue, 'XX', 'LT', math.min(now, created and created * 1000 or now), job_id)
redis.pcall('PUBLISH', 'enrich:wake', queue)
return 1
