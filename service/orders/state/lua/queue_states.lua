-- How full the queues are, and how late: what gauges and the console show.
-- Returns for each queue how many jobs it has, and for how long its oldest due job has not been taken (ms).
-- ARGV: now_ms        '' for Redis's own time
--       lease_prefix  of the keys of leases, which only running jobs have
--       most          how many due jobs of a queue are looked at
--       queues        the queues' keys
local time = redis.call('TIME')
local now = tonumber(now_ms) or time[1] * 1000 + math.floor(time[2] / 1000)
local states = {}
for _, queue in ipairs(queues) do
  local late = 0
  -- Running jobs stay in the queue's set.
  local due = redis.call('ZRANGEBYSCORE', queue, '-inf', now, 'WITHSCORES', 'LIMIT', 0, most)
  for position = 1, #due, 2 do
    if redis.call('EXISTS', lease_prefix .. due[position]) == 0 then
      late = now - due[position + 1]
      break
    end
  end
  table.insert(states, redis.call('ZCARD', queue))
  table.insert(states, late)
end
return states
