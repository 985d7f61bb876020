-- Writes a record over the live one that is expected.
--
-- KEYS: 1 the record.
-- ARGV: 1 to 6 as `write.lua` has them, but 2 is empty to keep the guard that is there, and 4 is empty if the record has
--   an owner and the caller names no entry; 7 now; 8 the version that is expected, or empty;
--   9 the guard that is expected where no version is.
-- Answers as `write.lua` does; `missing`; `stale`; `corrupt`; or `unlisted` if the record would not be in its owner's
--   index for long enough by the entry that is named, with the tag of the entry to be renewed if the index has one.
--
-- An entry is kept as long as the owner is: a walk that is under way would miss a record whose entry is taken away
-- before it and made anew behind it.
if state then return state end
local moments, new_tag, life_millis = ARGV[3], ARGV[4], ARGV[6]
if live_until <= ARGV[7] then return 'missing' end
if ARGV[8] ~= sub(head, 3, 18) and (ARGV[8] ~= '' or ARGV[9] ~= guard) then return 'stale' end
if new_tag ~= NO_TAG then
  -- With the length before them, owners are compared whole.
  if tag ~= NO_TAG and sub(head, first + 85, newline) == sub(ARGV[5], 1, newline - first - 84) then
    if sub(moments, 1, 16) <= sub(head, first, first + 15) then
      new_tag = tag
    elseif new_tag ~= tag then
      return {'unlisted', tag}
    end
  end
  if new_tag == '' then return 'unlisted' end
end
local new_guard = ARGV[2]
if new_guard == '' then new_guard = guard end
