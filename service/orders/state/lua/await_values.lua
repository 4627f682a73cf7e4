-- Let an order wait for late values, and have its metafields polled for. Its window job comes back by itself.
-- KEYS: late         the store's orders that wait for metafields, by when they began (ms)
--       seen         what their last attempts saw, by order
--       told         how many late values in a row a webhook told of first
--       job          the store's poll job
--       queue        the poll job's queue
-- ARGV: now_ms       '' for Redis's own time
--       order_id
--       digest       what its attempt saw of its metafields; '' where it saw none
--       job_id
--       body         the poll job up to its enqueue time
--       poll_ms      in how long it is due
--       told_ms      the same where webhooks have told of so many values in a row:
--       told_often
local time = redis.call('TIME')
local now = tonumber(now_ms) or time[1] * 1000 + math.floor(time[2] / 1000)

redis.call('ZADD', late, now, order_id)
redis.call('HSET', seen, order_id, digest)
redis.call('PEXPIRE', seen, 60000)
redis.call('SET', job, body .. string.format('%.0f}', now), 'NX')
local pause = tonumber(redis.call('GET', told) or 0) >= tonumber(told_often) and told_ms or poll_ms
redis.call('ZADD', queue, 'LT', now + pause, job_id)
return 1
