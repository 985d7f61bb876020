-- Counts the keys of a service, and removes mailboxes that have passed if it is asked to.
--
-- ARGV: 1 the prefix, 2 now, 3 for how many milliseconds a mailbox that has passed may stay, 4 `remove` or `keep`.
-- Returns the numbers of: mailboxes that live, those of them with a client, mailboxes that have passed, those of them that
-- stay too long; mailboxes of nodes; keys of the registry, of sessions, and others.
local counts = {0, 0, 0, 0, 0, 0, 0, 0}
local function count(place) counts[place] = counts[place] + 1 end
for _, key in ipairs(redis.call('KEYS', '*')) do
  local name = string.match(key, '^' .. ARGV[1] .. '(.*)$') or ''
  if string.find(name, '^mail:') then
    local state = redis.call('LINDEX', key, 0)
    local till, holder, ended = string.match(state, '^1 (%d+) %d+ %x+ %d+ %d+ (%S+) (%S+) ')
    if not till then
      count(8)
    elseif tonumber(till) > tonumber(ARGV[2]) and string.find(name, '^mail:node%-') then
      count(5)
    elseif tonumber(till) > tonumber(ARGV[2]) then
      count(1)
      if holder ~= '-' and ended == '-' then count(2) end
    else
      count(3)
      local left = redis.call('PTTL', key)
      if left < 0 or left > tonumber(ARGV[3]) then
        count(4)
      elseif ARGV[4] == 'remove' then
        redis.call('DEL', key)
      end
    end
  elseif string.find(name, '^owner:session:') or string.find(name, '^record:.*connection:') then
    count(6)
  elseif string.find(name, '^owner:') or string.find(name, '^record:') then
    count(7)
  else
    count(8)
  end
end
return counts
