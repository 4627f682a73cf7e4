-- Close a job or put it back. Returns 0, and does nothing, when another worker has taken the job over.
-- KEYS: 1 lease, 2 job, 3 tries, 4 queue
-- ARGV: 1 owner, 2 job id, 3 '1' to close it, 4 how much later it is due when put back (ms)
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
if ARGV[3] == '1' then
  redis.call('DEL', KEYS[2], KEYS[3])
  redis.call('ZREM', KEYS[4], ARGV[2])
elseif redis.call('ZSCORE', KEYS[4], ARGV[2]) then
  redis.call('ZINCRBY', KEYS[4], ARGV[4], ARGV[2])
end
return 1
