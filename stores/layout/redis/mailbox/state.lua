-- The first part of every script on a mailbox: reads its state.
--
-- KEYS: 1 the mailbox, a list. Its first element is the state; the others are the messages, the oldest first.
-- ARGV: 1 now, in milliseconds.
-- The state: format, until, first, before, bytes, acknowledged, holder or `-`, end or `-`, head; with a space between.
-- A message: stamp (8 hexadecimal digits), key, event, each with a space or newline behind it; then the data.
--
-- Sets `state` to `missing` or `corrupt` if there is no live mailbox.
-- `save` writes the state over the last evicted message and removes what stands before it, so that the list is never empty
-- and keeps its time to live.
local MAIL_OVERHEAD = 11
local mailbox, now = KEYS[1], tonumber(ARGV[1])
local state, till, first, before, bytes, acknowledged, holder, ended, head
local found = redis.call('LINDEX', mailbox, 0)
if found then
  till, first, before, bytes, acknowledged, holder, ended, head =
    string.match(found, '^1 (%d+) (%d+) (%x+) (%d+) (%d+) (%S+) (%S+) (.*)$')
  if till then
    till, first, bytes, acknowledged = tonumber(till), tonumber(first), tonumber(bytes), tonumber(acknowledged)
    if till <= now then state = 'missing' end
  else
    state = 'corrupt'
  end
else
  state = 'missing'
end

local function save(evicted)
  redis.call('LSET', mailbox, evicted, string.format('1 %.0f %.0f ', till, first) .. before
    .. string.format(' %.0f %.0f ', bytes, acknowledged) .. holder .. ' ' .. ended .. ' ' .. head)
  if evicted > 0 then redis.call('LTRIM', mailbox, evicted, -1) end
end

-- Counts the oldest message as evicted; `evicted` were before.
local function evict(evicted)
  local oldest = redis.call('LINDEX', mailbox, evicted + 1)
  before = string.sub(oldest, 1, 8)
  bytes = bytes - (#oldest - MAIL_OVERHEAD)
  first = first + 1
  return evicted + 1
end
