-- Learn from an answer's headers. Answers come late and out of order, so each is first matched with a window.
-- Returns the window that holds now: its id, left, resets in (ms), length (ms), guessed (1 or 0).
-- KEYS: 1 the budget
-- ARGV: 1 now (ms; '' for Redis's own time), 2 how long to keep it after its window (ms), 3 limit and 4 length (ms) of
--       the first window ever, 5 the id of the window that the call was taken off, then what was told: 6 left,
--       7 resets in (ms), 8 limit and 9 length (ms), '' where the headers did not tell
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + time[2] / 1000
end
local known = redis.call('HMGET', KEYS[1], 'limit', 'length', 'window', 'left', 'resets_at', 'guessed')
local limit, length = tonumber(known[1] or ARGV[3]), tonumber(known[2] or ARGV[4])
local window, left, resets_at, guessed = known[3], tonumber(known[4]), tonumber(known[5] or 0), known[6]

-- The headers were written a while ago, so the reset that they tell of is no later than this (1: they are rounded).
local told_reset = now + ARGV[7] + 1
local told_limit, told_length = tonumber(ARGV[8]) or limit, math.max(tonumber(ARGV[9]) or length, told_reset - now)
local told_left = math.min(tonumber(ARGV[6]), told_limit)
local ahead, is_own = told_reset - resets_at, ARGV[5] == window

if guessed == '1' and (is_own or now < resets_at and math.abs(ahead) <= length / 2) then
  -- The window that was guessed, as it really is. Calls of ours may be under way that these headers do not count.
  left = math.max(0, math.min(told_left, told_limit - (limit - left)))
  limit, length, resets_at, guessed = told_limit, told_length, told_reset, '0'
elseif not window or ahead > length / 2 then
  -- A window that began earlier than we thought.
  window, left, guessed = string.format('%.0f', now), told_left, '0'
  limit, length, resets_at = told_limit, told_length, told_reset
elseif now < resets_at and (is_own or ahead >= -length / 2) then
  -- The window that we know. Less is left than we think only when others spend from it.
  left = math.min(left, told_left)
  limit, length, resets_at = told_limit, told_length, math.min(resets_at, told_reset)
end -- else the headers are about a window that has passed

redis.call('HSET', KEYS[1], 'limit', limit, 'length', length, 'window', window, 'left', left,
  'resets_at', string.format('%.3f', resets_at), 'guessed', guessed)
redis.call('PEXPIRE', KEYS[1], math.max(0, math.ceil(resets_at - now)) + tonumber(ARGV[2]))
return {tonumber(window), left, math.max(0, math.ceil(resets_at - now)), math.ceil(length), tonumber(guessed)}
