-- Changes the state of a mailbox.
--
-- ARGV: 2 the change, 3 until, 4 the time to live of the key in milliseconds; then
--   `attach`: 5 the holder. Until is the least. Returns `done`, `ended`.
--   `detach`: 5 the holder. Returns `done`, or `other` if it is not the holder.
--   `end`: 5 the reason. Returns `done`, or `other` if the connection has ended before.
--   `keep`: until is the least. Returns `done`.
-- Returns `missing` or `corrupt` as well.
if state then return state end
local change, later = ARGV[2], tonumber(ARGV[3])
if change == 'attach' then
  if ended ~= '-' then return 'ended' end
  holder = ARGV[5]
elseif change == 'detach' then
  if holder ~= ARGV[5] then return 'other' end
  holder = '-'
elseif change == 'end' then
  if ended ~= '-' then return 'other' end
  ended = ARGV[5]
end
if change == 'detach' or change == 'end' then
  till = later
  redis.call('PEXPIRE', mailbox, ARGV[4])
elseif later > till then
  till = later
  redis.call('PEXPIRE', mailbox, ARGV[4], 'GT')
elseif change == 'keep' then
  return 'done'
end
save(0)
return 'done'
