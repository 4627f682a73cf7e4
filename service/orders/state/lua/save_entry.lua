-- Write an order's entry; the order stays in its state.
-- Returns
--   'saved'
--   'stale'   a newer attempt at the order has begun: nothing was written
--   'paused'  a person has paused writing for the store: nothing was written
-- KEYS: entry
--       paused   given where a write to B2B Edition follows: there while writing is paused
-- ARGV: attempt  the number of the attempt that writes
--       fields   fields of the entry: name, value, ...
local latest = redis.call('HGET', entry, 'attempts')
if latest and latest ~= attempt then
  return 'stale'
end
if paused and redis.call('EXISTS', paused) == 1 then
  return 'paused'
end
redis.call('HSET', entry, unpack(fields))
return 'saved'
