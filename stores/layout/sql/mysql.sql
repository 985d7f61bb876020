-- The SQL of the store in MySQL, 8 or later, and MariaDB, 10.5 or later.
--
-- Hosts in every language run this text, so that they can share one database.
-- docs/layout.md describes the tables, the units and the meaning of each statement.
--
-- Form of this file:
--   A section begins with a line `-- name: NAME`; each name occurs once.
--   The following lines that begin with `--` are comments; there are none within or after the SQL.
--   In the SQL, a semicolon ends a statement and occurs nowhere else.
--   The statements of a section run in their order, each by itself.
--
-- Names in braces that a host replaces before it prepares a statement:
--   {table}      the table, quoted: at most 48 letters, digits and underscores, in backticks
--   {schema}     the table that holds the schema version: {table} with `_schema` at its end, quoted
--   {by_key}, {by_owner}, {by_expiry}
--                the indexes: {table} with `_by_key`, `_by_owner`, `_by_expiry` at its end, quoted
--   {name}       the name of the table without quotes, within a text
--   {purpose}    `schema` or `sweep`, within a text
--   {version}    the schema version after the migration, a decimal number
--   {millis}, {fraction}, {seconds}
--                the longest time of a statement:
--                milliseconds, seconds with a fraction, whole seconds (1 or more)
--   {keys}       one or more `?`, separated by commas, one for each key
--   {pairs}      one or more `(?, ?)`, separated by commas, one for each key with its guard
--
-- `?` is a parameter.
-- `-- params:` lists the parameters in their order:
--   key, owner   bytes: UTF-8, at most 512; owner may be NULL
--   value        text: utf8mb4
--   version, guard, expected
--                64 bits as a signed number
--   now, touched_at, expires_at, ends_at, before
--                milliseconds since 1970-01-01T00:00:00Z, signed, 64 bits
--   after        the last `id` of the previous page; at the start the least signed number
--   limit        a number of rows
-- A parameter that may be NULL has `or NULL` after its name.
--
-- `count` is the number of rows that a statement has affected,
-- including matching rows that it did not change (CLIENT_FOUND_ROWS has to be set).
-- An entry is live while expires_at > now.

-- name: session
-- Runs first on each connection.
-- Read committed: a conditional write that waited for a row evaluates the current row.
-- Repeatable read would lock the gaps beside missing keys.
-- Strict mode: no value is truncated.
-- Only MariaDB reads the first comment, and only MySQL the second, which does not limit writes.
-- The server ends a transaction whose host is frozen or out of reach, because it may have locked rows.
-- MySQL has no such limit but that of any idle connection.
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;
SET SESSION autocommit = 1, sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION',
    innodb_lock_wait_timeout = {seconds}
    /*M!100301 , max_statement_time = {fraction}, idle_transaction_timeout = {seconds} */
    /*!50708 , max_execution_time = {millis}, wait_timeout = 30 */;

-- name: message_limit
-- The longest message that the server accepts, in bytes: one number.
SELECT CAST(@@max_allowed_packet AS SIGNED);

-- name: is_read_only
-- 1 if the server is read-only, also for users who may write to it nevertheless.
SELECT CAST(@@global.read_only AS SIGNED);

-- name: lock
-- Waits for a lock that ends with the connection; returns 1 once it is held.
-- It waits at most 30 s, and then returns 0.
-- A lock is a name of at most 64 characters within the whole server.
SELECT GET_LOCK(CONCAT('tessera ', MD5(CONCAT('{purpose} {name} ', DATABASE()))), 30);

-- name: try_lock
-- Takes the lock if it is free; returns 1 if it is held now, otherwise 0.
SELECT GET_LOCK(CONCAT('tessera ', MD5(CONCAT('{purpose} {name} ', DATABASE()))), 0);

-- name: unlock
-- Returns 1 if the connection held the lock.
SELECT RELEASE_LOCK(CONCAT('tessera ', MD5(CONCAT('{purpose} {name} ', DATABASE()))));

-- name: schema_version
-- The schema version, one number; no row or no table means 0.
SELECT version FROM {schema};

-- name: schema_table
-- Runs before a migration.
CREATE TABLE IF NOT EXISTS {schema} (version BIGINT NOT NULL PRIMARY KEY) ENGINE = InnoDB;

-- name: migration_1
-- From schema version 0 to 1.
-- A released migration never changes.
-- MySQL commits each statement by itself, so that an interrupted migration must be repeatable.
-- id is the cursor of walks: it is constant for the life of an entry, and discloses no key.
-- It orders the rows on disk.
-- Keys and owners are bytes, so that no collation applies.
CREATE TABLE IF NOT EXISTS {table} (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    session_key VARBINARY(512) NOT NULL,
    version BIGINT NOT NULL COMMENT '64 random bits, as a signed number',
    guard BIGINT NOT NULL COMMENT '64 bits, as a signed number',
    owner VARBINARY(512),
    touched_at BIGINT NOT NULL COMMENT 'milliseconds since 1970',
    expires_at BIGINT NOT NULL COMMENT 'milliseconds since 1970',
    ends_at BIGINT NOT NULL COMMENT 'milliseconds since 1970',
    value LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    UNIQUE KEY {by_key} (session_key),
    KEY {by_owner} (owner, id),
    KEY {by_expiry} (expires_at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- name: set_schema_version
-- Runs after a migration.
DELETE FROM {schema};
INSERT INTO {schema} (version) VALUES ({version});

-- name: rights
-- Run when a store is opened, each by itself; a read-only store runs only the first.
-- They change nothing; an error means that the user lacks a right, or that the server is read-only.
SELECT version FROM {table} WHERE 1 = 0;
INSERT INTO {table} (session_key, version, guard, owner, touched_at, expires_at, ends_at, value)
    SELECT session_key, version, guard, owner, touched_at, expires_at, ends_at, value FROM {table} WHERE 1 = 0;
UPDATE {table} SET version = version WHERE 1 = 0;
DELETE FROM {table} WHERE 1 = 0;

-- name: get
-- params: key, now
-- At most one row; no row means missing.
-- A row of another key answers another statement, and is not used.
SELECT session_key, value, version, guard, expires_at FROM {table}
WHERE session_key = ? AND expires_at > ?;

-- name: get_many
-- params: {keys}, now
-- A row for each live entry, in any order.
SELECT session_key, value, version, guard, expires_at FROM {table}
WHERE session_key IN ({keys}) AND expires_at > ?;

-- name: is_live
-- params: key, now
-- Runs after a conditional write with count 0: a row means stale, no row means missing.
SELECT version FROM {table} WHERE session_key = ? AND expires_at > ?;

-- name: insert
-- params: key, value, version, guard, owner or NULL, touched_at, expires_at, ends_at
-- touched_at is now.
-- Error 1062: a row has this key; `revive` follows.
-- ON DUPLICATE KEY UPDATE does not suffice: with CLIENT_FOUND_ROWS, which `touch` needs,
-- it has the same count for a new row and for an unchanged one.
INSERT INTO {table} (session_key, value, version, guard, owner, touched_at, expires_at, ends_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: revive
-- params: value, version, guard, owner or NULL, touched_at, expires_at, ends_at, key, now
-- Overwrites an expired row.
-- count 0: stale if `is_live` finds a row; otherwise the row is gone, and `insert` is repeated.
UPDATE {table} SET value = ?, version = ?, guard = ?, owner = ?, touched_at = ?, expires_at = ?, ends_at = ?
WHERE session_key = ? AND expires_at <= ?;

-- name: replace_version
-- params: value, version, guard or NULL, owner or NULL, touched_at, expires_at, ends_at, key, expected, now
-- touched_at is now.
-- Overwrites the live entry that has the expected version; NULL keeps the guard.
-- count 0: see `is_live`.
UPDATE {table} SET value = ?, version = ?, guard = coalesce(?, guard), owner = ?, touched_at = ?, expires_at = ?,
    ends_at = ?
WHERE session_key = ? AND version = ? AND expires_at > ?;

-- name: replace_guard
-- params: value, version, guard or NULL, owner or NULL, touched_at, expires_at, ends_at, key, expected, now
-- touched_at is now.
-- Overwrites the live entry that has the expected guard; NULL keeps the guard.
-- count 0: see `is_live`.
UPDATE {table} SET value = ?, version = ?, guard = coalesce(?, guard), owner = ?, touched_at = ?, expires_at = ?,
    ends_at = ?
WHERE session_key = ? AND guard = ? AND expires_at > ?;

-- name: overwrite
-- params: value, version, guard, owner or NULL, touched_at, expires_at, ends_at, ends_at, key, now, expected
-- An import over an expired entry, or over one of the expected version; the expiry never moves earlier.
-- count 0: `insert` follows, and is not repeated; its count 0 or error 1062 means stale.
UPDATE {table} SET value = ?, version = ?, guard = ?, owner = ?, touched_at = greatest(touched_at, ?),
    expires_at = least(greatest(expires_at, ?), ?), ends_at = ?
WHERE session_key = ? AND (expires_at <= ? OR version = ?);

-- name: touch
-- params: expires_at, now, key, now, expires_at
-- count 0: no error if `is_live` finds a row, because the expiry was already later; otherwise missing.
UPDATE {table} SET expires_at = least(?, ends_at), touched_at = greatest(?, touched_at)
WHERE session_key = ? AND expires_at > ? AND expires_at <= least(?, ends_at);

-- name: delete_by_owner
-- params: key, owner, now
-- count 0: `delete_by_owner_expired` follows; if its count is 0 as well, see `is_live`.
DELETE FROM {table} WHERE session_key = ? AND owner = ? AND expires_at > ?;

-- name: delete_by_owner_expired
-- params: key, owner, now
-- Removes an entry that has expired by this clock, but perhaps not by that of another host.
-- The call returns false: no live entry was removed.
DELETE FROM {table} WHERE session_key = ? AND owner = ? AND expires_at <= ?;

-- name: delete_by_guard
-- params: key, guard, now
-- count 0: `delete_by_guard_expired` follows; if its count is 0 as well, see `is_live`.
DELETE FROM {table} WHERE session_key = ? AND guard = ? AND expires_at > ?;

-- name: delete_by_guard_expired
-- params: key, guard, now
-- Removes an entry that has expired by this clock, but perhaps not by that of another host.
-- The call returns false: no live entry was removed.
DELETE FROM {table} WHERE session_key = ? AND guard = ? AND expires_at <= ?;

-- name: delete_many
-- params: {keys}, owner, now
-- count: the number of live entries that were removed.
-- An entry of another owner stays, which is not an error.
DELETE FROM {table} WHERE session_key IN ({keys}) AND owner = ? AND expires_at > ?;

-- name: delete_many_expired
-- params: {keys}, owner, now
DELETE FROM {table} WHERE session_key IN ({keys}) AND owner = ? AND expires_at <= ?;

-- name: delete_pairs
-- params: {keys}, {pairs}, owner, now
-- As `delete_many`, for entries that have the guard of their pair.
-- {keys} repeats each key, for the index on the key.
DELETE FROM {table}
WHERE session_key IN ({keys}) AND (session_key, guard) IN ({pairs}) AND owner = ? AND expires_at > ?;

-- name: delete_pairs_expired
-- params: {keys}, {pairs}, owner, now
DELETE FROM {table}
WHERE session_key IN ({keys}) AND (session_key, guard) IN ({pairs}) AND owner = ? AND expires_at <= ?;

-- name: list_owned
-- params: owner, after, now, limit
-- A value of more than 16 KiB is NULL.
-- After a full page there may be a next one, after its last id.
SELECT id, session_key, version, guard, touched_at, expires_at, CASE WHEN octet_length(value) <= 16384 THEN value END,
    owner
FROM {table} WHERE owner = ? AND id > ? AND expires_at > ? ORDER BY id LIMIT ?;

-- name: list_all
-- params: after, now, limit
-- For an operator; otherwise as `list_owned`.
SELECT id, session_key, version, guard, touched_at, expires_at, CASE WHEN octet_length(value) <= 16384 THEN value END,
    owner, ends_at
FROM {table} WHERE id > ? AND expires_at > ? ORDER BY id LIMIT ?;

-- name: count
SELECT count(*) FROM {table};

-- name: count_live
-- params: now
SELECT count(*) FROM {table} WHERE expires_at > ?;

-- name: sweep
-- params: before, before, limit
-- Removes at most `limit` entries that expired at `before` or earlier; `before` is at least an hour ago.
-- count below `limit`: no expired entry is left.
-- The condition occurs twice only to have the same parameters as in PostgreSQL.
DELETE FROM {table} WHERE expires_at <= ? AND expires_at <= ? ORDER BY expires_at LIMIT ?;
