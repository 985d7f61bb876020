-- The begin of a head in the format for tests.
if ARGV[2] == '0' then begin = '0 ' .. ARGV[3] .. ' ' end
