-- Record how alerts have changed and queue the messages about it: both or neither. Nothing is done if the alerts were
-- recorded by somebody else since they were read. Returns whether it was done (1 or 0), and the messages that the queue
-- had no more room for, the oldest first.
-- KEYS: alerts      the alerts, by name, and their version
--       queue       messages to deliver, in their order
-- ARGV: version     the version that was read
--       max_queued  how many messages may wait
--       changes     how many alerts have changed
--       rest        for each of them its name and its state ('': forgotten); then the messages
if (redis.call('HGET', alerts, 'version') or '0') ~= version then
  return { 0, {} }
end
local next_version = redis.call('HINCRBY', alerts, 'version', 1)
for i = 1, tonumber(changes) do
  local name, state = rest[2 * i - 1], rest[2 * i]
  if state == '' then
    redis.call('HDEL', alerts, name)
  else
    redis.call('HSET', alerts, name, state)
  end
end
local first = 2 * tonumber(changes) + 1
for i = first, #rest do
  -- A thousand channels at the most.
  redis.call('ZADD', queue, next_version * 1000 + i - first, rest[i])
end
local dropped = {}
local excess = redis.call('ZCARD', queue) - tonumber(max_queued)
if excess > 0 then
  dropped = redis.call('ZRANGE', queue, 0, excess - 1)
  for _, message in ipairs(dropped) do
    redis.call('ZREM', queue, message)
  end
end
return { 1, dropped }
