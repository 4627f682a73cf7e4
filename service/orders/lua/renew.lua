-- Extend the leases that are still ours, and take back those that ran out and that nobody wanted.
-- Returns the ids of the jobs that are another worker's now, or done.
-- ARGV: 1 owner, 2 lease (ms), 3 prefix of leases, 4 prefix of jobs, 5... job ids
local lost = {}
for i = 5, #ARGV do
  local lease = ARGV[3] .. ARGV[i]
  local owner = redis.call('GET', lease)
  if owner == ARGV[1] then
    redis.call('PEXPIRE', lease, ARGV[2])
  elseif not owner and redis.call('EXISTS', ARGV[4] .. ARGV[i]) == 1 then
    redis.call('SET', lease, ARGV[1], 'PX', ARGV[2])
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
