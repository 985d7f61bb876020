-- Writes a record where no live one is.
--
-- KEYS: 1 the record.
-- ARGV: 1 now, 2 the format that is written, 3 version, 4 guard, 5 ends_at, 6 expires_at, 7 text;
--   then, if it has an owner, 8 the owner and 9 the tag of its entry in the owner's index.
--   Version and guard are 16 hexadecimal digits, moments 16 decimal ones. An empty guard is 0.
-- Answers `done`, the tag by which the record is listed, owner and tag of the expired one that was there;
--   `stale`; or `corrupt`. Nothing stands for an owner or a tag that is not there.
local old, state = read(KEYS[1])
if state == 'corrupt' then return {state} end
if old and old.live_until > tonumber(ARGV[1]) then return {'stale'} end
local guard = ARGV[4]
if guard == '' then guard = NO_GUARD end
write(guard, ARGV[5], ARGV[6], ARGV[1], ARGV[9], ARGV[8])
return {'done', ARGV[9] or false, old and old.owner or false, old and old.tag or false}
