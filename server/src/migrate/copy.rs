//! One pass over the source, and one over the destination.
//!
//! Versions are random and do not show which entry is newer.
//! The decision depends on whether the destination still has the copy: if so, the source's entry replaces it, whatever has
//! become of that entry.
//! An entry that a service has written at the destination is kept, and a session that was ended there stays ended.

use std::collections::HashSet;
use std::sync::Arc;

use tessera::Timestamp;
use tessera::store::{
    BATCH_LIMIT, Condition, Entry, Expected, Listed, Methods, Placement, PlainStore, Store as _, StoreError,
};

use super::journal::{Copied, Hash, Journal, hash};
use crate::failure::Failure;

const PAGE_ROWS: u32 = BATCH_LIMIT as u32;
/// If this many sessions have ended all at once on one side, a wrong URL is more likely.
const SUSPICIOUS: usize = 10;

/// The counts of a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Live entries at the source.
    pub(super) found: u64,
    /// The destination had no entry, and received it.
    pub(super) copied: u64,
    /// The destination had an older copy, and received the newer one.
    pub(super) updated: u64,
    /// The destination had the entry already.
    pub(super) same: u64,
    /// A service has written another entry at the destination, which is kept.
    pub(super) kept: u64,
    /// The entry was copied and then ended at the destination; it stays ended.
    pub(super) ended: u64,
    /// The entry has ended at the source since it was copied, and now at the destination.
    pub(super) removed: u64,
    /// The entry changed or ended while it was copied; the next pass decides.
    pub(super) moving: u64,
    /// The entry is larger than the destination accepts.
    pub(super) too_large: u64,
}

impl Tally {
    /// Whether there was nothing to do.
    pub(super) fn is_settled(&self) -> bool {
        self.copied + self.updated + self.removed + self.moving == 0
    }

    /// Whether each session of the source is at the destination, or was changed or ended there by a service.
    pub(super) fn agrees(&self) -> bool {
        self.is_settled() && self.found == self.same + self.kept + self.ended
    }
}

/// The state of a migration from one store to another.
pub(super) struct Copier {
    pub(super) from: Methods<PlainStore>,
    /// `None`: the destination does not exist yet, and this is a dry run.
    pub(super) to: Option<Methods<PlainStore>>,
    pub(super) journal: Journal,
    pub(super) dry_run: bool,
}

/// The action for an entry of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Same,
    /// The destination has the same version with an earlier expiry.
    Touch,
    /// Import over this version, or as a new entry.
    Import(Option<u64>),
    Keep,
    LeaveEnded,
}

fn step(now: Timestamp, row: &Listed, at_destination: Option<&Entry>, noted: Option<Copied>) -> Step {
    match (at_destination, noted) {
        (Some(there), _) if there.version == row.version => match there.expires_at < row.expires_at {
            true => Step::Touch,
            false => Step::Same,
        },
        (Some(there), Some(noted)) if noted.is(there.version) => Step::Import(Some(there.version)),
        (Some(_), _) => Step::Keep,
        // A copy that has expired at the destination: its source was used since, and lives longer.
        (None, Some(noted)) if noted.is_certain && noted.expires_at > now => Step::LeaveEnded,
        (None, _) => Step::Import(None),
    }
}

fn copied(row: &Listed, is_certain: bool) -> Copied {
    Copied {
        version: row.version,
        next: None,
        expires_at: row.expires_at,
        is_certain,
    }
}

impl Copier {
    /// Processes all entries of the source, then those of the destination, for entries that have ended at the source since.
    pub(super) async fn pass(&mut self, mut each: impl FnMut(u64)) -> Result<Tally, Failure> {
        let (mut tally, mut seen) = (Tally::default(), HashSet::new());
        let mut cursor = String::new();
        loop {
            let now = Timestamp::now();
            let page = self.from.list_all(now, &cursor, PAGE_ROWS).await;
            let page = page.map_err(Failure::during("cannot read the source"))?;
            let mut rows = page.rows;
            // A walk may list an entry twice.
            rows.retain(|row| seen.insert(hash(&row.key)));
            let length = rows.len() as u64;
            // Redis lists only approximately as many rows as requested.
            for rows in rows.chunks(BATCH_LIMIT) {
                self.page(now, rows, &mut tally).await?;
            }
            each(length);
            match page.next {
                Some(next) => cursor = next,
                None => break,
            }
        }
        tally.found = seen.len() as u64;
        self.check(&tally)?;
        self.sweep(&seen, &mut tally).await?;
        Ok(tally)
    }

    /// Fails if the counts suggest a mistake, before anything is ended.
    fn check(&self, tally: &Tally) -> Result<(), Failure> {
        let known = self.journal.live(Timestamp::now());
        if tally.found == 0 && known >= SUSPICIOUS {
            return Err(Failure::new(format!(
                "{known} live sessions were copied before, and the source has none: is it the right store? \
                 If it has lost them, remove the journal; nothing is left to copy"
            )));
        }
        if tally.ended >= SUSPICIOUS as u64 && tally.same + tally.updated + tally.kept == 0 {
            return Err(Failure::new(format!(
                "of {} sessions that were copied before, the destination has none: is it the right store? \
                 If it was emptied, remove the journal and run this again to copy them",
                tally.ended
            )));
        }
        Ok(())
    }

    async fn page(&mut self, now: Timestamp, rows: &[Listed], tally: &mut Tally) -> Result<(), Failure> {
        let there = self.at_destination(now, rows).await?;
        let mut imports = Vec::new();
        for (row, there) in rows.iter().zip(there) {
            let hash = hash(&row.key);
            match step(now, row, there.as_ref(), self.journal.get(&hash)) {
                Step::Same => {
                    tally.same += 1;
                    self.journal.note(hash, copied(row, true))?;
                }
                Step::Touch => {
                    tally.same += 1;
                    self.journal.note(hash, copied(row, true))?;
                    self.touch(now, row).await?;
                }
                Step::Keep => tally.kept += 1,
                Step::LeaveEnded => tally.ended += 1,
                Step::Import(over) if self.dry_run => match over {
                    Some(_) => tally.updated += 1,
                    None => tally.copied += 1,
                },
                Step::Import(over) => {
                    // Over a copy, it remains certain that there is one, of one version or the other.
                    let note = match over {
                        None => copied(row, false),
                        Some(over) => Copied {
                            version: over,
                            next: Some(row.version),
                            ..copied(row, true)
                        },
                    };
                    self.journal.note(hash, note)?;
                    imports.push((row, over));
                }
            }
        }
        self.journal.flush()?;
        let done = imports
            .iter()
            .map(|(row, over)| import(&self.from, self.to.as_ref(), now, row, *over));
        let (done, mut failed) = (futures_util::future::join_all(done).await, None);
        for ((row, over), done) in imports.iter().zip(done) {
            match done {
                Ok(()) => {
                    self.journal.note(hash(&row.key), copied(row, true))?;
                    match over {
                        Some(_) => tally.updated += 1,
                        None => tally.copied += 1,
                    }
                }
                Err(StoreError::Stale | StoreError::Missing) => tally.moving += 1,
                Err(StoreError::TooLarge) => tally.too_large += 1,
                // The results of the other entries are recorded first.
                Err(error) => failed = Some(error),
            }
        }
        self.journal.flush()?;
        match failed {
            None => Ok(()),
            Some(error) => Err(Failure::during("cannot write to the destination")(error)),
        }
    }

    async fn at_destination(&self, now: Timestamp, rows: &[Listed]) -> Result<Vec<Option<Entry>>, Failure> {
        let Some(to) = &self.to else {
            return Ok(vec![None; rows.len()]);
        };
        let doing = || Failure::during("cannot read the destination");
        let keys: Vec<String> = rows.iter().map(|row| row.key.clone()).collect();
        let entries = to.get_many(now, &keys).await.map_err(doing())?;
        let one = |entry| match entry {
            Ok(entry) => Ok(Some(entry)),
            Err(StoreError::Missing) => Ok(None),
            Err(error) => Err(doing()(error)),
        };
        entries.into_iter().map(one).collect()
    }

    async fn touch(&self, now: Timestamp, row: &Listed) -> Result<(), Failure> {
        let Some(to) = self.to.as_ref().filter(|_| !self.dry_run) else {
            return Ok(());
        };
        match to
            .touch(now, &row.key, row.owner.as_deref(), row.expires_at)
            .await
        {
            Ok(()) | Err(StoreError::Missing) => Ok(()),
            Err(error) => Err(Failure::during("cannot write to the destination")(error)),
        }
    }

    /// Ends the copies at the destination whose source has ended.
    async fn sweep(&mut self, seen: &HashSet<Hash>, tally: &mut Tally) -> Result<(), Failure> {
        let Some(to) = &self.to else { return Ok(()) };
        let mut cursor = String::new();
        loop {
            let now = Timestamp::now();
            let page = to.list_all(now, &cursor, PAGE_ROWS).await;
            let page = page.map_err(Failure::during("cannot read the destination"))?;
            for row in &page.rows {
                let hash = hash(&row.key);
                // A copy that is past its recorded expiry was used at the destination, and its source may have expired.
                let is_copy = |noted: Copied| noted.is(row.version) && noted.expires_at > now;
                if seen.contains(&hash) || !self.journal.get(&hash).is_some_and(is_copy) {
                    continue;
                }
                match self.from.get(now, &row.key, true).await {
                    Err(StoreError::Missing) => {}
                    // A walk may have missed the entry; the next one finds it.
                    Ok(_) => {
                        tally.moving += 1;
                        continue;
                    }
                    Err(error) => return Err(Failure::during("cannot read the source")(error)),
                }
                if self.dry_run || end(to, now, row).await? {
                    tally.removed += 1;
                }
            }
            match page.next {
                Some(next) => cursor = next,
                None => return Ok(()),
            }
        }
    }
}

/// Copies one entry.
async fn import(
    from: &Methods<PlainStore>,
    to: Option<&Methods<PlainStore>>,
    now: Timestamp,
    row: &Listed,
    over: Option<u64>,
) -> Result<(), StoreError> {
    let Some(to) = to else { return Ok(()) };
    let value: Arc<str> = match &row.value {
        Some(value) => Arc::clone(value),
        None => {
            let entry = from.get(now, &row.key, true).await?;
            if entry.version != row.version {
                return Err(StoreError::Stale);
            }
            entry.value
        }
    };
    to.import(now, row, &value, over).await
}

/// Ends a copy unless it was changed: a conditional write of an expired record, then the deletion of that record.
async fn end(to: &Methods<PlainStore>, now: Timestamp, row: &Listed) -> Result<bool, Failure> {
    let doing = || Failure::during("cannot write to the destination");
    let at = Placement {
        owner: row.owner.clone(),
        previous_owner: row.owner.clone(),
        guard: None,
        expires_at: Timestamp::from_millis(0),
        ends_at: Timestamp::from_millis(0),
    };
    let expected = Expected::Version(row.version);
    match to.replace(now, &row.key, "", expected, &at).await {
        Ok(_) => {}
        Err(StoreError::Stale | StoreError::Missing) => return Ok(false),
        Err(error) => return Err(doing()(error)),
    }
    match to.delete(now, &row.key, &Condition::Guard(row.guard)).await {
        // Stale: a service has written a new entry since. The copy has ended nevertheless.
        Ok(_) | Err(StoreError::Stale) => Ok(true),
        Err(error) => Err(doing()(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_did_at_the_destination_stays_and_a_copy_follows_its_source() {
        let at = Timestamp::from_millis;
        let row = Listed {
            key: "key".into(),
            owner: None,
            version: 2,
            guard: 7,
            touched_at: at(1),
            expires_at: at(10),
            ends_at: at(20),
            value: None,
        };
        let there = |version, expires_at| {
            Some(Entry {
                value: "".into(),
                version,
                guard: 7,
                expires_at: at(expires_at),
            })
        };
        let expiring = |version, expires, is_certain| {
            Some(Copied {
                version,
                next: None,
                expires_at: at(expires),
                is_certain,
            })
        };
        let updating = Copied {
            version: 0,
            next: Some(1),
            expires_at: at(10),
            is_certain: true,
        };
        let noted = |version, is_certain| expiring(version, 10, is_certain);
        for (at_destination, noted, expected) in [
            (there(2, 10), None, Step::Same),
            (there(2, 9), noted(2, true), Step::Touch),
            (there(2, 11), noted(2, true), Step::Same),
            (there(1, 10), noted(1, true), Step::Import(Some(1))),
            (there(1, 10), noted(1, false), Step::Import(Some(1))),
            (there(1, 10), Some(updating), Step::Import(Some(1))),
            (there(1, 10), noted(2, true), Step::Keep),
            (there(1, 10), None, Step::Keep),
            (None, None, Step::Import(None)),
            (None, noted(2, false), Step::Import(None)),
            (None, noted(2, true), Step::LeaveEnded),
            (None, noted(1, true), Step::LeaveEnded),
            (None, expiring(1, 6, true), Step::LeaveEnded),
            (None, expiring(1, 5, true), Step::Import(None)),
        ] {
            assert_eq!(
                step(at(5), &row, at_destination.as_ref(), noted),
                expected,
                "{at_destination:?} {noted:?}"
            );
        }
    }

    #[test]
    fn counts_agree_only_if_every_session_is_accounted_for() {
        let tally = Tally {
            found: 6,
            same: 3,
            kept: 2,
            ended: 1,
            ..Tally::default()
        };
        assert!(tally.agrees());
        for other in [
            Tally { found: 7, ..tally },
            Tally { moving: 1, ..tally },
            Tally {
                too_large: 1,
                found: 7,
                ..tally
            },
            Tally { removed: 1, ..tally },
        ] {
            assert!(!other.agrees(), "{other:?}");
        }
    }
}
