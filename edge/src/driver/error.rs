//! Errors of a logical call.

use super::instance::ConfigureError;
use super::wit;
use crate::store::StoreError;

/// The text of an exception that ended a pass: the kind of a trap, or the sentence of a check in `js/`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Trap(pub(super) String);

/// An error of a logical call. No variant carries a token, a key, a session id or a value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The engine returned an error; `store` is the store's last failure, if there was one.
    #[error("{}", .error.words())]
    Engine {
        error: wit::Error,
        #[source]
        store: Option<StoreError>,
    },
    /// A call that cannot wait needs the store.
    #[error("this call needs the store and cannot wait for it")]
    CannotWait,
    /// The component trapped on two instances; nothing was written.
    #[error("the engine's instance was lost")]
    InstanceLost(#[source] Trap),
    /// The call failed after it had sent a write.
    #[error("a write was sent and its outcome is unknown")]
    OutcomeUnknown,
    /// No new instance could be created.
    #[error("the engine cannot be started")]
    Configure(#[from] ConfigureError),
    /// The arguments cannot be written as JSON, or the engine's result cannot be read.
    #[error("the engine's arguments or result cannot be encoded or decoded")]
    Unreadable(#[source] serde_json::Error),
    /// The record has no fields at the position that the engine returned.
    #[error("the engine returned a session that is not in its record")]
    NoFields,
}
