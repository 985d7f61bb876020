//! What an operator sees of a table.

use std::fmt;
use std::sync::Arc;

use super::SqlStore;
use super::driver::Param;
use super::rows::{check_limit, millis, moment, next_cursor, number, parse_cursor, row};
use crate::store::StoreError;
use crate::time::Timestamp;

/// A part of all entries, as [`SqlStore::list_all`] answers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SqlListing {
    /// At most as many as were asked for.
    pub rows: Vec<SqlEntry>,
    /// The cursor of the next part; `None` at the end.
    pub next: Option<String>,
}

/// One entry. `Debug` shows neither key nor owner nor value.
#[derive(Clone, PartialEq, Eq)]
pub struct SqlEntry {
    /// The key.
    pub key: String,
    /// Whose index lists it.
    pub owner: Option<String>,
    /// The version.
    pub version: u64,
    /// When it was last written or touched.
    pub touched_at: Timestamp,
    /// When it expires unless it is touched.
    pub expires_at: Timestamp,
    /// When it expires however often it is touched.
    pub ends_at: Timestamp,
    /// The text; `None` for one of more than 16 KiB.
    pub value: Option<Arc<str>>,
}

impl fmt::Debug for SqlEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlEntry")
            .field("version", &self.version)
            .field("touched_at", &self.touched_at)
            .field("expires_at", &self.expires_at)
            .field("ends_at", &self.ends_at)
            .finish_non_exhaustive()
    }
}

impl SqlStore {
    /// Lists live entries of all owners and of none, for an operator: at most `limit` (1 to 100) from `cursor` on;
    /// the empty cursor starts. An entry that is there throughout a walk is listed exactly once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Other`] for a limit that is none, [`StoreError::MalformedCursor`], otherwise as a question's.
    pub async fn list_all(&self, now: Timestamp, cursor: &str, limit: u32) -> Result<SqlListing, StoreError> {
        let after = parse_cursor(cursor)?;
        check_limit(limit)?;
        let params = [
            Param::Number(after),
            Param::Number(millis(now)),
            Param::Number(limit.into()),
        ];
        let found = self.read(&self.shared.statements.list_all, &params).await?;
        let next = next_cursor(&found, limit)?;
        let mut rows = Vec::with_capacity(found.len());
        for each in &found {
            let shown = row(each)?;
            rows.push(SqlEntry {
                key: shown.key,
                owner: each.text(6).map(str::to_owned),
                version: shown.version,
                touched_at: shown.touched_at,
                expires_at: shown.expires_at,
                ends_at: moment(each, 7)?,
                value: shown.value,
            });
        }
        Ok(SqlListing { rows, next })
    }

    /// How many entries the table holds, expired ones that are not swept yet included. The database counts them one by one.
    ///
    /// # Errors
    ///
    /// As a question's.
    pub async fn count(&self) -> Result<u64, StoreError> {
        self.counted(&[]).await
    }

    /// How many entries are live at `now`. As [`count`](Self::count) otherwise.
    ///
    /// # Errors
    ///
    /// As a question's.
    pub async fn count_live(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.counted(&[Param::Number(millis(now))]).await
    }

    async fn counted(&self, params: &[Param<'_>]) -> Result<u64, StoreError> {
        let statements = &self.shared.statements;
        let sql = if params.is_empty() {
            &statements.count
        } else {
            &statements.count_live
        };
        let rows = self.read(sql, params).await?;
        number(rows.first().ok_or(StoreError::Corrupt)?, 0).map(i64::cast_unsigned)
    }
}
