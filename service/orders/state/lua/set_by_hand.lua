-- Set or clear an order's values by hand, and queue the order unless it is in progress.
-- Returns
--   'queued'
--   'in_progress'  the order is queued already: it does not end before an attempt has used these values
--   'unknown'      the order has no entry: nothing was done
--   'changed'      somebody else has set values meanwhile, or the order has moved on: nothing was done
-- KEYS: entry
--       window_job       the order's job in the window queue
--       recovery_job     and in the recovery queue
--       recovery_lease   the lease of the latter
--       recovery_queue
--       index            the store's orders by the time of their last change
--       to_verify        its orders whose records are to be verified
--       parked           its parked orders
--       held             its orders that are held because nothing may be written
--       awaiting_status  its orders that wait for their status to change
--       awaiting_value   its orders that wait for the value of a required rule
-- ARGV: now_ms           '' for Redis's own time
--       seen_id          the id of the values by hand that the caller has read; '' for none
--       seen_status      the status of the order that the caller has read
--       new_id           the id of the new ones
--       by_hand          the new ones, as JSON
--       order_id
--       recovery_id      the id of the recovery job
--       recovery_body    the job up to its enqueue time
--       fields           fields of the entry that change when the order is queued: name, value, ...
local time = redis.call('TIME')
local now = tonumber(now_ms) or time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HMGET', entry, 'status', 'by_hand_id')
if not known[1] then
  return 'unknown'
end
if (known[2] or '') ~= seen_id or known[1] ~= seen_status then
  return 'changed'
end
redis.call('HSET', entry, 'by_hand_id', new_id, 'by_hand', by_hand)

local is_in_progress = known[1] == 'queued' and (redis.call('EXISTS', window_job, recovery_job) > 0
  or redis.call('ZSCORE', to_verify, order_id) or redis.call('ZSCORE', parked, order_id))
if is_in_progress then
  -- An attempt may be about to let the order wait: the mark makes it begin again instead.
  redis.call('HSET', entry, 'again', '1')
  if redis.call('EXISTS', recovery_lease) == 0 then
    redis.call('ZADD', recovery_queue, 'XX', 'LT', now, recovery_id)
  end
  return 'in_progress'
end

redis.call('SET', recovery_job, recovery_body .. string.format('%.0f}', now))
redis.call('ZADD', recovery_queue, now, recovery_id)
redis.call('ZREM', to_verify, order_id)
redis.call('ZREM', held, order_id)
redis.call('ZREM', awaiting_status, order_id)
redis.call('ZREM', awaiting_value, order_id)
redis.call('HDEL', entry, 'reason', 'rule', 'recovering_since', 'ended_at')
redis.call('HDEL', entry, 't:picked_up', 't:sent', 't:answered', 't:verified')
-- The attempt that let it wait may repeat its transition when the answer got lost: the mark keeps the order queued.
redis.call('HSET', entry, 'status', 'queued', 't:queued', string.format('%.3f', now / 1000), 'again', '1',
           unpack(fields))
redis.call('PERSIST', entry)
redis.call('ZADD', index, now, order_id)
-- Workers poll as well: for a Redis user that may not publish, orders only wait for the next poll.
redis.pcall('PUBLISH', 'enrich:wake', recovery_queue)
return 'queued'
