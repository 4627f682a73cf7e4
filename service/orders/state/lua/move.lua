-- Note where an order stands and move it to its next place. It is in one place at a time: one of the two queues,
-- the checks, the parked orders, or at its end. Returns
--   'moved'
--   'superseded'  a newer look at the order has begun: nothing was written
--   'again'       (to waiting) its status changed in this very moment: look at it again
--   'open'        (to parked) the store's credentials are accepted again: it need not be parked
-- KEYS: 1 entry, 2 the store's index, 3 its failed orders, 4 its checks, 5 its parked orders, 6 its breaker,
--       7 its second looks, 8 its waiting orders,
--       9 recovery queue, 10 check queue, 11 probe queue, 12 queue of second looks
-- ARGV: 1 place (here, recovery, checks, parked, waiting, ended), 2 the look that this is, 3 order id, 4 now (ms),
--       5 due (ms; to its end: when its record is looked at once more; to waiting: when its status is asked for;
--       '' for never),
--       6 JSON of names, jobs and limits, 7... fields of the entry
local place, order = ARGV[1], ARGV[3]
local now, due = tonumber(ARGV[4]), ARGV[5]
local known = cjson.decode(ARGV[6])

local look = redis.call('HGET', KEYS[1], 'attempts')
if look and look ~= ARGV[2] then
  return 'superseded'
end
if place == 'waiting' and redis.call('HDEL', KEYS[1], 'again') == 1 then
  return 'again'
end
if place == 'parked' and redis.call('EXISTS', KEYS[6]) == 0 then
  return 'open'
end

redis.call('HSET', KEYS[1], unpack(ARGV, 7))
if place == 'here' then
  return 'moved'
end

-- Out of all places but the one it goes to. A lease goes with its job.
for _, job in ipairs(known.jobs) do
  redis.call('ZREM', job.queue, job.id)
  redis.call('DEL', known.prefixes.job .. job.id, known.prefixes.lease .. job.id, known.prefixes.tries .. job.id)
end
if place ~= 'checks' then
  redis.call('ZREM', KEYS[4], order)
end
if place ~= 'parked' then
  redis.call('ZREM', KEYS[5], order)
end
redis.call('ZREM', KEYS[8], order)

local function ensure(job, queue, mode)
  redis.call('SET', known.prefixes.job .. job.id, job.body, 'NX')
  redis.call('ZADD', queue, mode, due, job.id)
end

if place == 'recovery' or place == 'checks' or place == 'parked' then
  redis.call('PERSIST', KEYS[1])
end
if place == 'recovery' then
  ensure(known.job, KEYS[9], 'NX')
elseif place == 'checks' then
  redis.call('ZADD', KEYS[4], due, order)
  ensure(known.job, KEYS[10], 'LT')
elseif place == 'parked' then
  redis.call('ZADD', KEYS[5], 'NX', now, order)
  ensure(known.job, KEYS[11], 'NX')
else
  local status = redis.call('HGET', KEYS[1], 'status')
  redis.call('HDEL', KEYS[1], 'again')
  redis.call('PEXPIRE', KEYS[1], status == 'failed' and known.keep.failed or known.keep.ended)
  redis.call('ZADD', KEYS[2], now, order)
  redis.call('ZREM', KEYS[3], order)
  if status == 'failed' then
    redis.call('ZADD', KEYS[3], now, order)
  end
  if due ~= '' and place == 'waiting' then
    redis.call('ZADD', KEYS[8], due, order)
  elseif due ~= '' then
    redis.call('ZADD', KEYS[7], due, order)
    ensure(known.job, KEYS[12], 'LT')
  end

  -- Memory stays bounded: what is past its time, and what a very busy store has beyond its share, goes.
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - known.keep.ended)
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - known.keep.failed)
  for _ = 1, math.min(10, redis.call('ZCARD', KEYS[2]) - known.keep.most) do
    local oldest = known.prefixes.entry .. redis.call('ZPOPMIN', KEYS[2])[1]
    local stands = redis.call('HGET', oldest, 'status')
    if stands == 'created' or stands == 'updated' or stands == 'unchanged' or stands == 'skipped' then
      redis.call('DEL', oldest)
    end
  end
end
return 'moved'
