-- The newest retry jobs of a store, the newest first.
-- Returns for each its id, its fields and values, its orders (nil when they are gone), and its orders and results.
-- KEYS: recent  the store's jobs by when they began (ms)
-- ARGV: most    how many jobs
--       prefix  of the keys of the store's jobs; the id follows
local jobs = {}
for _, job_id in ipairs(redis.call('ZREVRANGE', recent, 0, most - 1)) do
  local job = prefix .. job_id
  local orders = redis.call('GET', job .. ':orders')
  table.insert(jobs, {job_id, redis.call('HGETALL', job), orders, redis.call('HGETALL', job .. ':results')})
end
return jobs
