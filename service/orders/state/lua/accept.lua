-- Queue an order once, whoever tells of it and however often.
-- KEYS: 1 entry, 2 this job, 3 the order's other job, 4 queue, 5 the store's index, 6 its checks, 7 its parked orders,
--       8 when a webhook was last received in time, 9 its orders that wait for their status
-- ARGV: 1 job id, 2 job, 3 score (ms), 4 order id, 5 now (ms), 6 who tells of it (webhook, status, found, retry),
--       7 '1' if a webhook came in time, 8... fields of the entry
local status = redis.call('HGET', KEYS[1], 'status')
local who = ARGV[6]
if ARGV[7] == '1' then
  redis.call('SET', KEYS[8], ARGV[5])
end

if who == 'status' and status ~= 'waiting' then
  -- The order may be on its way to waiting in this very moment: whoever lets it wait looks again.
  if status == 'queued' then
    redis.call('HSET', KEYS[1], 'again', '1')
  end
  return 'ignored'
end
local anew = who == 'retry' or (who == 'status' and status == 'waiting')
if status and status ~= 'queued' and not anew then
  return 'duplicate'
end
if redis.call('EXISTS', KEYS[2], KEYS[3]) > 0 then
  return 'duplicate'
end
if status == 'queued' and (redis.call('ZSCORE', KEYS[6], ARGV[4]) or redis.call('ZSCORE', KEYS[7], ARGV[4])) then
  return 'duplicate'
end

-- No expiry: a job must outlive any outage. It goes when the order moves on.
redis.call('SET', KEYS[2], ARGV[2])
redis.call('ZADD', KEYS[4], ARGV[3], ARGV[1])
if anew then
  -- An older version may have left the order there, to be looked at once more.
  redis.call('ZREM', KEYS[6], ARGV[4])
  redis.call('ZREM', KEYS[9], ARGV[4])
  redis.call('HDEL', KEYS[1], 't:picked_up', 't:sent', 't:answered', 't:verified', 'recovering_since', 'ended_at')
end
redis.call('HSET', KEYS[1], 'status', 'queued', unpack(ARGV, 8))
redis.call('PERSIST', KEYS[1])
redis.call('ZADD', KEYS[5], ARGV[5], ARGV[4])
-- Workers look by themselves, too: a user who may not publish only makes orders wait for the next look.
redis.pcall('PUBLISH', 'enrich:wake', KEYS[4])
return 'queued'
