-- Removes a record that meets the condition. Needs no memory.
--
-- KEYS: 1 the record.
-- ARGV: 1 now (16 decimal digits), 2 the guard it must have (16 hexadecimal digits; empty: any),
--   then 3 the owner it must have, if that matters.
-- Answers `removed` if a live one was there, or `expired`, each with owner and tag of the one removed;
--   `stale` if a live one does not meet the condition; `missing` if none is there or an expired one does not meet it;
--   or `corrupt`. Nothing stands for an owner or a tag that is not there.
if state then return {state} end
local is_live = live_until > tonumber(ARGV[1])
local guard = guard_at and sub(head, guard_at, guard_at + 15) or NO_GUARD
if (ARGV[2] ~= '' and guard ~= ARGV[2]) or (ARGV[3] and owner ~= ARGV[3]) then
  return {is_live and 'stale' or 'missing'}
end
redis.call('DEL', KEYS[1])
return {is_live and 'removed' or 'expired', owner, tag}
