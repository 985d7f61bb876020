//! The SQL of the store, with one function for each operation.
//!
//! A write is one atomic statement; a write of several statements has a savepoint.

use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row as SqlRow, params};

use super::error::not_done;
use super::queue::{Reply, Write};
use crate::sections::section;
use crate::{Cause, Condition, Deletion, Entry, Expected, Listed, Listing, Page, Placement, Row, StoreError};
use tessera_contract::Timestamp;

/// The SQL, which hosts in other languages run as well. Its header defines the units and the order of the parameters.
pub(super) const SQL: &str = include_str!("../../layout/sql/sqlite.sql");

/// The maximum number of entries that are swept in one transaction.
pub(super) const SWEEP_BATCH: usize = 500;

/// The size of the values in one page, in bytes; later rows omit their values.
const PAGE_VALUE_BYTES: usize = 1024 * 1024;

pub(super) fn apply(connection: &Connection, write: &Write) -> Reply {
    match write {
        #[cfg(test)]
        Write::Panic => panic!("as a log that cannot be written"),
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
        Write::Delete { now, key, condition } => delete(connection, *now, key, condition),
        Write::DeleteMany {
            now,
            deletions,
            owner,
        } => delete_many(connection, *now, deletions, owner).map_err(not_done),
        Write::Sweep { before } => sweep(connection, *before)
            .map(|swept| swept as u64)
            .map_err(not_done),
    }
}

fn insert(connection: &Connection, now: Timestamp, key: &str, value: &str, at: &Placement) -> Reply {
    let version = new_version()?;
    let written = execute(
        connection,
        const { section(SQL, "insert") },
        params![
            key,
            value,
            version.cast_signed(),
            at.guard.unwrap_or(0).cast_signed(),
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
    expected: Expected,
    at: &Placement,
) -> Reply {
    let version = new_version()?;
    let (sql, expected) = match expected {
        Expected::Version(version) => (const { section(SQL, "replace_version") }, version),
        Expected::Guard(guard) => (const { section(SQL, "replace_guard") }, guard),
    };
    let written = execute(
        connection,
        sql,
        params![
            key,
            expected.cast_signed(),
            value,
            version.cast_signed(),
            at.guard.map(u64::cast_signed),
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
        const { section(SQL, "import") },
        params![
            row.key,
            value,
            row.version.cast_signed(),
            row.guard.cast_signed(),
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
        const { section(SQL, "touch") },
        params![key, millis(now), millis(expires_at)],
    )?;
    if written > 0 || is_live(connection, now, key)? {
        Ok(0)
    } else {
        Err(StoreError::Missing)
    }
}

fn delete(connection: &Connection, now: Timestamp, key: &str, condition: &Condition) -> Reply {
    let removed = match condition {
        Condition::Owner(owner) => remove(
            connection,
            const { section(SQL, "delete_by_owner") },
            params![key, owner, millis(now)],
        ),
        Condition::Guard(guard) => remove(
            connection,
            const { section(SQL, "delete_by_guard") },
            params![key, guard.cast_signed(), millis(now)],
        ),
    };
    match removed.map_err(not_done)? {
        Some(was_live) => Ok(was_live.into()),
        None if is_live(connection, now, key)? => Err(StoreError::Stale),
        None => Ok(0),
    }
}

fn delete_many(
    connection: &Connection,
    now: Timestamp,
    deletions: &[Deletion],
    owner: &str,
) -> rusqlite::Result<u64> {
    connection.prepare_cached("SAVEPOINT several")?.execute([])?;
    let deleted = delete_each(connection, now, deletions, owner);
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
    deletions: &[Deletion],
    owner: &str,
) -> rusqlite::Result<u64> {
    let mut deleted = 0;
    for Deletion { key, guard } in deletions {
        let was_live = remove(
            connection,
            const { section(SQL, "delete_owned") },
            params![key, owner, millis(now), guard.map(u64::cast_signed)],
        )?;
        deleted += u64::from(was_live.unwrap_or(false));
    }
    Ok(deleted)
}

/// Runs a removal of one entry, and returns whether the entry was live; `None` if nothing was removed.
fn remove(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> rusqlite::Result<Option<bool>> {
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_row(parameters, |row| row.get(0)).optional()
}

/// Removes up to [`SWEEP_BATCH`] entries that expired at `before` or earlier.
pub(super) fn sweep(connection: &Connection, before: Timestamp) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare_cached(const { section(SQL, "sweep") })?;
    statement.execute(params![millis(before), SWEEP_BATCH as i64])
}

pub(super) fn get(connection: &Connection, now: Timestamp, key: &str) -> Result<Entry, StoreError> {
    let mut statement = prepare(connection, const { section(SQL, "get") })?;
    let mut rows = statement.query(params![key, millis(now)]).map_err(not_done)?;
    let row = rows.next().map_err(not_done)?.ok_or(StoreError::Missing)?;
    Ok(Entry {
        value: text(row, 0)?,
        version: number(row, 1)?,
        guard: number(row, 2)?,
        expires_at: moment(row, 3)?,
    })
}

pub(super) fn list_owned(
    connection: &Connection,
    now: Timestamp,
    owner: &str,
    after: i64,
    limit: u32,
) -> Result<Page, StoreError> {
    let mut statement = prepare(connection, const { section(SQL, "list_owned") })?;
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
            version: number(row, 2)?,
            guard: number(row, 3)?,
            touched_at: moment(row, 4)?,
            expires_at: moment(row, 5)?,
            value: text_within(row, 6, &mut bytes)?,
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
    let mut statement = prepare(connection, const { section(SQL, "list_all") })?;
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
            version: number(row, 2)?,
            guard: number(row, 3)?,
            touched_at: moment(row, 4)?,
            expires_at: moment(row, 5)?,
            value: text_within(row, 6, &mut bytes)?,
            owner: row.get(7).map_err(not_done)?,
            ends_at: moment(row, 8)?,
        });
    }
    listing.next = next_cursor(listing.rows.len(), limit, last);
    Ok(listing)
}

/// The number of all entries, or of those that are live at a time.
pub(super) fn count(connection: &Connection, live_at: Option<Timestamp>) -> Result<u64, StoreError> {
    let counted = match live_at {
        None => {
            prepare(connection, const { section(SQL, "count") })?.query_row([], |row| row.get::<_, i64>(0))
        }
        Some(now) => prepare(connection, const { section(SQL, "count_live") })?
            .query_row([millis(now)], |row| row.get(0)),
    };
    counted.map(i64::cast_unsigned).map_err(not_done)
}

fn is_live(connection: &Connection, now: Timestamp, key: &str) -> Result<bool, StoreError> {
    let mut statement = prepare(connection, const { section(SQL, "is_live") })?;
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

/// The cursor of the next page, which may exist if this one is full.
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

/// The text; `None` if the page already has [`PAGE_VALUE_BYTES`] of values.
fn text_within(row: &SqlRow<'_>, column: usize, bytes: &mut usize) -> Result<Option<Arc<str>>, StoreError> {
    if *bytes >= PAGE_VALUE_BYTES {
        return Ok(None);
    }
    let text = text(row, column)?;
    *bytes += text.len();
    Ok(Some(text))
}

/// A version or a guard.
fn number(row: &SqlRow<'_>, column: usize) -> Result<u64, StoreError> {
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

/// Milliseconds as SQLite stores them. A later moment than 2⁶³ − 1, 292 million years after 1970, is stored as 2⁶³ − 1.
fn millis(moment: Timestamp) -> i64 {
    i64::try_from(moment.as_millis()).unwrap_or(i64::MAX)
}

fn new_version() -> Result<u64, StoreError> {
    getrandom::u64().map_err(|error| StoreError::Unavailable(Cause::new(error)))
}

#[cfg(test)]
mod tests {
    use super::SQL;
    use crate::sections::testing::sections;

    #[test]
    fn every_section_is_in_the_file_once_and_lists_its_parameters() {
        for (name, sql, listed) in sections(SQL) {
            let takes = |number: usize| sql.contains(&format!("?{number}"));
            let taken = (1..).take_while(|number| takes(*number)).count();
            assert_eq!((taken, takes(taken + 2)), (listed, false), "{name}");
        }
    }
}
