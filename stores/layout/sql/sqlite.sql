-- The SQL of the store in a SQLite file, 3.37 or later (STRICT tables).
--
-- Hosts in every language run this text, so that they can share one file.
-- docs/layout.md describes the table, the units, the pragmas and the meaning of each statement.
--
-- Form of this file:
--   A section begins with a line `-- name: NAME`; each name occurs once.
--   The following lines that begin with `--` are comments; there are none within or after the SQL.
--   In the SQL, a semicolon ends a statement and occurs nowhere else.
--
-- ?1, ?2 … are parameters.
-- `-- params:` lists them in their order:
--   key, owner   text: UTF-8, at most 512 bytes; owner may be NULL
--   value        text: UTF-8
--   version, guard, expected
--                64 bits as a signed number
--   now, touched_at, expires_at, ends_at, before
--                milliseconds since 1970-01-01T00:00:00Z, signed, 64 bits
--   after        the last `id` of the previous page; at the start the least signed number
--   limit        a number of rows
-- A parameter that may be NULL has `or NULL` after its name.
--
-- `count` is the number of rows that a statement has changed.
-- An entry is live while expires_at > now.
-- Every write runs in a transaction that began with BEGIN IMMEDIATE, so that no other writer intervenes between a write
-- with count 0 and the `is_live` that follows it.

-- name: migration_1
-- From user_version 0 to 1.
-- A released migration never changes.
-- id is the cursor of walks: it is constant for the life of an entry, and discloses no key.
-- version and guard: 64 bits as a signed number.
-- touched_at, expires_at, ends_at: milliseconds since 1970.
-- TEXT, so that the `sqlite3` shell shows keys and values; SQLite stores NULs in it and compares with memcmp.
-- A rowid table, because values have kilobytes, which the inner pages of a WITHOUT ROWID table would contain as well.
CREATE TABLE records (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    guard INTEGER NOT NULL,
    owner TEXT,
    touched_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    value TEXT NOT NULL
) STRICT;
CREATE INDEX records_by_owner ON records (owner) WHERE owner IS NOT NULL;
CREATE INDEX records_by_expiry ON records (expires_at);

-- name: get
-- params: key, now
-- At most one row; no row means missing.
SELECT value, version, guard, expires_at FROM records WHERE key = ?1 AND expires_at > ?2;

-- name: is_live
-- params: key, now
-- Runs after a conditional write with count 0: a row means stale, no row means missing.
SELECT 1 FROM records WHERE key = ?1 AND expires_at > ?2;

-- name: insert
-- params: key, value, version, guard, owner or NULL, touched_at, expires_at, ends_at
-- touched_at is now.
-- Writes a new row, or overwrites an expired one.
-- count 0: stale, because a live entry has this key.
INSERT INTO records (key, value, version, guard, owner, touched_at, expires_at, ends_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (key) DO UPDATE SET value = ?2, version = ?3, guard = ?4, owner = ?5, touched_at = ?6, expires_at = ?7,
    ends_at = ?8
WHERE expires_at <= ?6;

-- name: replace_version
-- params: key, expected, value, version, guard or NULL, owner or NULL, touched_at, expires_at, ends_at
-- touched_at is now.
-- Overwrites the live entry that has the expected version; NULL keeps the guard.
-- count 0: see `is_live`.
UPDATE records SET value = ?3, version = ?4, guard = coalesce(?5, guard), owner = ?6, touched_at = ?7, expires_at = ?8,
    ends_at = ?9
WHERE key = ?1 AND version = ?2 AND expires_at > ?7;

-- name: replace_guard
-- params: key, expected, value, version, guard or NULL, owner or NULL, touched_at, expires_at, ends_at
-- touched_at is now.
-- Overwrites the live entry that has the expected guard; NULL keeps the guard.
-- count 0: see `is_live`.
UPDATE records SET value = ?3, version = ?4, guard = coalesce(?5, guard), owner = ?6, touched_at = ?7, expires_at = ?8,
    ends_at = ?9
WHERE key = ?1 AND guard = ?2 AND expires_at > ?7;

-- name: import
-- params: key, value, version, guard, owner or NULL, touched_at, expires_at, ends_at, now, expected
-- Writes a new row, or overwrites an expired one or one of the expected version; the expiry never moves earlier.
-- count 0: stale.
INSERT INTO records (key, value, version, guard, owner, touched_at, expires_at, ends_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (key) DO UPDATE SET value = ?2, version = ?3, guard = ?4, owner = ?5, touched_at = max(touched_at, ?6),
    expires_at = min(max(expires_at, ?7), ?8), ends_at = ?8
WHERE expires_at <= ?9 OR version = ?10;

-- name: touch
-- params: key, now, expires_at
-- count 0: no error if `is_live` finds a row, because the expiry was already later; otherwise missing.
UPDATE records SET expires_at = min(?3, ends_at), touched_at = max(?2, touched_at)
WHERE key = ?1 AND expires_at > ?2 AND expires_at <= min(?3, ends_at);

-- name: delete_by_owner
-- params: key, owner, now
-- The row states whether the removed entry was live.
-- No row: stale if `is_live` finds a row; otherwise there was no live entry.
DELETE FROM records WHERE key = ?1 AND owner = ?2 RETURNING expires_at > ?3;

-- name: delete_by_guard
-- params: key, guard, now
-- As `delete_by_owner`.
DELETE FROM records WHERE key = ?1 AND guard = ?2 RETURNING expires_at > ?3;

-- name: delete_owned
-- params: key, owner, now, guard or NULL
-- Runs for each of several keys, within one savepoint.
-- NULL matches any guard.
-- The row states whether the removed entry was live.
-- No row: nothing was removed, which is not an error.
DELETE FROM records WHERE key = ?1 AND owner = ?2 AND (?4 IS NULL OR guard = ?4) RETURNING expires_at > ?3;

-- name: list_owned
-- params: owner, after, now, limit
-- After a full page there may be a next one, after its last id.
SELECT id, key, version, guard, touched_at, expires_at, value FROM records
WHERE owner = ?1 AND id > ?2 AND expires_at > ?3 ORDER BY id LIMIT ?4;

-- name: list_all
-- params: after, now, limit
-- For an operator; otherwise as `list_owned`.
SELECT id, key, version, guard, touched_at, expires_at, value, owner, ends_at FROM records
WHERE id > ?1 AND expires_at > ?2 ORDER BY id LIMIT ?3;

-- name: count
SELECT count(*) FROM records;

-- name: count_live
-- params: now
SELECT count(*) FROM records WHERE expires_at > ?1;

-- name: sweep
-- params: before, limit
-- Removes at most `limit` entries that expired at `before` or earlier; `before` is at least an hour ago.
-- count below `limit`: no expired entry is left.
DELETE FROM records WHERE id IN (SELECT id FROM records WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2);
