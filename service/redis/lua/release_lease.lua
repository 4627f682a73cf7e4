-- Give a lease back. Returns 1 when it was the owner's, else 0.
-- KEYS: lease  who holds it
-- ARGV: owner  who gives it back
if redis.call('GET', lease) ~= owner then
  return 0
end
redis.call('DEL', lease)
return 1
