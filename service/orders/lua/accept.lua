-- Queue an order once, whoever tells of it and however often.
-- KEYS: 1 entry, 2 this job, 3 the order's other job, 4 queue, 5 the store's index
-- ARGV: 1 job id, 2 job, 3 score (ms), 4 order id, 5 now (ms), 6 what tells of it, 7... fields of the entry
local status = redis.call('HGET', KEYS[1], 'status')
local tells = ARGV[6]

if tells == 'status' and status ~= 'waiting' then
  -- The order may be on its way to waiting in this very moment: whoever parks it looks again.
  if status == 'queued' then
    redis.call('HSET', KEYS[1], 'again', '1')
  end
  return 'ignored'
end
if status and status ~= 'queued' then
  local woken = status == 'waiting' and tells == 'status'
  if not woken and tells ~= 'retry' then
    return 'duplicate'
  end
end
if redis.call('EXISTS', KEYS[2], KEYS[3]) > 0 then
  return 'duplicate'
end

-- No expiry: a job must outlive any outage. The worker deletes it when the order has ended.
redis.call('SET', KEYS[2], ARGV[2])
redis.call('ZADD', KEYS[4], ARGV[3], ARGV[1])
redis.call('HSET', KEYS[1], 'status', 'queued', unpack(ARGV, 7))
redis.call('PERSIST', KEYS[1])
redis.call('ZADD', KEYS[5], ARGV[5], ARGV[4])
return 'queued'
