-- Take a lease, or renew it. Returns 1 when the owner holds it, 0 while somebody else does.
-- KEYS: lease   who holds it
-- ARGV: owner   who asks for it
--       ttl_ms  after which it ends by itself
local holder = redis.call('GET', lease)
if holder and holder ~= owner then
  return 0
end
redis.call('SET', lease, owner, 'PX', ttl_ms)
return 1
