//! The SQL of the store, one function for each question.
//!
//! A write is one statement, which SQLite does wholly or not at all; one of several statements has a savepoint.

use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row as SqlRow, params};

use super::error::not_done;
use super::queue::{Reply, Write};
use crate::store::{Cause, Entry, Listed, Listing, Page, Placement, Row, StoreError};
use crate::time::Timestamp;

/// How many entries are swept in one transaction.
pub(super) const SWEEP_BATCH: usize = 500;

/// How many bytes of values one page brings along; rows behind come without.
const PAGE_VALUE_BYTES: usize = 1024 * 1024;

pub(super) fn apply(connection: &Connection, write: &Write) -> Reply {
    match write {
        Write::Insert { now, key, value, at } => insert(connection, *now, key, value, at),
        Write::Replace {
            now,
            key,
            value,
            expected,
            at,
        } => replace(connection, *now, key, value, *expected, at),
        Write::Import {
            now,
            row,
            value,
            over,
        } => import(connection, *now, row, value, *over),
        Write::Touch { now, key, expires_at } => touch(connection, *now, key, *expires_at),
        Write::Delete { now, key } => delete(connection, *now, key).map(u64::from).map_err(not_done),
        Write::DeleteMany { now, keys, owner } => {
            delete_many(connection, *now, keys, owner).map_err(not_done)
        }
        Write::Sweep { before } => sweep(connection, *before)
            .map(|swept| swept as u64)
            .map_err(not_done),
    }
}

fn insert(connection: &Connection, now: Timestamp, key: &str, value: &str, at: &Placement) -> Reply {
    let version = new_version()?;
    let written = execute(
        connection,
        "INSERT INTO records (key, value, version, owner, touched_at, expires_at, ends_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (key) DO UPDATE SET value = ?2, version = ?3, owner = ?4,
             touched_at = ?5, expires_at = ?6, ends_at = ?7
         WHERE expires_at <= ?5",
        params![
            key,
            value,
            version.cast_signed(),
            at.owner,
            millis(now),
            millis(at.expires_at.min(at.ends_at)),
            millis(at.ends_at)
        ],
    )?;
    if written == 0 {
        Err(StoreError::Stale)
    } else {
        Ok(version)
    }
}

fn replace(
    connection: &Connection,
    now: Timestamp,
    key: &str,
    value: &str,
    expected: u64,
    at: &Placement,
) -> Reply {
    let version = new_version()?;
    let written = execute(
        connection,
        "UPDATE records SET value = ?3, version = ?4, owner = ?5, touched_at = ?6, expires_at = ?7, ends_at = ?8
         WHERE key = ?1 AND version = ?2 AND expires_at > ?6",
        params![
            key,
            expected.cast_signed(),
            value,
            version.cast_signed(),
            at.owner,
            millis(now),
            millis(at.expires_at.min(at.ends_at)),
            millis(at.ends_at)
        ],
    )?;
    match written {
        0 if is_live(connection, now, key)? => Err(StoreError::Stale),
        0 => Err(StoreError::Missing),
        _ => Ok(version),
    }
}

fn import(connection: &Connection, now: Timestamp, row: &Listed, value: &str, over: u64) -> Reply {
    let written = execute(
        connection,
        "INSERT INTO records (key, value, version, owner, touched_at, expires_at, ends_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (key) DO UPDATE SET value = ?2, version = ?3, owner = ?4,
             touched_at = max(touched_at, ?5), expires_at = min(max(expires_at, ?6), ?7), ends_at = ?7
         WHERE expires_at <= ?8 OR version = ?9",
        params![
            row.key,
            value,
            row.version.cast_signed(),
            row.owner,
            millis(row.touched_at),
            millis(row.expires_at),
            millis(row.ends_at),
            millis(now),
            over.cast_signed()
        ],
    )?;
    if written == 0 {
        Err(StoreError::Stale)
    } else {
        Ok(row.version)
    }
}

fn touch(connection: &Connection, now: Timestamp, key: &str, expires_at: Timestamp) -> Reply {
    let written = execute(
        connection,
        "UPDATE records SET expires_at = min(?3, ends_at), touched_at = max(?2, touched_at)
         WHERE key = ?1 AND expires_at > ?2 AND expires_at <= min(?3, ends_at)",
        params![key, millis(now), millis(expires_at)],
    )?;
    if written > 0 || is_live(connection, now, key)? {
        Ok(0)
    } else {
        Err(StoreError::Missing)
    }
}

fn delete(connection: &Connection, now: Timestamp, key: &str) -> rusqlite::Result<bool> {
    let mut statement =
        connection.prepare_cached("DELETE FROM records WHERE key = ?1 RETURNING expires_at > ?2")?;
    let was_live = statement
        .query_row(params![key, millis(now)], |row| row.get(0))
        .optional()?;
    Ok(was_live.unwrap_or(false))
}

fn delete_many(
    connection: &Connection,
    now: Timestamp,
    keys: &[String],
    owner: &str,
) -> rusqlite::Result<u64> {
    connection.prepare_cached("SAVEPOINT several")?.execute([])?;
    let deleted = delete_each(connection, now, keys, owner);
    if deleted.is_err() && !connection.is_autocommit() {
        connection.prepare_cached("ROLLBACK TO several")?.execute([])?;
    }
    if !connection.is_autocommit() {
        connection.prepare_cached("RELEASE several")?.execute([])?;
    }
    deleted
}

fn delete_each(
    connection: &Connection,
    now: Timestamp,
    keys: &[String],
    owner: &str,
) -> rusqlite::Result<u64> {
    let mut statement = connection
        .prepare_cached("DELETE FROM records WHERE key = ?1 AND owner = ?2 RETURNING expires_at > ?3")?;
    let mut deleted = 0;
    for key in keys {
        let was_live = statement
            .query_row(params![key, owner, millis(now)], |row| row.get::<_, bool>(0))
            .optional()?;
        deleted += u64::from(was_live.unwrap_or(false));
    }
    Ok(deleted)
}

/// Removes up to [`SWEEP_BATCH`] entries that expired at `before` or earlier.
pub(super) fn sweep(connection: &Connection, before: Timestamp) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM records WHERE id IN
             (SELECT id FROM records WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
    )?;
    statement.execute(params![millis(before), SWEEP_BATCH as i64])
}

pub(super) fn get(connection: &Connection, now: Timestamp, key: &str) -> Result<Entry, StoreError> {
    let mut statement = prepare(
        connection,
        "SELECT value, version, expires_at FROM records WHERE key = ?1 AND expires_at > ?2",
    )?;
    let mut rows = statement.query(params![key, millis(now)]).map_err(not_done)?;
    let row = rows.next().map_err(not_done)?.ok_or(StoreError::Missing)?;
    Ok(Entry {
        value: text(row, 0)?,
        version: version(row, 1)?,
        guard: 0,
        expires_at: moment(row, 2)?,
    })
}

pub(super) fn list_owned(
    connection: &Connection,
    now: Timestamp,
    owner: &str,
    after: i64,
    limit: u32,
) -> Result<Page, StoreError> {
    let mut statement = prepare(
        connection,
        "SELECT id, key, version, touched_at, expires_at, value FROM records
         WHERE owner = ?1 AND id > ?2 AND expires_at > ?3 ORDER BY id LIMIT ?4",
    )?;
    let mut found = statement
        .query(params![owner, after, millis(now), limit])
        .map_err(not_done)?;
    let mut page = Page::default();
    let mut bytes = 0;
    let mut last = after;
    while let Some(row) = found.next().map_err(not_done)? {
        last = row.get(0).map_err(not_done)?;
        page.rows.push(Row {
            key: row.get(1).map_err(not_done)?,
            version: version(row, 2)?,
            guard: 0,
            touched_at: moment(row, 3)?,
            expires_at: moment(row, 4)?,
            value: text_within(row, 5, &mut bytes)?,
        });
    }
    page.next = next_cursor(page.rows.len(), limit, last);
    Ok(page)
}

pub(super) fn list_all(
    connection: &Connection,
    now: Timestamp,
    after: i64,
    limit: u32,
) -> Result<Listing, StoreError> {
    let mut statement = prepare(
        connection,
        "SELECT id, key, owner, version, touched_at, expires_at, ends_at, value FROM records
         WHERE id > ?1 AND expires_at > ?2 ORDER BY id LIMIT ?3",
    )?;
    let mut found = statement
        .query(params![after, millis(now), limit])
        .map_err(not_done)?;
    let mut listing = Listing::default();
    let mut bytes = 0;
    let mut last = after;
    while let Some(row) = found.next().map_err(not_done)? {
        last = row.get(0).map_err(not_done)?;
        listing.rows.push(Listed {
            key: row.get(1).map_err(not_done)?,
            owner: row.get(2).map_err(not_done)?,
            version: version(row, 3)?,
            guard: 0,
            touched_at: moment(row, 4)?,
            expires_at: moment(row, 5)?,
            ends_at: moment(row, 6)?,
            value: text_within(row, 7, &mut bytes)?,
        });
    }
    listing.next = next_cursor(listing.rows.len(), limit, last);
    Ok(listing)
}

/// How many entries there are; with a time, how many are live then.
pub(super) fn count(connection: &Connection, live_at: Option<Timestamp>) -> Result<u64, StoreError> {
    let counted = match live_at {
        None => {
            prepare(connection, "SELECT count(*) FROM records")?.query_row([], |row| row.get::<_, i64>(0))
        }
        Some(now) => prepare(connection, "SELECT count(*) FROM records WHERE expires_at > ?1")?
            .query_row([millis(now)], |row| row.get(0)),
    };
    counted.map(i64::cast_unsigned).map_err(not_done)
}

fn is_live(connection: &Connection, now: Timestamp, key: &str) -> Result<bool, StoreError> {
    let mut statement = prepare(
        connection,
        "SELECT 1 FROM records WHERE key = ?1 AND expires_at > ?2",
    )?;
    statement.exists(params![key, millis(now)]).map_err(not_done)
}

fn prepare<'a>(connection: &'a Connection, sql: &str) -> Result<CachedStatement<'a>, StoreError> {
    connection.prepare_cached(sql).map_err(not_done)
}

fn execute(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> Result<usize, StoreError> {
    prepare(connection, sql)?.execute(parameters).map_err(not_done)
}

/// A full page has perhaps a next one.
fn next_cursor(rows: usize, limit: u32, last: i64) -> Option<String> {
    (rows >= limit as usize).then(|| last.to_string())
}

fn text(row: &SqlRow<'_>, column: usize) -> Result<Arc<str>, StoreError> {
    let text = row
        .get_ref(column)
        .map_err(not_done)?
        .as_str()
        .map_err(|_| StoreError::Corrupt)?;
    Ok(Arc::from(text))
}

/// The text, as long as the page has not brought too many bytes already.
fn text_within(row: &SqlRow<'_>, column: usize, bytes: &mut usize) -> Result<Option<Arc<str>>, StoreError> {
    if *bytes >= PAGE_VALUE_BYTES {
        return Ok(None);
    }
    let text = text(row, column)?;
    *bytes += text.len();
    Ok(Some(text))
}

fn version(row: &SqlRow<'_>, column: usize) -> Result<u64, StoreError> {
    row.get::<_, i64>(column)
        .map(i64::cast_unsigned)
        .map_err(not_done)
}

fn moment(row: &SqlRow<'_>, column: usize) -> Result<Timestamp, StoreError> {
    let millis = row.get::<_, i64>(column).map_err(not_done)?;
    u64::try_from(millis)
        .map(Timestamp::from_millis)
        .map_err(|_| StoreError::Corrupt)
}

/// SQLite's integers end 292 million years after 1970; what is later is kept as that.
fn millis(moment: Timestamp) -> i64 {
    i64::try_from(moment.as_millis()).unwrap_or(i64::MAX)
}

fn new_version() -> Result<u64, StoreError> {
    getrandom::u64().map_err(|error| StoreError::Unavailable(Cause::new(error)))
}
