-- Removes a record that meets the condition. Needs no memory.
--
-- KEYS: 1 the record.
-- ARGV: 1 now (16 decimal digits), 2 the required guard (16 hexadecimal digits; empty: any), 3 optional: the required owner.
-- Returns `removed` if the record was live, or `expired`, each with owner and tag of the record if it had an owner;
--   `stale` if a live record does not meet the condition; `missing` if there is no record, or an expired one that does not
--   meet it; or `corrupt`.
if state then return state end
local is_live = live_until > ARGV[1]
local owner = tag ~= NO_TAG and sub(head, first + 89, newline - 1)
if (ARGV[2] ~= '' and guard ~= ARGV[2]) or (ARGV[3] and owner ~= ARGV[3]) then
  return is_live and 'stale' or 'missing'
end
redis.call('DEL', KEYS[1])
state = is_live and 'removed' or 'expired'
return owner and {state, owner, tag} or state
