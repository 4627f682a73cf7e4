-- Take the first jobs of a queue that nobody runs. Returns id, score, id, score, …
-- KEYS: 1 queue
-- ARGV: 1 owner, 2 lease (ms), 3 now (ms), 4 how many at most, 5 prefix of leases, 6... job ids, the first due first
local claimed, most = {}, tonumber(ARGV[4])
for i = 6, #ARGV do
  if #claimed >= 2 * most then
    break
  end
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if score and tonumber(score) <= tonumber(ARGV[3])
    and redis.call('SET', ARGV[5] .. ARGV[i], ARGV[1], 'NX', 'PX', ARGV[2]) then
    claimed[#claimed + 1] = ARGV[i]
    claimed[#claimed + 1] = score
  end
end
return claimed
