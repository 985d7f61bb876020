//! The removal of entries: first the live ones, then those that have expired by this clock, but perhaps not by that of another
//! host.

use super::error::Fault;
use super::rows::millis;
use super::statement::Param;
use super::statements::{Batched, Removal};
use super::{SqlStore, several};
use crate::{Condition, Deletion, StoreError};
use tessera_contract::Timestamp;

impl SqlStore {
    /// Removes an entry that meets the condition, and returns whether it was live.
    pub(super) async fn remove(
        &self,
        now: Timestamp,
        key: &str,
        condition: &Condition,
    ) -> Result<bool, StoreError> {
        let statements = &self.shared.statements;
        let (removal, expected) = match condition {
            Condition::Owner(owner) => (&statements.delete_by_owner, Param::Bytes(owner.as_bytes())),
            Condition::Guard(guard) => (&statements.delete_by_guard, Param::Number(guard.cast_signed())),
        };
        let params = [Param::Bytes(key.as_bytes()), expected, Param::Number(millis(now))];
        let answer = self.write(&removal.live, &params).await;
        let answer = self.tell(&[key], answer.map_err(Fault::of_write)).await;
        if answer?.affected > 0 {
            return Ok(true);
        }
        let answer = self.write(&removal.expired, &params).await;
        if answer.map_err(Fault::of_write)?.affected == 0 && self.is_live(now, key).await? {
            return Err(StoreError::Stale);
        }
        Ok(false)
    }

    /// Removes the entries that meet their condition, and returns the number of live ones among them.
    /// Deletions with and without a guard need different statements.
    pub(super) async fn remove_many(
        &self,
        now: Timestamp,
        deletions: &[Deletion],
        owner: &str,
    ) -> Result<u32, StoreError> {
        let (mut keys, mut pairs) = (Vec::new(), Vec::new());
        for Deletion { key, guard } in deletions {
            match guard {
                None => keys.push(key.as_str()),
                Some(guard) => pairs.push((key.as_str(), *guard)),
            }
        }
        let statements = &self.shared.statements;
        let mut removed = 0;
        if !keys.is_empty() {
            let (_, size) = statements.delete_many.live.of_size(keys.len());
            let params = several(&keys, size).collect();
            removed += self
                .remove_batch(&statements.delete_many, now, &keys, params, owner)
                .await?;
        }
        if !pairs.is_empty() {
            let keys: Vec<&str> = pairs.iter().map(|(key, _)| *key).collect();
            let (_, size) = statements.delete_pairs.live.of_size(keys.len());
            let with_guard =
                pairs.iter().cycle().take(size).flat_map(|(key, guard)| {
                    [Param::Bytes(key.as_bytes()), Param::Number(guard.cast_signed())]
                });
            let params = several(&keys, size).chain(with_guard).collect();
            removed += self
                .remove_batch(&statements.delete_pairs, now, &keys, params, owner)
                .await?;
        }
        // The count is at most BATCH_LIMIT.
        Ok(removed as u32)
    }

    async fn remove_batch(
        &self,
        removal: &Removal<Batched>,
        now: Timestamp,
        keys: &[&str],
        mut params: Vec<Param<'_>>,
        owner: &str,
    ) -> Result<u64, StoreError> {
        params.push(Param::Bytes(owner.as_bytes()));
        params.push(Param::Number(millis(now)));
        let (live, _) = removal.live.of_size(keys.len());
        let answer = self.write(live, &params).await.map_err(Fault::of_write);
        let removed = self.tell(keys, answer).await?.affected;
        if removed < keys.len() as u64 {
            let (expired, _) = removal.expired.of_size(keys.len());
            self.write(expired, &params).await.map_err(Fault::of_write)?;
        }
        Ok(removed)
    }
}
