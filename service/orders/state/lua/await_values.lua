-- Let an order wait for late values, and have them polled for. Its window job comes back by itself at the deadline.
-- KEYS: late         the store's orders that wait, by their deadlines (ms)
--       seen         what their last attempts saw, by order
--       job          the store's poll job
--       queue        the poll job's queue
-- ARGV: now_ms       '' for Redis's own time
--       order_id
--       wait_ms      how long the order waits at most
--       digest       what its attempt saw
--       job_id
--       body         the poll job up to its enqueue time
--       poll_ms      in how long it is due
local time = redis.call('TIME')
local now = tonumber(now_ms) or time[1] * 1000 + math.floor(time[2] / 1000)

redis.call('ZADD', late, now + wait_ms, order_id)
redis.call('HSET', seen, order_id, digest)
redis.call('PEXPIRE', seen, 60000)
redis.call('SET', job, body .. string.format('%.0f}', now), 'NX')
redis.call('ZADD', queue, 'LT', now + poll_ms, job_id)
return 1
