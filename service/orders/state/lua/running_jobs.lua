-- How many jobs each process runs that is alive. Forgets the dead ones.
-- KEYS: names   the processes that have said that they are there: a set
-- ARGV: prefix  of the keys that live only as long as their process does
local running = {}
for _, name in ipairs(redis.call('SMEMBERS', names)) do
  local jobs = redis.call('GET', prefix .. name)
  if jobs then
    table.insert(running, jobs)
  else
    redis.call('SREM', names, name)
  end
end
return running
