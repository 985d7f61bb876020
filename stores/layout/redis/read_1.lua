-- The first part of every script on a record: the begin of its string, and format 1 of the head.
--
-- Sets `first`, the place of `ends_at` in the string (Lua counts from 1), if the head is of a known format; and `guard`.
-- In every format `ends_at` is followed by expires_at (17 bytes behind), touched_at (34), the tag (51), the owner's
-- length (85) and the owner (89).
local NO_GUARD = '0000000000000000'
local NO_TAG = '0000000000000000-0000000000000000'
-- As many bytes as the head of an owner of some 60 bytes.
local HEAD_BYTES = 192

local byte, sub = string.byte, string.sub
local head = redis.call('GETRANGE', KEYS[1], 0, HEAD_BYTES - 1)
local first, guard

if byte(head, 1) == 49 and byte(head, 2) == 32 and byte(head, 19) == 32 and byte(head, 36) == 32 then
  first, guard = 37, sub(head, 20, 35)
end
