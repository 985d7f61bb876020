-- The last part of every script that writes a record: writes the whole record, with its time to live.
--
-- ARGV: 1 format and version, as at the beginning of the head, without the space before the guard;
--   2 the guard (16 hexadecimal digits);
--   3 `ends_at`, `expires_at` and `touched_at`, as in the head: 16 decimal digits each, with a space between;
--   4 the tag of the entry that lists the record, or the tag of none;
--   5 the rest of the string: the owner's length, the owner, the newline, the text;
--   6 the time to live of the key in milliseconds: from now to an hour after `expires_at`.
-- The previous parts may have replaced 2, 3, 4 and 6.
--
-- Returns `kept` if the record is listed as before, by the same entry or by none; otherwise `moved`, with the previous
--   owner and tag if the previous record had an owner.
redis.call('SET', KEYS[1],
  ARGV[1] .. ' ' .. new_guard .. ' ' .. moments .. ' ' .. new_tag .. ' ' .. ARGV[5], 'PX', life_millis)
if not tag or (tag == NO_TAG and new_tag ~= NO_TAG) then return 'moved' end
if tag == new_tag then return 'kept' end
return {'moved', sub(head, first + 89, newline - 1), tag}
