-- The first part of every script on a record: reads the beginning of its string, and format 1 of the head.
--
-- Sets `first`, the position of `ends_at` in the string (Lua counts from 1), and `guard`, if the head has a known format.
-- In every format, these follow `ends_at` at an offset: expires_at (17), touched_at (34), the tag (51), the length of the
-- owner (85) and the owner (89).
local NO_GUARD = '0000000000000000'
local NO_TAG = '0000000000000000-0000000000000000'
-- Suffices for the head of an owner of about 60 bytes.
local HEAD_BYTES = 192

local byte, sub = string.byte, string.sub
local head = redis.call('GETRANGE', KEYS[1], 0, HEAD_BYTES - 1)
local first, guard

if byte(head, 1) == 49 and byte(head, 2) == 32 and byte(head, 19) == 32 and byte(head, 36) == 32 then
  first, guard = 37, sub(head, 20, 35)
end
