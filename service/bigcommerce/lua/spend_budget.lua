-- Take calls off a budget, or say how long to wait. After the last window's end a new one is guessed: it begins now
-- and is like the last.
-- Returns granted (1, 0, or -1 for what unless says), wait (ms), then the window: its id, left, resets in (ms), length (ms), guessed (1 or 0).
-- KEYS: budget
--       unless           if it is given: nothing is taken off while this key is there
-- ARGV: now_ms           '' for Redis's own time
--       keep_ms          how long to keep the budget after its window's end
--       first_limit      of the first window ever
--       first_length_ms  of the first window ever
--       reserve_percent  how much of the limit is kept for higher priorities
--       calls            how many to take off
local now = tonumber(now_ms)
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + time[2] / 1000
end
local known = redis.call('HMGET', budget, 'limit', 'length', 'window', 'left', 'resets_at', 'guessed')
local limit, length = tonumber(known[1] or first_limit), tonumber(known[2] or first_length_ms)
local window, left, resets_at, guessed = known[3], tonumber(known[4]), tonumber(known[5]), known[6]
if not window or now >= resets_at then
  window, left, resets_at, guessed = string.format('%.0f', now), limit, now + length, '1'
end
resets_at = math.min(resets_at, now + length) -- it is farther away only when Redis's clock was set back

-- The reserve shrinks with the time that is left: what no higher priority has used is for everybody in the end.
local percent, count, wait = tonumber(reserve_percent), tonumber(calls), 0
if left < count then
  wait = resets_at - now
elseif percent > 0 then
  wait = resets_at - now - (left - count) * 100 * length / (percent * limit)
end
local is_barred = unless and redis.call('EXISTS', unless) == 1
local granted = wait <= 0 and not is_barred
if granted then
  left = left - count
end

redis.call('HSET', budget, 'limit', limit, 'length', length, 'window', window, 'left', left,
  'resets_at', string.format('%.3f', resets_at), 'guessed', guessed)
redis.call('PEXPIRE', budget, math.ceil(resets_at - now) + tonumber(keep_ms))
return {is_barred and -1 or granted and 1 or 0, granted and 0 or math.floor(wait) + 1,
  tonumber(window), left, math.ceil(resets_at - now), math.ceil(length), tonumber(guessed)}
