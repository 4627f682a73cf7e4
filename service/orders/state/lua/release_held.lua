-- Move an order that is held to recovery, where it goes on. Returns 1; 0 while writing is paused: nothing was done.
-- KEYS: entry
--       paused          there while nothing may be written for the store
--       held            the store's orders that are held
--       recovery_job    the order's recovery job
--       recovery_queue
--       index           the store's orders by the time of their last change
-- ARGV: now_ms          '' for Redis's own time
--       order_id
--       recovery_id     the id of the recovery job
--       recovery_body   the job up to its enqueue time
if redis.call('EXISTS', paused) == 1 then
  return 0
end
redis.call('ZREM', held, order_id)
local known = redis.call('HMGET', entry, 'status', 'reason')
if known[1] == 'waiting' and known[2] == '"writes_off"' then
  local time = redis.call('TIME')
  local now = tonumber(now_ms) or time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('SET', recovery_job, recovery_body .. string.format('%.0f}', now))
  redis.call('ZADD', recovery_queue, now, recovery_id)
  redis.call('HDEL', entry, 'reason', 'recovering_since')
  -- The attempt that had it held may repeat its transition when the answer got lost: the mark keeps the order queued.
  redis.call('HSET', entry, 'status', 'queued', 't:queued', string.format('%.3f', now / 1000), 'again', '1')
  redis.call('ZADD', index, now, order_id)
  redis.pcall('PUBLISH', 'enrich:wake', recovery_queue)
end
return 1
