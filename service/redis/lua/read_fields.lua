-- The same fields of many hashes. Returns the values of the first hash, then those of the next one, and so on; nil
-- for what a hash does not have.
-- ARGV: names_count  how many names there are
--       words        the names of the fields, then the keys of the hashes
local names, values = {}, {}
names_count = tonumber(names_count)
for position = 1, names_count do
  names[position] = words[position]
end
local filled = 0
for position = names_count + 1, #words do
  local found = redis.call('HMGET', words[position], unpack(names))
  for each = 1, #names do
    values[filled + each] = found[each]
  end
  filled = filled + #names
end
return values
