-- Take or renew the lease of a job.
-- Returns 1, or 0 when another process has it.
-- KEYS: lease
-- ARGV: owner
--       ttl_ms  the lease expires after so long
local holder = redis.call('GET', lease)
if holder and holder ~= owner then
  return 0
end
redis.call('SET', lease, owner, 'PX', ttl_ms)
return 1
