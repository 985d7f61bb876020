-- Writes another store's record where no live one is, or over a version. The expiry never moves earlier by it.
--
-- KEYS: 1 the record.
-- ARGV: 1 now, 2 the format that is written, 3 version, 4 guard, 5 ends_at, 6 expires_at, 7 text,
--   8 the version it may write over, 9 touched_at;
--   then, if it has an owner, 10 the owner and 11 the tag of its entry in the owner's index.
--   Versions and guard are 16 hexadecimal digits, moments 16 decimal ones.
-- Answers as `insert` does. An entry is kept as long as the owner is, as in `replace`.
if state == 'corrupt' then return {state} end
local new_guard, expires_at, touched_at = ARGV[4], ARGV[6], ARGV[9]
local new_owner, listed = ARGV[10], ARGV[11]
if not state then
  if live_until > tonumber(ARGV[1]) and sub(head, 3, 18) ~= ARGV[8] then return {'stale'} end
  local ends_at, was_touched_at = tonumber(ARGV[5]), sub(head, first + 34, first + 49)
  if listed and owner == new_owner and ends_at <= tonumber(sub(head, first, first + 15)) then listed = tag end
  if live_until > tonumber(expires_at) then expires_at = sub(head, first + 17, first + 32) end
  if tonumber(expires_at) > ends_at then expires_at = ARGV[5] end
  if tonumber(was_touched_at) > tonumber(touched_at) then touched_at = was_touched_at end
end
