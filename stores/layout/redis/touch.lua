-- Moves the expiry of a live record later, never earlier and never past its end. Version, guard and text stay.
--
-- KEYS: 1 the record.
-- ARGV: 1 now, 2 expires_at, each as 16 decimal digits.
-- Answers `done`, `missing` or `corrupt`.
--
-- SETRANGE would make a key that is not there, without an end to its life: the record is read first.
local old, state = read(KEYS[1])
if not old then return state end
local now = tonumber(ARGV[1])
if old.live_until <= now then return 'missing' end
local expires_at, until_ = ARGV[2], tonumber(ARGV[2])
if until_ > old.last then expires_at, until_ = old.ends_at, old.last end
if until_ >= old.live_until then
  local touched_at = ARGV[1]
  if tonumber(old.touched_at) > now then touched_at = old.touched_at end
  redis.call('SETRANGE', KEYS[1], old.format.expires_at, expires_at .. ' ' .. touched_at)
  redis.call('PEXPIRE', KEYS[1], life(now, until_), 'GT')
end
return 'done'
