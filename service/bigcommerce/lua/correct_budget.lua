-- Correct a budget by an answer's headers. Answers come late and out of order, so each is first matched with a window.
-- Returns the current window: its id, left, resets in (ms), length (ms), guessed (1 or 0).
-- KEYS: budget
-- ARGV: now_ms              '' for Redis's own time
--       keep_ms             how long to keep the budget after its window's end
--       first_limit         of the first window ever
--       first_length_ms     of the first window ever
--       spent_window        the id of the window that the call was taken off
--       reported_left       what the headers say
--       reported_reset_ms
--       reported_limit      '' where the headers do not say
--       reported_length_ms  '' where the headers do not say
local now = tonumber(now_ms)
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + time[2] / 1000
end
local known = redis.call('HMGET', budget, 'limit', 'length', 'window', 'left', 'resets_at', 'guessed')
local limit, length = tonumber(known[1] or first_limit), tonumber(known[2] or first_length_ms)
local window, left, resets_at, guessed = known[3], tonumber(known[4]), tonumber(known[5] or 0), known[6]

-- The headers were written a while ago, so the reset that they report is no later than this (1: they are rounded).
local new_reset = now + reported_reset_ms + 1
local new_limit = tonumber(reported_limit) or limit
local new_length = math.max(tonumber(reported_length_ms) or length, new_reset - now)
local new_left = math.min(tonumber(reported_left), new_limit)
local ahead, is_own = new_reset - resets_at, spent_window == window

if guessed == '1' and (is_own or now < resets_at and math.abs(ahead) <= length / 2) then
  -- The window that was guessed, as it really is. Calls of ours may be under way that these headers do not count.
  left = math.max(0, math.min(new_left, new_limit - (limit - left)))
  limit, length, resets_at, guessed = new_limit, new_length, new_reset, '0'
elseif not window or ahead > length / 2 then
  -- A window that began earlier than we thought.
  window, left, guessed = string.format('%.0f', now), new_left, '0'
  limit, length, resets_at = new_limit, new_length, new_reset
elseif now < resets_at and (is_own or ahead >= -length / 2) then
  -- The window that we know. Less is left than we think only when others spend from it.
  left = math.min(left, new_left)
  limit, length, resets_at = new_limit, new_length, math.min(resets_at, new_reset)
end -- else the headers are about a window that has passed

redis.call('HSET', budget, 'limit', limit, 'length', length, 'window', window, 'left', left,
  'resets_at', string.format('%.3f', resets_at), 'guessed', guessed)
redis.call('PEXPIRE', budget, math.max(0, math.ceil(resets_at - now)) + tonumber(keep_ms))
return {tonumber(window), left, math.max(0, math.ceil(resets_at - now)), math.ceil(length), tonumber(guessed)}
