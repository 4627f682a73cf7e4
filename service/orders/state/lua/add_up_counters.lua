-- Add what finished orders have added to their stores' statistics to the counters of their days and hours. Returns 1 when
-- there may be more of them.
-- KEYS: pending  a list with what each order adds ('+') or takes back ('-'): the sign, and a line with the prefix of the
--                store's keys, then each period's name and until when it is kept (Unix seconds); then a counter a line
-- ARGV: now_ms   '' for Redis's own time
--       at_once  so many at the most
--       most     counters of a period; reasons of one more are counted as 'other'
local time = redis.call('TIME')
local now_s = now_ms ~= '' and now_ms / 1000 or tonumber(time[1])
local orders = redis.call('LRANGE', pending, 0, at_once - 1)

local periods = {}
for _, order in ipairs(orders) do
  local sign = string.sub(order, 1, 1) == '-' and -1 or 1
  local prefix, its_periods, counters = string.match(order, '^.(%S+)([^\n]*)\n(.*)$')
  for name, expires in string.gmatch(its_periods, '(%d+) (%d+)') do
    local key = prefix .. name
    local period = periods[key] or { expires = tonumber(expires), counts = {} }
    periods[key] = period
    for counter in string.gmatch(counters, '[^\n]+') do
      period.counts[counter] = (period.counts[counter] or 0) + sign
    end
  end
end

local function add(key, name, count)
  if count ~= 0 and redis.call('HINCRBY', key, name, count) <= 0 then
    redis.call('HDEL', key, name)
  end
end

for key, period in pairs(periods) do
  if period.expires > now_s then
    local reasons = {}
    for name, count in pairs(period.counts) do
      if string.sub(name, 1, 2) == 'r:' then
        reasons[name] = count
      else
        add(key, name, count)
      end
    end
    for name, count in pairs(reasons) do
      -- One to take back that is not there by its name was counted as 'other'.
      if redis.call('HEXISTS', key, name) == 0 and (count < 0 or redis.call('HLEN', key) >= tonumber(most)) then
        name = string.gsub(name, '^(r:%a+:).*', '%1other')
      end
      add(key, name, count)
    end
    redis.call('EXPIRE', key, string.format('%.0f', period.expires - now_s))
  end
end
redis.call('LTRIM', pending, #orders, -1)
return #orders == tonumber(at_once) and 1 or 0
