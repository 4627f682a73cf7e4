-- Failed orders of a store, the newest first. Those that the index of all orders has, too, are marked.
-- Returns for each its id, its time (ms), and 1 or 0.
-- KEYS: failed   the store's failed orders by time (ms)
--       index    all its orders by time (ms)
-- ARGV: highest  the time from which on
--       lowest   the time to which
--       most     how many
local orders = {}
local found = redis.call('ZREVRANGEBYSCORE', failed, highest, lowest, 'WITHSCORES', 'LIMIT', 0, most)
for position = 1, #found, 2 do
  table.insert(orders, found[position])
  table.insert(orders, found[position + 1])
  table.insert(orders, redis.call('ZSCORE', index, found[position]) and 1 or 0)
end
return orders
