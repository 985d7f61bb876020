-- The part after the formats in every script on a record: reads the rest of the head.
--
-- Sets `state` to `missing` if there is no record, and to `corrupt` if the layout is damaged: the format, a separator, the
-- owner's length or the newline. Only readers check digits, because a check here would slow down every write.
-- Otherwise sets `live_until`, the expiry; `tag`, which is `NO_TAG` if the record has no owner; and `newline`, the
-- position of the newline.
--
-- Moments have 16 digits, so that they compare as texts.
local LAST_OWNER = 512

local state, live_until, tag, newline
if head == '' then
  state = redis.call('EXISTS', KEYS[1]) == 0 and 'missing' or 'corrupt'
elseif first and byte(head, first + 16) == 32 and byte(head, first + 33) == 32 and byte(head, first + 50) == 32
  and byte(head, first + 84) == 32 and byte(head, first + 88) == 32 then
  local length = tonumber(sub(head, first + 85, first + 87)) or -1
  newline = first + 89 + length
  if newline > HEAD_BYTES and length <= LAST_OWNER then head = redis.call('GETRANGE', KEYS[1], 0, newline - 1) end
  live_until, tag = sub(head, first + 17, first + 32), sub(head, first + 51, first + 83)
  if length < 0 or byte(head, newline) ~= 10 or (length > 0 and tag == NO_TAG) then state = 'corrupt' end
else
  state = 'corrupt'
end
