-- Adds a member to an owner's index, and removes the members whose end passed an hour ago.
--
-- KEYS: 1 the index.
-- ARGV: 1 now, 2 ends_at, 3 the member.
-- Returns 1.
--
-- A score never decreases, so that a walk by score skips no entry that stays.
local now = tonumber(ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - GRACE))
redis.call('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[3])
local longer = life(now, ARGV[2])
if tonumber(longer) > redis.call('PTTL', KEYS[1]) then redis.call('PEXPIRE', KEYS[1], longer) end
return 1
