-- Overwrites the expected live record.
--
-- KEYS: 1 the record.
-- ARGV: 1 to 6 as for `write.lua`, but 2 is empty to keep the current guard, and 4 is empty if the record has an owner and
--   the caller names no entry; 7 now; 8 the expected version, or empty; 9 the expected guard if 8 is empty.
-- Returns as `write.lua`; `missing`; `stale`; `corrupt`; or `unlisted` if the named entry would not list the record until
--   its end, with the tag of the entry to renew if the record has one.
--
-- The entry is kept while the owner stays the same: a walk in progress would miss a record whose entry is removed ahead of
-- it and recreated behind it.
if state then return state end
local moments, new_tag, life_millis = ARGV[3], ARGV[4], ARGV[6]
if live_until <= ARGV[7] then return 'missing' end
if ARGV[8] ~= sub(head, 3, 18) and (ARGV[8] ~= '' or ARGV[9] ~= guard) then return 'stale' end
if new_tag ~= NO_TAG then
  -- The length is compared with the owner, so that owners match only as a whole.
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
