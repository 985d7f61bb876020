-- Notes that the client has been sent all messages through a place, and evicts all but the last ones of these.
--
-- ARGV: 2 the number and 3 the stamp of the place, 4 the number of messages to keep, 5 the holder.
-- Returns `done`, also for another holder and for a place that does not belong to this history; `missing`; `corrupt`.
if state then return state end
if holder ~= ARGV[5] then return 'done' end
local count = redis.call('LLEN', mailbox) - 1
local number = tonumber(ARGV[2])
if number < first or number >= first + count or number <= acknowledged then return 'done' end
if string.sub(redis.call('LINDEX', mailbox, number - first + 1), 1, 8) ~= ARGV[3] then return 'done' end
acknowledged = number
local evicted = 0
while first + tonumber(ARGV[4]) <= acknowledged do evicted = evict(evicted) end
save(evicted)
return 'done'
