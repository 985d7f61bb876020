-- Follows every script that writes a record, and is run if that has not answered: the begin of a head in format 1.
-- ARGV: 2 the format that is written, 3 the version.
local begin
if ARGV[2] == '1' then begin = '1 ' .. ARGV[3] .. ' ' .. new_guard .. ' ' end
