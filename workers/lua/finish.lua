-- Close a job or put it back. Returns 0, and does nothing, when it is not the job that we took any more.
-- KEYS: 1 lease, 2 job, 3 tries, 4 queue, 5 (where the job works off a list) that list
-- ARGV: 1 owner, 2 job id, 3 when the one we took was due (ms), 4 '1' to close it, 5 when it is due when put back (ms)
local owner = redis.call('GET', KEYS[1])
local due = tonumber(redis.call('ZSCORE', KEYS[4], ARGV[2]) or -1)
if owner ~= ARGV[1] and (owner or due ~= tonumber(ARGV[3])) then
  return 0
end
redis.call('DEL', KEYS[1])
if ARGV[4] ~= '1' then
  if redis.call('EXISTS', KEYS[2]) == 1 then
    redis.call('ZADD', KEYS[4], ARGV[5], ARGV[2])
  end
  return 1
end
redis.call('DEL', KEYS[3])
if KEYS[5] then
  -- What was added to the list in this very moment must not wait for a job that is gone.
  local first = redis.call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')
  if first[1] then
    redis.call('ZADD', KEYS[4], first[2], ARGV[2])
    return 1
  end
end
redis.call('DEL', KEYS[2])
redis.call('ZREM', KEYS[4], ARGV[2])
return 1
