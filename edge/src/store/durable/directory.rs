//! The directory of all names of a kind: the indexes of some owners, among which the names are spread.

use tessera_contract::Timestamp;
use worker::ObjectNamespace;

use super::owner_protocol::{Line, Reply, Request};
use crate::objects::{Failure, ask};
use crate::store::{Cause, StoreError};

/// The number of indexes. An object handles about a thousand operations each second.
const SHARDS: u8 = 16;
/// The number of every entry: a name is entered once.
const ENTRY: u64 = 0;

/// A directory.
#[derive(Clone)]
pub(crate) struct Directory {
    owners: ObjectNamespace,
    space: String,
}

fn shard(name: &str) -> u8 {
    let hash = name.bytes().fold(0_u32, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(byte.into())
    });
    // Below SHARDS.
    (hash % u32::from(SHARDS)) as u8
}

/// The place of a walk: the index, and the last name of the previous page.
fn place(cursor: &str) -> Result<(u8, Option<String>), StoreError> {
    if cursor.is_empty() {
        return Ok((0, None));
    }
    let (shard, last) = cursor.split_once('.').ok_or(StoreError::MalformedCursor)?;
    let shard: u8 = shard.parse().map_err(|_| StoreError::MalformedCursor)?;
    let is_name = last
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if shard >= SHARDS || !is_name {
        return Err(StoreError::MalformedCursor);
    }
    Ok((shard, Some(last.to_owned()).filter(|last| !last.is_empty())))
}

impl Directory {
    /// `space` is the prefix of the objects' names.
    pub(crate) fn new(owners: ObjectNamespace, space: &str) -> Self {
        Self {
            owners,
            space: space.to_owned(),
        }
    }

    async fn index(&self, shard: u8, question: &Request) -> Result<Reply, StoreError> {
        let asked = ask(&self.owners, &format!("{}d:{shard}", self.space), question).await;
        match asked.map_err(Failure::of_read)? {
            Reply::Refused { error } => Err(error),
            answer => Ok(answer),
        }
    }

    /// Enters a name, until it leaves or this time has passed.
    pub(crate) async fn enter(
        &self,
        now: Timestamp,
        name: &str,
        ends_at: Timestamp,
    ) -> Result<(), StoreError> {
        let question = Request::Enter {
            now,
            key: name.to_owned(),
            ends_at,
            entry: ENTRY,
        };
        self.index(shard(name), &question).await.map(drop)
    }

    /// Removes a name.
    pub(crate) async fn leave(&self, name: &str) -> Result<(), StoreError> {
        let entries = vec![(name.to_owned(), ENTRY)];
        self.index(shard(name), &Request::Leave { entries })
            .await
            .map(drop)
    }

    /// Lists names, at most `limit` of them, and returns the cursor of the next page. A page before the last one has that many.
    pub(crate) async fn page(
        &self,
        cursor: &str,
        limit: u32,
    ) -> Result<(Vec<String>, Option<String>), StoreError> {
        let (mut shard, mut after) = place(cursor)?;
        let mut names: Vec<String> = Vec::new();
        loop {
            let left = limit - u32::try_from(names.len()).unwrap_or(limit).min(limit);
            let question = Request::List { after, limit: left };
            let Reply::Lines { lines } = self.index(shard, &question).await? else {
                let unexpected = "the answer of a directory is of another question";
                return Err(StoreError::Other(Cause::new(unexpected)));
            };
            names.extend(lines.into_iter().map(|Line { key, .. }| key));
            match names.last() {
                Some(last) if names.len() >= limit as usize => {
                    let next = format!("{shard}.{last}");
                    return Ok((names, Some(next)));
                }
                _ if shard + 1 == SHARDS => return Ok((names, None)),
                _ => (shard, after) = (shard + 1, None),
            }
        }
    }
}
