-- Writes a record of another store if there is no live one, or over one version. Neither the expiry nor the moment of the
-- last touch moves earlier.
--
-- KEYS: 1 the record.
-- ARGV: 1 to 6 as for `write.lua`; 7 now; 8 the version that it may overwrite.
-- Returns as `write.lua`; `stale`; or `corrupt`. The entry is kept while the owner stays the same, as in `replace`.
if state == 'corrupt' then return state end
local new_guard, moments, new_tag, life_millis = ARGV[2], ARGV[3], ARGV[4], ARGV[6]
if not state then
  if live_until > ARGV[7] and sub(head, 3, 18) ~= ARGV[8] then return 'stale' end
  local ends_at, expires_at, touched_at = sub(moments, 1, 16), sub(moments, 18, 33), sub(moments, 35, 50)
  if new_tag ~= NO_TAG and tag ~= NO_TAG and ends_at <= sub(head, first, first + 15)
    and sub(head, first + 85, newline) == sub(ARGV[5], 1, newline - first - 84) then
    new_tag = tag
  end
  local was_touched_at = sub(head, first + 34, first + 49)
  if live_until > expires_at then expires_at = live_until end
  if expires_at > ends_at then expires_at = ends_at end
  if was_touched_at > touched_at then touched_at = was_touched_at end
  moments, life_millis = ends_at .. ' ' .. expires_at .. ' ' .. touched_at, life(ARGV[7], expires_at)
end
