-- Lease due jobs that no worker runs: stores take turns, and a store's job that is due first comes first.
-- Returns id, score, id, score, ... of the leased jobs, and the ids that cannot be a job's: those are removed.
-- KEYS: queue
-- ARGV: now_ms        '' for Redis's own time
--       owner         the worker
--       lease_ms
--       limit         how many jobs at most
--       lease_prefix  what the keys of leases begin with
--       store_limit   how many jobs of one store the worker may run
--       read_limit    how many due jobs to look at
--       running       the ids of the jobs that the worker runs now
local ENOUGH = 500
local time = redis.call('TIME')
local now = tonumber(now_ms) or time[1] * 1000 + math.floor(time[2] / 1000)

local function store_of(id)
  return string.match(id, '^[^:]*:([^:]*)') or ''
end

store_limit = tonumber(store_limit)
local taken, is_running = {}, {}
for _, id in ipairs(running) do
  local store = store_of(id)
  taken[store] = (taken[store] or 0) + 1
  is_running[id] = true
end

local free, unreadable = {}, {}
local due = redis.call('ZRANGEBYSCORE', queue, '-inf', now, 'LIMIT', 0, read_limit)
for position, id in ipairs(due) do
  local store = store_of(id)
  local turn = taken[store] or 0
  -- The rest comes last: a store that has its share may have thousands of jobs more.
  if turn < store_limit and not is_running[id] then
    if string.find(id, '[^ -~]') then
      redis.call('ZREM', queue, id)
      unreadable[#unreadable + 1] = string.gsub(id, '[^ -~]', function(byte)
        return string.format('\\x%02x', string.byte(byte))
      end)
    else
      -- A lease of this worker for a job that it does not run: the answer to that claim, or to a finish, got lost.
      local holder = redis.call('GET', lease_prefix .. id)
      if not holder or holder == owner then
        taken[store] = turn + 1
        free[#free + 1] = { turn = turn, position = position, id = id }
        if #free >= ENOUGH then
          break
        end
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
  claimed[#claimed + 1] = redis.call('ZSCORE', queue, free[i].id)
end
return { claimed, unreadable }
