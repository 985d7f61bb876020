-- The part that follows the formats in every script on a record: what the head says.
--
-- Sets `state` to `missing` if nothing is there, and to `corrupt` if it cannot be read. Otherwise sets `live_until`, the
-- expiry as a number, and `owner` and `tag`, both false if the record has no owner.
local LAST = 9007199254740991

local state, live_until, owner, tag
if head == '' then
  state = redis.call('EXISTS', KEYS[1]) == 0 and 'missing' or 'corrupt'
elseif not first then
  state = 'corrupt'
else
  -- Only a moment that begins with 9 can be past the last.
  if byte(head, first) == 57 or byte(head, first + 17) == 57 or byte(head, first + 34) == 57
    or byte(head, first + 51) == 57 then
    for at = first, first + 51, 17 do
      if tonumber(sub(head, at, at + 15)) > LAST then state = 'corrupt' end
    end
  end
  local start = first + 89
  local newline = start + tonumber(sub(head, start - 4, start - 2))
  if newline > HEAD_BYTES and newline <= start + 512 then
    head = redis.call('GETRANGE', KEYS[1], 0, newline - 1)
  end
  live_until = tonumber(sub(head, first + 17, first + 32))
  owner = sub(head, start, newline - 1)
  tag = sub(head, first + 51, first + 83)
  if byte(head, newline) ~= 10 or (tag == NO_TAG and owner ~= '') then state = 'corrupt' end
  if tag == NO_TAG then owner, tag = false, false end
end
