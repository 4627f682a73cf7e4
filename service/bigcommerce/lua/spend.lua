-- Take calls off a quota, or say how long to wait. Where the last window is over, a new one is guessed: it begins
-- now, and is like the last.
-- Returns granted (1 or 0), wait (ms), then the window: its id, left, resets in (ms), length (ms), guessed (1 or 0).
-- KEYS: 1 the budget
-- ARGV: 1 now (ms; '' for Redis's own time), 2 how long to keep it after its window (ms), 3 limit and 4 length (ms) of
--       the first window ever, 5 percent of the limit kept for higher priorities, 6 how many calls
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + time[2] / 1000
end
local known = redis.call('HMGET', KEYS[1], 'limit', 'length', 'window', 'left', 'resets_at', 'guessed')
local limit, length = tonumber(known[1] or ARGV[3]), tonumber(known[2] or ARGV[4])
local window, left, resets_at, guessed = known[3], tonumber(known[4]), tonumber(known[5]), known[6]
if not window or now >= resets_at then
  window, left, resets_at, guessed = string.format('%.0f', now), limit, now + length, '1'
end
resets_at = math.min(resets_at, now + length) -- it is farther away only when Redis's clock was set back

-- The reserve shrinks with the time that is left: what nobody above has used is everybody's in the end.
local percent, calls, wait = tonumber(ARGV[5]), tonumber(ARGV[6]), 0
if left < calls then
  wait = resets_at - now
elseif percent > 0 then
  wait = resets_at - now - (left - calls) * 100 * length / (percent * limit)
end
local granted = wait <= 0
if granted then
  left = left - calls
end

redis.call('HSET', KEYS[1], 'limit', limit, 'length', length, 'window', window, 'left', left,
  'resets_at', string.format('%.3f', resets_at), 'guessed', guessed)
redis.call('PEXPIRE', KEYS[1], math.ceil(resets_at - now) + tonumber(ARGV[2]))
return {granted and 1 or 0, granted and 0 or math.floor(wait) + 1,
  tonumber(window), left, math.ceil(resets_at - now), math.ceil(length), tonumber(guessed)}
