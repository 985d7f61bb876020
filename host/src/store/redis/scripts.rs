//! The scripts: each reads and writes one key, so that it runs whole on whichever server has that key.
//!
//! A script is sent by its SHA-1, and by its text where the server does not have it yet.
//! Moments are milliseconds below 2^53, which Lua's numbers keep exactly.

use std::sync::LazyLock;

use redis::{Cmd, ToRedisArgs};

/// A script and the name the server knows it by.
pub(super) struct Script {
    text: String,
    sha1: String,
}

impl Script {
    fn new(parts: &[&str]) -> Self {
        let text = parts.concat();
        let sha1 = redis::Script::new(&text).get_hash().to_owned();
        Self { text, sha1 }
    }
}

/// A script with its key and arguments.
#[derive(Clone)]
pub(super) struct Call {
    script: &'static Script,
    key: String,
    arguments: Vec<Vec<u8>>,
}

impl Call {
    pub(super) fn new(script: &'static Script, key: String) -> Self {
        Self {
            script,
            key,
            arguments: Vec::new(),
        }
    }

    pub(super) fn arg(mut self, argument: impl ToRedisArgs) -> Self {
        self.arguments.extend(argument.to_redis_args());
        self
    }

    /// By name, which a server that has not seen it refuses.
    pub(super) fn by_name(&self) -> Cmd {
        self.command("EVALSHA", &self.script.sha1)
    }

    /// With the text, which the server then has.
    pub(super) fn with_text(&self) -> Cmd {
        self.command("EVAL", &self.script.text)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(1).arg(&self.key).arg(&self.arguments);
        command
    }
}

/// What the scripts share.
///
/// A key that has expired is kept for another hour: a host whose clock is behind may still see it alive.
/// How long that is from now is reckoned by the caller's clock alone; the server's may be set as it likes.
const SHARED: &str = "
local grace = 3600000
local function number(text) return tonumber(text or '') or 0 end
local function text(number) return string.format('%.0f', number) end
local function keep(key, now, until_, may_shorten)
  local life = math.max(until_ - now, 0) + grace
  if may_shorten or life > redis.call('PTTL', key) then redis.call('PEXPIRE', key, text(life)) end
end
";

/// What both writing scripts share: KEYS[1] the record;
/// ARGV: now, value, version, expires_at, ends_at, then, if it has an owner, the owner and its entry in the index.
const WRITE: &str = "
local now = number(ARGV[1])
local function write(listed)
  redis.call('HSET', KEYS[1], 'value', ARGV[2], 'version', ARGV[3], 'touched_at', ARGV[1],
    'expires_at', ARGV[4], 'ends_at', ARGV[5])
  if listed then
    redis.call('HSET', KEYS[1], 'owner', ARGV[7], 'listed', listed)
  else
    redis.call('HDEL', KEYS[1], 'owner', 'listed')
  end
  keep(KEYS[1], now, number(ARGV[4]), true)
end
";

/// Writes a record where no live one is. ARGV[6] is not used.
/// Answers `done` with owner and entry of the expired one that was there, or `stale`.
pub(super) static INSERT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        SHARED,
        WRITE,
        "
local old = redis.call('HMGET', KEYS[1], 'expires_at', 'owner', 'listed')
if number(old[1]) > now then return {'stale'} end
write(ARGV[8])
return {'done', ARGV[8] or false, old[2], old[3]}
",
    ])
});

/// Writes over the version ARGV[6].
/// Answers `done` with the entry that lists the record now, and owner and entry until now; `missing`; `stale`;
/// or `unlisted` if the record would not be in its owner's index for long enough by the entry it is given (ARGV[8]):
/// with the entry to be renewed, if this owner's index has one. That one is kept as long as the owner is: a walk that is
/// under way would miss a record whose entry is taken away before it and made anew behind it.
pub(super) static REPLACE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        SHARED,
        WRITE,
        "
local old = redis.call('HMGET', KEYS[1], 'expires_at', 'owner', 'listed', 'version', 'ends_at')
if number(old[1]) <= now then return {'missing'} end
if old[4] ~= ARGV[6] then return {'stale'} end
local listed = ARGV[8]
if ARGV[7] and old[2] == ARGV[7] and old[3] then
  if number(ARGV[5]) <= number(old[5]) then
    listed = old[3]
  elseif listed ~= old[3] then
    return {'unlisted', old[3]}
  end
end
if ARGV[7] and not listed then return {'unlisted'} end
write(listed)
return {'done', listed or false, old[2], old[3]}
",
    ])
});

/// Writes another store's record where no live one is, or over the version ARGV[6].
/// ARGV: now, value, version, expires_at, ends_at, over, touched_at, then owner and entry.
/// Answers as [`INSERT`] does.
pub(super) static IMPORT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        SHARED,
        "
local now = number(ARGV[1])
local old = redis.call('HMGET', KEYS[1], 'expires_at', 'owner', 'listed', 'version', 'ends_at', 'touched_at')
if number(old[1]) > now and old[4] ~= ARGV[6] then return {'stale'} end
local listed = ARGV[9]
-- As in REPLACE: an entry is kept as long as the owner is.
if listed and old[3] and old[2] == ARGV[8] and number(ARGV[5]) <= number(old[5]) then listed = old[3] end
local expires_at = math.min(math.max(number(ARGV[4]), number(old[1])), number(ARGV[5]))
redis.call('HSET', KEYS[1], 'value', ARGV[2], 'version', ARGV[3], 'ends_at', ARGV[5],
  'touched_at', text(math.max(number(ARGV[7]), number(old[6]))), 'expires_at', text(expires_at))
if listed then
  redis.call('HSET', KEYS[1], 'owner', ARGV[8], 'listed', listed)
else
  redis.call('HDEL', KEYS[1], 'owner', 'listed')
end
keep(KEYS[1], now, expires_at, true)
return {'done', listed or false, old[2], old[3]}
",
    ])
});

/// Moves the expiry later. ARGV: now, expires_at. Answers 1, or 0 if there is no live record.
pub(super) static TOUCH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        SHARED,
        "
local now = number(ARGV[1])
local old = redis.call('HMGET', KEYS[1], 'expires_at', 'ends_at', 'touched_at')
if number(old[1]) <= now then return 0 end
local expires_at = math.min(number(ARGV[2]), number(old[2]))
if expires_at >= number(old[1]) then
  redis.call('HSET', KEYS[1], 'expires_at', text(expires_at), 'touched_at', text(math.max(now, number(old[3]))))
  keep(KEYS[1], now, expires_at, false)
end
return 1
",
    ])
});

/// Removes a record. ARGV: now, then the owner it has to have, if any.
/// Answers whether a live one was there (1 or 0), and owner and entry of what was removed.
pub(super) static DELETE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        SHARED,
        "
local old = redis.call('HMGET', KEYS[1], 'expires_at', 'owner', 'listed')
if ARGV[2] and old[2] ~= ARGV[2] then return {0, false, false} end
redis.call('DEL', KEYS[1])
return {number(old[1]) > number(ARGV[1]) and 1 or 0, old[2], old[3]}
",
    ])
});

/// Reads a record for its owner's list. ARGV: now, owner, entry, and how many bytes of value are brought along.
/// Answers `gone` if it does not name this owner and entry, `expired`, or `live` with version, moments and the value.
pub(super) static ROW: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        SHARED,
        "
local old = redis.call('HMGET', KEYS[1], 'owner', 'listed', 'version', 'touched_at', 'expires_at')
if old[1] ~= ARGV[2] or old[2] ~= ARGV[3] then return {'gone'} end
if number(old[5]) <= number(ARGV[1]) then return {'expired'} end
local value = false
if redis.call('HSTRLEN', KEYS[1], 'value') <= number(ARGV[4]) then value = redis.call('HGET', KEYS[1], 'value') end
return {'live', old[3], old[4], old[5], value}
",
    ])
});

/// Reads a record for an operator. ARGV: now, and how many bytes of value are brought along.
/// Answers nothing, or version, owner, moments and the value.
pub(super) static LISTED: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        SHARED,
        "
local old = redis.call('HMGET', KEYS[1], 'version', 'owner', 'touched_at', 'expires_at', 'ends_at')
if number(old[4]) <= number(ARGV[1]) then return false end
old[6] = false
if redis.call('HSTRLEN', KEYS[1], 'value') <= number(ARGV[2]) then old[6] = redis.call('HGET', KEYS[1], 'value') end
return old
",
    ])
});

/// Enters a member into an owner's index. ARGV: now, ends_at, member.
///
/// Its score never goes down: a walk by score passes no entry that stays. What is long past its end goes.
pub(super) static ENTER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        SHARED,
        "
local now = number(ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', text(now - grace))
redis.call('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[3])
keep(KEYS[1], now, number(ARGV[2]), false)
return 1
",
    ])
});

/// Reads a part of an owner's index in order of score and member. ARGV: now, how many, then, to go on behind an entry,
/// its score and a text that is behind its member and before every other's. Answers members, each with its score.
///
/// The place is looked for by halves. Texts are compared by hand, as Redis orders them: Lua goes by the locale.
pub(super) static PAGE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        SHARED,
        "
local function is_behind(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x > y end
  end
  return #a > #b
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', text(number(ARGV[1]) - grace))
local first = 0
if ARGV[3] then
  first = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[3])
  local last = first + redis.call('ZCOUNT', KEYS[1], ARGV[3], ARGV[3])
  while first < last do
    local middle = math.floor((first + last) / 2)
    if is_behind(redis.call('ZRANGE', KEYS[1], middle, middle)[1], ARGV[4]) then
      last = middle
    else
      first = middle + 1
    end
  end
end
return redis.call('ZRANGE', KEYS[1], first, first + number(ARGV[2]) - 1, 'WITHSCORES')
",
    ])
});
