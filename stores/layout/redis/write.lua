-- The last part of every script that writes a record: it is written whole, with the time until Redis removes it.
-- ARGV: 1 now, 5 ends_at, 7 the text. `listed` is the tag of the entry that lists it, nil or false for none.
local of = listed and new_owner or ''
redis.call('SET', KEYS[1],
  begin .. ARGV[5] .. ' ' .. expires_at .. ' ' .. touched_at .. ' ' .. (listed or NO_TAG) .. ' '
    .. string.format('%03d', #of) .. ' ' .. of .. '\n' .. ARGV[7],
  'PX', life(tonumber(ARGV[1]), tonumber(expires_at)))
return {'done', listed or false, owner or false, tag or false}
