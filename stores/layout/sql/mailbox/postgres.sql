-- The SQL of the mailboxes of connections in PostgreSQL, 13 or later.
--
-- `postgres.sql` beside this directory defines the form of the file, its braces and its parameters.
-- It also has the sections that create, lock and version the tables; {name} there is the name of this {table}.
--
-- Names in braces of this file alone:
--   {table}      the mailboxes, quoted: the table of the sessions with `_mail` at its end
--   {messages}   {table} with `_messages` at its end, quoted
--   {watches}    {table} with `_watches` at its end, quoted
--   {by_expiry}, {by_node}
--                the indexes: {table} with `_by_expiry`, `_by_node` at its end, quoted
--   {keys}       one or more `?`, separated by commas, one for each name
--
-- Parameters:
--   name         bytes: the name of a connection, ASCII, at most 64
--   head, data   bytes: UTF-8
--   send_key, event
--                bytes: ASCII, at most 64, or NULL
--   holder, ended
--                bytes: ASCII, or NULL
--   node         64 random bits as a signed number: the process that watches
--   now, expires_at, before
--                milliseconds since 1970-01-01T00:00:00Z, signed, 64 bits
--   number, from, stamp, first_number, stamp_before, next_number, size, acknowledged, limit
--                numbers, 64 bits; a stamp has 32 of them
--
-- `tessera-connections` (`State`) decides on each change. A change is one transaction: `find`, reads, writes, COMMIT.
-- `find` locks the mailbox, so that the order of the commits is the order of the numbers.
-- A mailbox is live while expires_at > now.

-- name: migration_1
-- From schema version 0 to 1.
-- A released migration never changes.
-- The messages of a mailbox have the numbers from first_number to next_number - 1.
CREATE TABLE {table} (
    name BYTEA NOT NULL PRIMARY KEY,
    head BYTEA NOT NULL,
    first_number BIGINT NOT NULL,
    stamp_before BIGINT NOT NULL,
    next_number BIGINT NOT NULL,
    size BIGINT NOT NULL,
    acknowledged BIGINT NOT NULL,
    holder BYTEA,
    ended BYTEA,
    expires_at BIGINT NOT NULL
);
CREATE INDEX {by_expiry} ON {table} (expires_at);
CREATE TABLE {messages} (
    mailbox BYTEA NOT NULL REFERENCES {table} (name) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    stamp BIGINT NOT NULL,
    send_key BYTEA,
    event BYTEA,
    data BYTEA NOT NULL,
    PRIMARY KEY (mailbox, number)
);
CREATE TABLE {watches} (
    mailbox BYTEA NOT NULL REFERENCES {table} (name) ON DELETE CASCADE,
    node BIGINT NOT NULL,
    changed SMALLINT NOT NULL,
    PRIMARY KEY (mailbox, node)
);
CREATE INDEX {by_node} ON {watches} (node) WHERE changed = 1;

-- name: rights
-- Run when the mailboxes are opened, each by itself.
-- They change nothing; an error means that the user lacks a right, or that the server is read-only.
SELECT number FROM {messages} WHERE 1 = 0;
INSERT INTO {messages} (mailbox, number, stamp, send_key, event, data)
    SELECT mailbox, number, stamp, send_key, event, data FROM {messages} WHERE 1 = 0;
UPDATE {watches} SET changed = changed WHERE 1 = 0;
DELETE FROM {messages} WHERE 1 = 0;

-- name: open
-- params: name, head, expires_at
-- count 0: a row has this name. `delete_expired` and another `open` follow if it has expired.
INSERT INTO {table} (name, head, first_number, stamp_before, next_number, size, acknowledged, expires_at)
VALUES (?, ?, 1, 0, 1, 0, 0, ?) ON CONFLICT (name) DO NOTHING;

-- name: find
-- params: name, now
-- Begins each change of a live mailbox, and locks it until the end of the transaction.
-- No row: missing.
SELECT name, first_number, stamp_before, next_number, size, acknowledged, holder, ended, expires_at
FROM {table} WHERE name = ? AND expires_at > ? FOR UPDATE;

-- name: find_key
-- params: name, from, send_key
-- The newest message from this number on that has the key of its sender.
SELECT number, stamp FROM {messages} WHERE mailbox = ? AND number >= ? AND send_key = ? ORDER BY number DESC LIMIT 1;

-- name: stamp_of
-- params: name, number
SELECT stamp FROM {messages} WHERE mailbox = ? AND number = ?;

-- name: oldest
-- params: name, number, limit
-- Stamps and sizes from this number on, for an eviction.
SELECT stamp, CAST(octet_length(data) + coalesce(octet_length(event), 0) + coalesce(octet_length(send_key), 0) AS BIGINT)
FROM {messages} WHERE mailbox = ? AND number >= ? ORDER BY number LIMIT ?;

-- name: evict
-- params: name, first_number
DELETE FROM {messages} WHERE mailbox = ? AND number < ?;

-- name: store
-- params: name, number, stamp, send_key or NULL, event or NULL, data
INSERT INTO {messages} (mailbox, number, stamp, send_key, event, data) VALUES (?, ?, ?, ?, ?, ?);

-- name: watch
-- params: name, node
-- After `find`, whose lock makes the notice of each later change certain.
INSERT INTO {watches} (mailbox, node, changed) VALUES (?, ?, 0) ON CONFLICT (mailbox, node) DO NOTHING;

-- name: unwatch
-- params: name, node
DELETE FROM {watches} WHERE mailbox = ? AND node = ?;

-- name: save
-- params: name, node, first_number, stamp_before, next_number, size, acknowledged, holder or NULL, ended or NULL, expires_at, name
-- Stores the state after a change, and notifies the nodes that watch, except this one.
-- It locks also the watches that are notified already: see `notice`.
WITH notified AS (UPDATE {watches} SET changed = 1 WHERE mailbox = ? AND node <> ?)
UPDATE {table} SET first_number = ?, stamp_before = ?, next_number = ?, size = ?, acknowledged = ?, holder = ?,
    ended = ?, expires_at = ?
WHERE name = ?;

-- name: save_quietly
-- params: first_number, stamp_before, next_number, size, acknowledged, holder or NULL, ended or NULL, expires_at, name
-- Stores the state after a change of which no reader needs a notice.
UPDATE {table} SET first_number = ?, stamp_before = ?, next_number = ?, size = ?, acknowledged = ?, holder = ?,
    ended = ?, expires_at = ?
WHERE name = ?;

-- name: read
-- params: node, from, name, now, limit
-- One row for each message from this number on, or one row with NULL in its last five columns.
-- One statement sees one state of the database.
-- The tenth column is 0 if the node does not watch the mailbox. It then watches it by a change, and reads again.
SELECT name, first_number, stamp_before, next_number, size, acknowledged, holder, ended, expires_at,
    (SELECT count(*) FROM {watches} w WHERE w.mailbox = b.name AND w.node = ?),
    m.number, m.stamp, m.event, m.data, CAST(octet_length(m.send_key) AS BIGINT)
FROM {table} b LEFT JOIN {messages} m ON m.mailbox = b.name AND m.number >= ?
WHERE b.name = ? AND b.expires_at > ? ORDER BY m.number LIMIT ?;

-- name: delete_expired
-- params: name, now
DELETE FROM {table} WHERE name = ? AND expires_at <= ?;

-- name: keep
-- params: expires_at, {keys}, now
-- count below the number of names: `live` shows which are missing.
UPDATE {table} SET expires_at = greatest(expires_at, ?) WHERE name IN ({keys}) AND expires_at > ?;

-- name: live
-- params: {keys}, now
SELECT name FROM {table} WHERE name IN ({keys}) AND expires_at > ?;

-- name: look
-- params: {keys}, now
SELECT name, head, holder, ended FROM {table} WHERE name IN ({keys}) AND expires_at > ?;

-- name: walk
-- params: name, now, limit
-- In the order of the names, after this one.
SELECT name, head, holder, ended FROM {table} WHERE name > ? AND expires_at > ? ORDER BY name LIMIT ?;

-- name: changed
-- params: node, limit
-- The mailboxes that have changed since the node last ran `notice`.
SELECT mailbox FROM {watches} WHERE node = ? AND changed = 1 LIMIT ?;

-- name: notice
-- params: node, {keys}
-- The node reads these mailboxes after this statement, and not before.
-- It waits for a change in progress, whose notice would otherwise be lost.
UPDATE {watches} SET changed = 0 WHERE node = ? AND mailbox IN ({keys});

-- name: sweep
-- params: before, before, limit
-- Removes at most `limit` mailboxes that expired at `before` or earlier, with their messages and watches.
DELETE FROM {table} WHERE expires_at <= ? AND name IN
    (SELECT name FROM {table} WHERE expires_at <= ? ORDER BY expires_at LIMIT ? FOR UPDATE SKIP LOCKED);
