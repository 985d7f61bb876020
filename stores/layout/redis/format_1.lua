-- The second part of every script on a record: format 1 of the head.
--
-- `expires_at`: the offset of the expiry, which is followed by a space and the moment of the last write or touch.
-- `owner`: the offset of the owner.
-- `read`: version, guard, ends_at, expires_at, touched_at, tag, the tag's moment, the owner's length; nil if it is none.
-- `head`: the head of a record.
local NO_GUARD = '0000000000000000'
local NO_TAG = '0000000000000000-0000000000000000'

local formats = {}

formats['1'] = {
  expires_at = 53,
  owner = 125,
  read = function(head)
    return string.match(head,
      '^1 ([%da-f]+) ([%da-f]+) (%d+) (%d+) (%d+) ((%d+)%-[%da-f]+) (%d%d%d) ')
  end,
  head = function(version, guard, ends_at, expires_at, touched_at, tag, length)
    return '1 ' .. version .. ' ' .. guard .. ' ' .. ends_at .. ' ' .. expires_at .. ' ' .. touched_at
      .. ' ' .. tag .. ' ' .. length .. ' '
  end,
}
