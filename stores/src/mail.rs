//! Shared parts of the mailboxes.

use tessera_connections::{MailboxError, Name};

use crate::{Cause, StoreError};

/// Draws the stamp of a message.
pub(crate) fn stamp() -> Result<u32, MailboxError> {
    getrandom::u32().map_err(|error| StoreError::Unavailable(Cause::new(error)).into())
}

/// Reads a cursor of a walk in the order of the names; `None` for the empty cursor.
pub(crate) fn check_cursor(cursor: &str) -> Result<Option<Name>, MailboxError> {
    if cursor.is_empty() {
        return Ok(None);
    }
    let name = cursor.parse().map_err(|_| StoreError::MalformedCursor)?;
    Ok(Some(name))
}

/// `Ok(false)` in place of a missing mailbox.
pub(crate) fn or_false(done: Result<bool, MailboxError>) -> Result<bool, MailboxError> {
    match done {
        Err(MailboxError::Missing) => Ok(false),
        done => done,
    }
}
