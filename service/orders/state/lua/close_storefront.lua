-- Close a store's storefront API for Creates, after one of them has failed. Returns for how many milliseconds it is
-- closed, and whether this failure counts: not if another one was counted since its Create was allowed.
-- KEYS: closed         there while no Create may go: why not
--       failures       a hash: the failures in a row (count), and the last one (trouble)
-- ARGV: failures_seen  how many there were when this Create was allowed
--       trouble
--       first_ms       for how long the first failure closes it; each one doubles it
--       longest_ms
--       keep_ms        for how long the failures are kept
--       trial          what closed holds if this Create was the trial
--       failing        what it holds after a failure
local count = tonumber(redis.call('HGET', failures, 'count')) or 0
if count ~= tonumber(failures_seen) then
  if redis.call('GET', closed) == trial then
    redis.call('DEL', closed)
  end
  return {math.max(0, redis.call('PTTL', closed)), 0}
end
redis.call('HSET', failures, 'count', count + 1, 'trouble', trouble)
redis.call('PEXPIRE', failures, keep_ms)
local closed_ms = math.min(longest_ms, first_ms * 2 ^ math.min(count, 20))
local left_ms = redis.call('PTTL', closed)
if left_ms > closed_ms and redis.call('GET', closed) ~= trial then
  return {left_ms, 1} -- by a 429
end
redis.call('SET', closed, failing, 'PX', string.format('%.0f', closed_ms))
return {closed_ms, 1}
