-- The answers to several commands that write nothing.
-- ARGV: words  of each command how many words it has, then these
local answers, place = {}, 1
while place <= #words do
  local last = place + tonumber(words[place])
  table.insert(answers, redis.call(unpack(words, place + 1, last)))
  place = last + 1
end
return answers
