-- Let an order wait for late values, and have its metafields polled for. Its window job comes back by itself.
-- KEYS: late         the store's orders that wait for metafields, by when they began (ms)
--       seen         what their last attempts saw, by order
--       job          the store's poll job
--       queue        the poll job's queue
-- ARGV: now_ms       '' for Redis's own time
--       order_id
--       digest       what its attempt saw of its metafields; '' where it saw none
--       job_id
--       body         the poll job up to its enqueue time
--       poll_ms      in how long it is due
local time = redis.call('TIME')
local now = tonumber(now_ms) or time[1] * 1000 + math.floor(time[2] / 1000)

redis.call('ZADD', late, now, order_id)
redis.call('HSET', seen, order_id, digest)
redis.call('PEXPIRE', seen, 60000)
redis.call('SET', job, body .. string.format('%.0f}', now), 'NX')
redis.call('ZADD', queue, 'LT', now + poll_ms, job_id)
return 1
