-- The last part before every script on a record: it is read and written here.
local LAST = 9007199254740991
-- As many bytes as the head with the longest owner (512) and its newline.
local HEAD_BYTES = 638

-- Answers the record under a key: its format, its members as they are stored, and `live_until` and `last` as numbers.
-- `owner` and `tag` are false if it has no owner.
-- Answers nil and a state if there is none: `missing`, or `corrupt` if it cannot be read.
local function read(key)
  local head = redis.call('GETRANGE', key, 0, HEAD_BYTES - 1)
  if head == '' then
    return nil, redis.call('EXISTS', key) == 0 and 'missing' or 'corrupt'
  end
  local format = formats[string.sub(head, 1, 1)]
  if not format then return nil, 'corrupt' end
  local version, guard, ends_at, expires_at, touched_at, tag, entered_at, length = format.read(head)
  if not version or #version ~= 16 or #guard ~= 16 or #ends_at ~= 16 or #expires_at ~= 16
    or #touched_at ~= 16 or #tag ~= 33 or #entered_at ~= 16 then
    return nil, 'corrupt'
  end
  local live_until, last = tonumber(expires_at), tonumber(ends_at)
  if live_until > LAST or last > LAST or tonumber(touched_at) > LAST or tonumber(entered_at) > LAST then
    return nil, 'corrupt'
  end
  local ends = format.owner + tonumber(length)
  local owner = string.sub(head, format.owner + 1, ends)
  if string.byte(head, ends + 1) ~= 10 then return nil, 'corrupt' end
  if tag == NO_TAG then
    if owner ~= '' then return nil, 'corrupt' end
    owner, tag = false, false
  end
  return {
    format = format, version = version, guard = guard, ends_at = ends_at, expires_at = expires_at,
    touched_at = touched_at, owner = owner, tag = tag, live_until = live_until, last = last,
  }
end

-- Writes a record whole, with the time until Redis removes it. ARGV: 1 now, 2 format, 3 version, 7 text.
local function write(guard, ends_at, expires_at, touched_at, tag, owner)
  owner = tag and owner or ''
  local head = formats[ARGV[2]].head(
    ARGV[3], guard, ends_at, expires_at, touched_at, tag or NO_TAG, string.format('%03d', #owner))
  redis.call('SET', KEYS[1], head .. owner .. '\n' .. ARGV[7],
    'PX', life(tonumber(ARGV[1]), tonumber(expires_at)))
end
