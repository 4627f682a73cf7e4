-- Renew the leases that a worker still owns, and take back expired ones whose jobs no other worker has claimed.
-- Returns, for each job that is no longer the worker's, its id and 'taken' (another worker runs it) or 'gone' (it has
-- moved on or is closed: by this worker, a moment ago, or by the one that took it over).
-- KEYS: queue
-- ARGV: owner          the worker
--       lease_ms
--       lease_prefix   what the keys of leases begin with
--       due_ms_by_job  the id of each job, and when it was due as it was claimed: id, due, ...
local lost = {}
for i = 1, #due_ms_by_job, 2 do
  local id, due_ms = due_ms_by_job[i], due_ms_by_job[i + 1]
  local lease = lease_prefix .. id
  local holder = redis.call('GET', lease)
  if holder == owner then
    redis.call('PEXPIRE', lease, lease_ms)
  elseif not holder and tonumber(redis.call('ZSCORE', queue, id) or -1) == tonumber(due_ms) then
    redis.call('SET', lease, owner, 'PX', lease_ms)
  else
    lost[#lost + 1] = id
    lost[#lost + 1] = holder and 'taken' or 'gone'
  end
end
return lost
