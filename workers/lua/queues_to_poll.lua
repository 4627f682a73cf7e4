-- Which queues have more due jobs than the asking process runs: one of them may be free.
-- Returns the names of these queues, and of those that cannot be read: their worker finds out why.
-- ARGV: now_ms   '' for Redis's own time
--       running  for each queue its name, and how many of its jobs the process runs
local time = redis.call('TIME')
local now = tonumber(now_ms) or time[1] * 1000 + math.floor(time[2] / 1000)
local found = {}
for i = 1, #running, 2 do
  local queue, its_running = running[i], tonumber(running[i + 1])
  local due = redis.pcall('ZRANGEBYSCORE', queue, '-inf', now, 'LIMIT', 0, its_running + 1)
  if due.err or #due > its_running then
    found[#found + 1] = queue
  end
end
return found
