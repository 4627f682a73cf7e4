-- Lease due jobs that no worker runs: stores take turns, and a store's job that is due first comes first.
-- Returns id, score, id, score, ...
-- KEYS: queue
-- ARGV: owner             the worker
--       lease_ms
--       now_ms
--       limit             how many jobs at most
--       lease_prefix      what the keys of leases begin with
--       store_limit       how many jobs of one store the worker may run
--       running_by_store  JSON: how many jobs of each store it runs now
--       job_ids           the candidates, the first due first
local ENOUGH = 500
local taken, free = cjson.decode(running_by_store), {}
for position, id in ipairs(job_ids) do
  local store = string.match(id, '^[^:]*:([^:]*)') or ''
  local turn = taken[store] or 0
  -- Asking Redis comes last: a store that has its share may have thousands of jobs more.
  if turn < tonumber(store_limit) then
    local score = redis.call('ZSCORE', queue, id)
    if score and tonumber(score) <= tonumber(now_ms) and redis.call('EXISTS', lease_prefix .. id) == 0 then
      taken[store] = turn + 1
      free[#free + 1] = { turn = turn, position = position, id = id, score = score }
      if #free >= ENOUGH then
        break
      end
    end
  end
end
table.sort(free, function(a, b)
  if a.turn ~= b.turn then
    return a.turn < b.turn
  end
  return a.position < b.position
end)

local claimed = {}
for i = 1, math.min(#free, tonumber(limit)) do
  redis.call('SET', lease_prefix .. free[i].id, owner, 'PX', lease_ms)
  claimed[#claimed + 1] = free[i].id
  claimed[#claimed + 1] = free[i].score
end
return claimed
