//! An operator's listing of Redis: every record, server by server.

use futures_util::future::join_all;

use super::RedisStore;
use super::scan::{Place, scan};
use crate::{Listed, Listing, StoreError};
use tessera_contract::Timestamp;
use tessera_contract::store::check_limit;

/// The maximum number of scans for one page: if most keys belong to other services, a page may have few rows or none.
const EMPTY_SCANS: usize = 100;

impl RedisStore {
    /// Lists live entries with and without an owner, for an operator: about `limit` (1 to 100) from `cursor` on.
    ///
    /// The empty cursor starts a walk. A walk scans all keys (`SCAN`), also those of other services.
    ///
    /// An entry that exists throughout a walk is listed at least once, and sometimes twice.
    /// In a Cluster, an entry may be omitted if its slot is moved or its server is replaced during the walk.
    ///
    /// # Errors
    ///
    /// [`StoreError::Other`] for an invalid limit, [`StoreError::MalformedCursor`], [`StoreError::Corrupt`] if one of
    /// the records cannot be read, and the errors of a read.
    pub async fn list_all(&self, now: Timestamp, cursor: &str, limit: u32) -> Result<Listing, StoreError> {
        check_limit(limit)?;
        let mut place = Place::parse(cursor)?;
        let mut rows = Vec::new();
        for _ in 0..EMPTY_SCANS {
            let deadline = self.asked(now).deadline;
            let (names, next) = scan(&self.shared, &place, "record:", limit, deadline).await?;
            let found = join_all(names.iter().map(|name| self.listed(now, name))).await;
            for row in found {
                rows.extend(row?);
            }
            match next {
                None => return Ok(Listing { rows, next: None }),
                Some(next) => place = next,
            }
            if rows.len() >= limit as usize {
                break;
            }
        }
        Ok(Listing {
            rows,
            next: Some(place.to_string()),
        })
    }

    async fn listed(&self, now: Timestamp, name: &str) -> Result<Option<Listed>, StoreError> {
        let asked = self.asked(now);
        let key = name.get(self.shared.prefix.len() + "record:".len()..);
        let key = key.ok_or(StoreError::Corrupt)?;
        let Some(beginning) = asked.record(key).beginning().await? else {
            return Ok(None);
        };
        let (head, value) = beginning.read()?;
        if head.expires_at <= now {
            return Ok(None);
        }
        Ok(Some(Listed {
            key: key.to_owned(),
            owner: head.listed.map(|(owner, _)| owner.to_owned()),
            version: head.version,
            guard: head.guard,
            touched_at: head.touched_at,
            expires_at: head.expires_at,
            ends_at: head.ends_at,
            value,
        }))
    }
}
