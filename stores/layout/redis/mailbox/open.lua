-- Creates a mailbox.
--
-- ARGV: 2 until, 3 the time to live of the key in milliseconds, 4 the head.
-- Returns `done`, also if the mailbox exists with this head; `taken`; `corrupt`.
if state == 'corrupt' then return state end
if not state then return head == ARGV[4] and 'done' or 'taken' end
redis.call('DEL', mailbox)
redis.call('RPUSH', mailbox, '1 ' .. ARGV[2] .. ' 1 00000000 0 0 - - ' .. ARGV[4])
redis.call('PEXPIRE', mailbox, ARGV[3])
return 'done'
