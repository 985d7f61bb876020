-- Writes another store's record where no live one is, or over a version. The expiry never moves earlier by it.
--
-- KEYS: 1 the record.
-- ARGV: 1 now, 2 the format that is written, 3 version, 4 guard, 5 ends_at, 6 expires_at, 7 text,
--   8 the version it may write over, 9 touched_at;
--   then, if it has an owner, 10 the owner and 11 the tag of its entry in the owner's index.
--   Versions and guard are 16 hexadecimal digits, moments 16 decimal ones.
-- Answers as `insert` does. An entry is kept as long as the owner is, as in `replace`.
local old, state = read(KEYS[1])
if state == 'corrupt' then return {state} end
local owner, tag, expires_at, touched_at = ARGV[10], ARGV[11], ARGV[6], ARGV[9]
if not old then
  write(ARGV[4], ARGV[5], expires_at, touched_at, tag, owner)
  return {'done', tag or false, false, false}
end
if old.live_until > tonumber(ARGV[1]) and old.version ~= ARGV[8] then return {'stale'} end
local last = tonumber(ARGV[5])
if tag and old.owner == owner and last <= old.last then tag = old.tag end
if old.live_until > tonumber(expires_at) then expires_at = old.expires_at end
if tonumber(expires_at) > last then expires_at = ARGV[5] end
if tonumber(old.touched_at) > tonumber(touched_at) then touched_at = old.touched_at end
write(ARGV[4], ARGV[5], expires_at, touched_at, tag, owner)
return {'done', tag or false, old.owner, old.tag}
