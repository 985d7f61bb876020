-- Writes a record where no live one is.
--
-- KEYS: 1 the record.
-- ARGV: 1 now, 2 the format that is written, 3 version, 4 guard, 5 ends_at, 6 expires_at, 7 text;
--   then, if it has an owner, 8 the owner and 9 the tag of its entry in the owner's index.
--   Version and guard are 16 hexadecimal digits, moments 16 decimal ones. An empty guard is 0.
-- Answers `done`, the tag by which the record is listed, owner and tag of the expired one that was there;
--   `stale`; or `corrupt`. Nothing stands for an owner or a tag that is not there.
if state == 'corrupt' then return {state} end
if not state and live_until > tonumber(ARGV[1]) then return {'stale'} end
local new_guard, expires_at, touched_at = ARGV[4], ARGV[6], ARGV[1]
local new_owner, listed = ARGV[8], ARGV[9]
if new_guard == '' then new_guard = NO_GUARD end
