//! The import of entries of another store.

use std::sync::Arc;

use super::error::{Fault, Verdict};
use super::rows::millis;
use super::statement::Param;
use super::{SqlStore, Written};
use crate::{Listed, Store as _, StoreError};
use tessera_contract::Timestamp;

impl SqlStore {
    /// Copies an entry of another store, with its version, guard, owner and moments.
    ///
    /// Writes if no live entry has the key at `now`, or overwrites the version `over`; with `None`, the version of `row`.
    /// An overwrite never moves the expiry earlier.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if a live entry has another version, and the errors of [`Store::insert`](crate::Store::insert).
    pub async fn import(
        &self,
        now: Timestamp,
        row: &Listed,
        value: &Arc<str>,
        over: Option<u64>,
    ) -> Result<(), StoreError> {
        let at = row.placement();
        self.describe().check_sizes(&row.key, value, &at)?;
        let written = Written {
            key: &row.key,
            value,
            version: row.version,
            guard: Some(row.guard),
            now: row.touched_at,
            at: &at,
        };
        let [text, version, guard, owner, touched_at, expires_at, ends_at] = written.params();
        let key = Param::Bytes(row.key.as_bytes());
        let over = Param::Number(over.unwrap_or(row.version).cast_signed());
        let params = [
            text,
            version,
            guard,
            owner,
            touched_at,
            expires_at,
            ends_at,
            ends_at,
            key,
            Param::Number(millis(now)),
            over,
        ];
        let statements = &self.shared.statements;
        let answer = self.write(&statements.overwrite, &params).await;
        let answer = self.tell(&[&row.key], answer.map_err(Fault::of_write)).await;
        if answer?.affected > 0 {
            return Ok(());
        }
        // A row with this key belongs to another writer, perhaps one between the two statements.
        let params = [key, text, version, guard, owner, touched_at, expires_at, ends_at];
        match self.write(&statements.insert, &params).await {
            Ok(answer) if answer.affected > 0 => Ok(()),
            Ok(_) => Err(StoreError::Stale),
            Err(fault) if fault.verdict == Verdict::Duplicate => Err(StoreError::Stale),
            Err(fault) => Err(fault.of_write()),
        }
    }
}
