-- Write a fact of a store unless another process has changed it since it was read. Returns 1 when written, else 0.
-- KEYS: facts    the store's facts
-- ARGV: fact     its name
--       before   its observations as they were read; '' for none
--       after    its observations now
--       keep_ms  how long the facts are kept if nothing is observed
if (redis.call('HGET', facts, fact) or '') ~= before then
  return 0
end
redis.call('HSET', facts, fact, after)
redis.call('PEXPIRE', facts, keep_ms)
return 1
