-- Appends a message.
--
-- ARGV: 2 the stamp, 3 the sender's key or empty, 4 the rest of the message from the key on; 5 the maximum number of messages,
--   6 their maximum size, 7 the rule of a full mailbox: `refuse`, `drop-oldest` or `end`; 8 the maximum number of a message.
-- Returns the id of the message, also of one of the last 16 that has the key; or `missing`, `corrupt`, `ended`, `full`.
if state then return state end
local count = redis.call('LLEN', mailbox) - 1
if ARGV[3] ~= '' then
  local from = math.max(1, count - 15)
  local newest = redis.call('LRANGE', mailbox, from, -1)
  for place = #newest, 1, -1 do
    local stamp, key = string.match(newest[place], '^(%x+) (%S*) ')
    if key == ARGV[3] then return string.format('%.0f.', first + from + place - 2) .. stamp end
  end
end
if ended ~= '-' then return 'ended' end
local message = ARGV[2] .. ' ' .. ARGV[4]
local size, evicted, answer = #message - MAIL_OVERHEAD, 0, nil
while count - evicted >= tonumber(ARGV[5]) or bytes + size > tonumber(ARGV[6]) do
  if first > acknowledged and (ARGV[7] ~= 'drop-oldest' or count == evicted) then
    answer = 'full'
    if ARGV[7] == 'end' and count > evicted then
      answer, ended = 'ended', 'overflow'
    end
    break
  end
  evicted = evict(evicted)
end
if first + count - evicted > tonumber(ARGV[8]) then answer = 'full' end
if answer then
  if evicted > 0 or ended ~= '-' then save(evicted) end
  return answer
end
bytes = bytes + size
redis.call('RPUSH', mailbox, message)
save(evicted)
return string.format('%.0f.', first + count - evicted) .. ARGV[2]
