-- The first part of the scripts on an index, and of `import`: the time to live of a key.
--
-- Moments are milliseconds since 1970 below 2^53, which Lua's numbers represent exactly.
-- An expired key is kept for another hour, because its record may still be live by the clock of another host.
-- The time counts from the caller's clock.
local GRACE = 3600000

local function life(now, expires_at)
  return string.format('%.0f', math.max(tonumber(expires_at) - tonumber(now), 0) + GRACE)
end
