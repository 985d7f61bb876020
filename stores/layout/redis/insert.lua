-- Writes a record if there is no live one.
--
-- KEYS: 1 the record.
-- ARGV: 1 to 6 as for `write.lua`, but an empty guard means 0; 7 now.
-- Returns as `write.lua`; `stale`; or `corrupt`.
if state == 'corrupt' then return state end
if not state and live_until > ARGV[7] then return 'stale' end
local new_guard, moments, new_tag, life_millis = ARGV[2], ARGV[3], ARGV[4], ARGV[6]
if new_guard == '' then new_guard = NO_GUARD end
