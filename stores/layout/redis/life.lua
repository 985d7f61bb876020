-- The first part of the scripts on an index, and of `import`: for how long a key is kept.
--
-- Moments are milliseconds since 1970 below 2^53, which Lua's numbers hold exactly.
-- A key that has expired is kept for another hour, because a host whose clock is behind may still see its record alive.
-- The caller's clock alone says how long that is from now.
local GRACE = 3600000

local function life(now, expires_at)
  return string.format('%.0f', math.max(tonumber(expires_at) - tonumber(now), 0) + GRACE)
end
