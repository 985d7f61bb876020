//! Hashes of values and of the store's replies.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use tessera::store::{Entry, Page, Row, StoreError, StoreReply};

/// The hash of a value.
pub(super) fn digest(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Returns a hash that distinguishes replies to one operation. A version identifies the text written with it.
pub fn digest_of(reply: &StoreReply) -> u64 {
    let error = |error: &StoreError| std::mem::discriminant(error);
    let entry = |entry: &Result<Entry, StoreError>| match entry {
        Ok(entry) => Ok((entry.version, entry.expires_at)),
        Err(failed) => Err(error(failed)),
    };
    let row = |row: &Row| (row.version, row.touched_at, row.expires_at);
    match reply {
        StoreReply::Entry(found) => digest(&(1, entry(found))),
        StoreReply::Entries(found) => {
            let each = |found: &Arc<[_]>| found.iter().map(entry).collect::<Vec<_>>();
            digest(&(2, found.as_ref().map(each).map_err(error)))
        }
        StoreReply::Version(version) => digest(&(3, version.as_ref().map_err(error))),
        StoreReply::Done(done) => digest(&(4, done.as_ref().map_err(error))),
        StoreReply::WasThere(was_there) => digest(&(5, was_there.as_ref().map_err(error))),
        StoreReply::Count(count) => digest(&(6, count.as_ref().map_err(error))),
        StoreReply::Page(page) => {
            let rows = |page: &Arc<Page>| page.rows.iter().map(row).collect::<Vec<_>>();
            digest(&(7, page.as_ref().map(rows).map_err(error)))
        }
    }
}
