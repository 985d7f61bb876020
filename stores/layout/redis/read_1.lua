-- The second part of every script on a record: the begin of its string, and format 1 of the head.
--
-- Sets `first`, the place of `ends_at` in the string (Lua counts from 1), if the head is of a known format and its fields
-- stand where they must; and `guard_at`, the place of the guard, if the format has one.
-- In every format `ends_at` is followed by expires_at (17 bytes behind), touched_at (34), the tag (51), the owner's
-- length (85) and the owner (89).
--
-- Fields are checked before they are copied out: a copy costs more, and no script needs them all.
local NO_GUARD = '0000000000000000'
local NO_TAG = '0000000000000000-0000000000000000'
-- As many bytes as the head of an owner of some 60 bytes.
local HEAD_BYTES = 192

local byte, sub = string.byte, string.sub
local head = redis.call('GETRANGE', KEYS[1], 0, HEAD_BYTES - 1)
local first, guard_at

if byte(head, 1) == 49 then
  local a, b, c, d, e, f, g = string.match(head,
    '^1 [%da-f]+() [%da-f]+() %d+() %d+() %d+() %d+()%-[%da-f]+() %d%d%d ')
  if a == 19 and b == 36 and c == 53 and d == 70 and e == 87 and f == 104 and g == 121 then
    first, guard_at = 37, 20
  end
end
