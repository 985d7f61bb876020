-- Writes a record over the live one that is expected.
--
-- KEYS: 1 the record.
-- ARGV: 1 now, 2 the format that is written, 3 version, 4 guard, 5 ends_at, 6 expires_at, 7 text,
--   8 `version` or `guard`, 9 the one that the record must have;
--   then, if it has an owner, 10 the owner and 11, if there is one, the tag of an entry in the owner's index.
--   Version and guard are 16 hexadecimal digits, moments 16 decimal ones. An empty guard keeps the one that is there.
-- Answers `done`, the tag by which the record is listed now, owner and tag until now; `missing`; `stale`; `corrupt`;
--   or `unlisted` if the record would not be in its owner's index for long enough by the entry that is named,
--   with the tag of the entry to be renewed if the owner's index has one.
--
-- An entry is kept as long as the owner is: a walk that is under way would miss a record whose entry is taken away
-- before it and made anew behind it.
if state then return {state} end
if live_until <= tonumber(ARGV[1]) then return {'missing'} end
local guard = guard_at and sub(head, guard_at, guard_at + 15) or NO_GUARD
local found = ARGV[8] == 'guard' and guard or sub(head, 3, 18)
if found ~= ARGV[9] then return {'stale'} end
local new_guard, expires_at, touched_at = ARGV[4], ARGV[6], ARGV[1]
local new_owner, listed = ARGV[10], ARGV[11]
if new_owner and owner == new_owner then
  if tonumber(ARGV[5]) <= tonumber(sub(head, first, first + 15)) then
    listed = tag
  elseif listed ~= tag then
    return {'unlisted', tag}
  end
end
if new_owner and not listed then return {'unlisted'} end
if new_guard == '' then new_guard = guard end
