//! An operator's listing of a table.

use super::SqlStore;
use super::rows::{millis, moment, next_cursor, number, parse_cursor, row};
use super::statement::Param;
use crate::{Listed, Listing, StoreError};
use tessera_contract::Timestamp;
use tessera_contract::store::check_limit;

impl SqlStore {
    /// Lists live entries with and without an owner, for an operator: at most `limit` (1 to 100) from `cursor` on.
    ///
    /// The empty cursor starts a walk. An entry that exists throughout a walk is listed exactly once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Other`] for an invalid limit, [`StoreError::MalformedCursor`], and the errors of a read.
    pub async fn list_all(&self, now: Timestamp, cursor: &str, limit: u32) -> Result<Listing, StoreError> {
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
            rows.push(Listed {
                key: shown.key,
                owner: each.text(7).map(str::to_owned),
                version: shown.version,
                guard: shown.guard,
                touched_at: shown.touched_at,
                expires_at: shown.expires_at,
                ends_at: moment(each, 8)?,
                value: shown.value,
            });
        }
        Ok(Listing { rows, next })
    }

    /// The number of entries in the table, including expired ones that are not swept yet. The database counts them one by one.
    ///
    /// # Errors
    ///
    /// The errors of a read.
    pub async fn count(&self) -> Result<u64, StoreError> {
        self.counted(&[]).await
    }

    /// The number of entries that are live at `now`. Otherwise as [`count`](Self::count).
    ///
    /// # Errors
    ///
    /// The errors of a read.
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
