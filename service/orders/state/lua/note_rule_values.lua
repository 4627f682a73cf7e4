-- Count orders for each rule: whether it gave a value. Returns each rule and its counts before: name, 'orders given
-- misses', name, …
-- A rule that was changed is counted anew, and one that is not named is forgotten.
-- KEYS: counts  the store's rules: 'fingerprint orders given misses'; misses are the orders since its last value,
--               orders those up to it
-- ARGV: most     at so many orders both counts of a rule are halved, so that they are about lately
--       keep_ms  how long the counts are kept after the store's last order
--       rules    name, 'fingerprint found', …; found has a character for each order: 1, 0, or - for an order that was
--                counted before and found nothing
local known = redis.call('HGETALL', counts)
local before, named, answer = {}, {}, {}
for at = 1, #known, 2 do
  before[known[at]] = known[at + 1]
end
for at = 1, #rules, 2 do
  local name = rules[at]
  named[name] = true
  local fingerprint, found = string.match(rules[at + 1], '^(%S+) (%S+)$')
  local last, orders, given, misses = string.match(before[name] or '', '^(%S+) (%d+) (%d+) (%d+)$')
  if last ~= fingerprint then
    orders, given, misses = 0, 0, 0
  end
  answer[#answer + 1] = name
  answer[#answer + 1] = string.format('%d %d %d', orders, given, misses)
  for each in string.gmatch(found, '.') do
    if each == '1' then
      orders, given, misses = orders + misses + 1, given + 1, 0
      if orders >= tonumber(most) then
        orders, given = math.floor(orders / 2), math.ceil(given / 2)
      end
    elseif each == '0' then
      misses = misses + 1
    end
  end
  redis.call('HSET', counts, name, string.format('%s %d %d %d', fingerprint, orders, given, misses))
end
for name in pairs(before) do
  if not named[name] then
    redis.call('HDEL', counts, name)
  end
end
redis.call('PEXPIRE', counts, keep_ms)
return answer
