-- Reads the messages after a place.
--
-- ARGV: 2 the number and 3 the stamp of the place, 4 the maximum number of messages, 5 their maximum size.
-- Returns `missing` or `corrupt`; or first, before, holder, end, the number of the first message, 1 if the place belongs to this
--   history and 0 otherwise, the number of the next message of the mailbox, and the messages.
--
-- The keys that the script reads are tracked for the client that runs it: the next change of the mailbox is reported to it.
if state then return state end
local count = redis.call('LLEN', mailbox) - 1
local number, known = tonumber(ARGV[2]), nil
if number + 1 == first then
  known = before
elseif number >= first and number < first + count then
  known = string.sub(redis.call('LINDEX', mailbox, number - first + 1), 1, 8)
end
local is_known = known == ARGV[3]
local from = is_known and number + 1 or first
local reply = {
  string.format('%.0f', first), before, holder, ended, string.format('%.0f', from), is_known and '1' or '0',
  string.format('%.0f', first + count),
}
local size, at = 0, from - first + 1
local last = math.min(count, at + math.max(1, tonumber(ARGV[4])) - 1)
-- In steps, because one message may be as large as the whole reply.
while at <= last do
  local messages = redis.call('LRANGE', mailbox, at, math.min(last, at + 15))
  for _, message in ipairs(messages) do
    size = size + #message - MAIL_OVERHEAD
    if #reply > 7 and size > tonumber(ARGV[5]) then return reply end
    reply[#reply + 1] = message
  end
  at = at + #messages
end
return reply
