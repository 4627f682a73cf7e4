-- Take due jobs of a queue that nobody runs: each store in its turn, within a store the first due first.
-- Returns id, score, id, score, …
-- KEYS: 1 queue
-- ARGV: 1 owner, 2 lease (ms), 3 now (ms), 4 how many at most, 5 prefix of leases, 6 how many of one store at most,
--       7 JSON: how many of each store this worker has, 8... job ids, the first due first
local ENOUGH = 500
local taken, free = cjson.decode(ARGV[7]), {}
for i = 8, #ARGV do
  local id = ARGV[i]
  local store = string.match(id, '^[^:]*:([^:]*)') or ''
  local turn = taken[store] or 0
  -- Redis is asked last: a store that has its share may have thousands more.
  if turn < tonumber(ARGV[6]) then
    local score = redis.call('ZSCORE', KEYS[1], id)
    if score and tonumber(score) <= tonumber(ARGV[3]) and redis.call('EXISTS', ARGV[5] .. id) == 0 then
      taken[store] = turn + 1
      free[#free + 1] = { turn = turn, place = i, id = id, score = score }
      if #free >= ENOUGH then
        break
      end
    end
  end
end
table.sort(free, function(a, b)
  if a.turn ~= b.turn then
    return a.turn < b.turn
  end
  return a.place < b.place
end)

local claimed = {}
for i = 1, math.min(#free, tonumber(ARGV[4])) do
  redis.call('SET', ARGV[5] .. free[i].id, ARGV[1], 'PX', ARGV[2])
  claimed[#claimed + 1] = free[i].id
  claimed[#claimed + 1] = free[i].score
end
return claimed
