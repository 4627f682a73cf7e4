-- Lease due jobs that no worker runs: stores take turns, and a store's job that is due first comes first.
-- Returns, for each leased job, its id, when it was due, its body and how often it was claimed, this time included; and
-- the ids that cannot be a job's: those are removed. The body is '' where there is none, or none that is JSON as arq's
-- jobs are written here.
-- KEYS: queue
-- ARGV: now_ms        '' for Redis's own time
--       owner         the worker
--       lease_ms
--       limit         how many jobs at most
--       lease_prefix  what the keys of leases begin with; the next two, those of bodies and of counts of claims
--       job_prefix
--       tries_prefix
--       store_limit   how many jobs of one store the worker may run
--       read_limit    how many due jobs to look at
--       running       the ids of the jobs that the worker runs now
local ENOUGH = 500
local KEEP_TRIES_S = 88400
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

-- Keys of another type, which another program has written, must not keep all other jobs from being claimed.
local function body_of(id)
  local body = redis.pcall('GET', job_prefix .. id)
  return type(body) == 'string' and not string.find(body, '[^ -~]') and body or ''
end

local function count_claim(id)
  local tries = redis.pcall('INCR', tries_prefix .. id)
  if type(tries) ~= 'number' then
    redis.call('SET', tries_prefix .. id, 1)
    tries = 1
  end
  redis.call('EXPIRE', tries_prefix .. id, KEEP_TRIES_S)
  return tries
end

local claimed = {}
for i = 1, math.min(#free, tonumber(limit)) do
  local id = free[i].id
  redis.call('SET', lease_prefix .. id, owner, 'PX', lease_ms)
  claimed[i] = { id, redis.call('ZSCORE', queue, id), body_of(id), count_claim(id) }
end
return { claimed, unreadable }
