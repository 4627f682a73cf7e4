-- Extend the leases that are still ours, and take back those that ran out and that nobody wanted.
-- Returns, for each job that is not ours any more, its id and 'taken' (another worker runs it) or 'gone' (it has
-- moved on or is closed: by us, a moment ago, or by whoever took it over).
-- KEYS: 1 queue
-- ARGV: 1 owner, 2 lease (ms), 3 prefix of leases, then for each job: its id, and when the one we took was due (ms)
local lost = {}
for i = 4, #ARGV, 2 do
  local id, due = ARGV[i], ARGV[i + 1]
  local lease = ARGV[3] .. id
  local owner = redis.call('GET', lease)
  if owner == ARGV[1] then
    redis.call('PEXPIRE', lease, ARGV[2])
  elseif not owner and tonumber(redis.call('ZSCORE', KEYS[1], id) or -1) == tonumber(due) then
    redis.call('SET', lease, ARGV[1], 'PX', ARGV[2])
  else
    lost[#lost + 1] = id
    lost[#lost + 1] = owner and 'taken' or 'gone'
  end
end
return lost
