-- Moves the expiry of a live record later, never earlier and never past its end. Version, guard and text stay.
--
-- KEYS: 1 the record.
-- ARGV: 1 now, 2 expires_at, each as 16 decimal digits;
--   3 the minimum time to live of the key in milliseconds: from now to an hour after `expires_at`.
-- Returns `done`, `missing` or `corrupt`.
--
-- The record is read first, because SETRANGE would create a missing key, without a time to live.
if state then return state end
local now, expires_at, ends_at = ARGV[1], ARGV[2], sub(head, first, first + 15)
if live_until <= now then return 'missing' end
if expires_at > ends_at then expires_at = ends_at end
if expires_at >= live_until then
  local touched_at = sub(head, first + 34, first + 49)
  if touched_at < now then touched_at = now end
  redis.call('SETRANGE', KEYS[1], first + 16, expires_at .. ' ' .. touched_at)
  redis.call('PEXPIRE', KEYS[1], ARGV[3], 'GT')
end
return 'done'
