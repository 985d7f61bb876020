-- Reads a part of an owner's index in order of score and member, and removes the members whose end passed an hour ago.
--
-- KEYS: 1 the index.
-- ARGV: 1 now, 2 the number of members; then, to continue after a member, 3 its score,
--   4 a text that sorts after the member and before every other one.
-- Returns members, each followed by its score.
--
-- A replica refuses the removal, which is ignored.
-- A binary search finds the position. Texts are compared bytewise, as Redis orders them, because Lua uses the locale.
local function is_behind(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x > y end
  end
  return #a > #b
end
redis.pcall('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', tonumber(ARGV[1]) - GRACE))
local first = 0
if ARGV[3] then
  first = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[3])
  local last = first + redis.call('ZCOUNT', KEYS[1], ARGV[3], ARGV[3])
  while first < last do
    local middle = math.floor((first + last) / 2)
    if is_behind(redis.call('ZRANGE', KEYS[1], middle, middle)[1], ARGV[4]) then
      last = middle
    else
      first = middle + 1
    end
  end
end
return redis.call('ZRANGE', KEYS[1], first, first + tonumber(ARGV[2]) - 1, 'WITHSCORES')
