//! Conversions from rows and to parameters.

use super::error::SqlError;
use super::statement::Row as SqlRow;
use crate::{Cause, Entry, Row, StoreError};
use tessera_contract::Timestamp;

/// An entry, with its value in this column, and version, guard and expiry in the next ones.
pub(super) fn entry(row: &SqlRow, column: usize) -> Result<Entry, StoreError> {
    Ok(Entry {
        value: row.text(column).ok_or(StoreError::Corrupt)?.into(),
        version: number(row, column + 1)?.cast_unsigned(),
        guard: number(row, column + 2)?.cast_unsigned(),
        expires_at: moment(row, column + 3)?,
    })
}

/// Checks that the row has the requested key or owner. A row with another one answers another statement.
pub(super) fn check_is_of(row: &SqlRow, column: usize, asked: &str) -> Result<(), StoreError> {
    match row.bytes(column) == Some(asked.as_bytes()) {
        true => Ok(()),
        false => Err(StoreError::Unavailable(Cause::new(SqlError::Pooler))),
    }
}

/// A row of a listing, whose first column is the cursor.
pub(super) fn row(row: &SqlRow) -> Result<Row, StoreError> {
    Ok(Row {
        key: row.text(1).ok_or(StoreError::Corrupt)?.to_owned(),
        version: number(row, 2)?.cast_unsigned(),
        guard: number(row, 3)?.cast_unsigned(),
        touched_at: moment(row, 4)?,
        expires_at: moment(row, 5)?,
        value: row.text(6).map(Into::into),
    })
}

/// The cursor of the next page, which may exist if this one is full.
pub(super) fn next_cursor(rows: &[SqlRow], limit: u32) -> Result<Option<String>, StoreError> {
    match rows.last() {
        Some(last) if rows.len() >= limit as usize => Ok(Some(number(last, 0)?.to_string())),
        _ => Ok(None),
    }
}

pub(super) fn number(row: &SqlRow, column: usize) -> Result<i64, StoreError> {
    row.number(column).ok_or(StoreError::Corrupt)
}

pub(super) fn moment(row: &SqlRow, column: usize) -> Result<Timestamp, StoreError> {
    u64::try_from(number(row, column)?)
        .map(Timestamp::from_millis)
        .map_err(|_| StoreError::Corrupt)
}

/// Milliseconds as the tables store them. A later moment than 2⁶³ − 1, 292 million years after 1970, is stored as 2⁶³ − 1.
pub(super) fn millis(moment: Timestamp) -> i64 {
    i64::try_from(moment.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn new_version() -> Result<u64, StoreError> {
    getrandom::u64().map_err(|error| StoreError::Unavailable(Cause::new(error)))
}

pub(super) fn parse_cursor(cursor: &str) -> Result<i64, StoreError> {
    if cursor.is_empty() {
        return Ok(i64::MIN);
    }
    cursor.parse().map_err(|_| StoreError::MalformedCursor)
}
