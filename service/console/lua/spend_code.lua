-- Spend a sign-in code for a session. A code is there once: whoever comes second gets nothing.
-- Returns what the code grants, as JSON; '' when there is no such code.
-- KEYS: code      what a sign-in code grants, as JSON
--       session   the session that begins: a hash
--       sessions  all sessions by when they end (ms)
-- ARGV: session_id  the session's public id
local grant = redis.call('GET', code)
if not grant then
  return ''
end
redis.call('DEL', code)
local keep_ms = cjson.decode(grant)['session_s'] * 1000
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', session, 'grant', grant, 'began_ms', string.format('%d', now_ms),
  'until_ms', string.format('%d', now_ms + keep_ms))
redis.call('PEXPIRE', session, string.format('%d', keep_ms))
redis.call('ZADD', sessions, string.format('%d', now_ms + keep_ms), session_id)
return grant
