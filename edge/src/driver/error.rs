//! Why a logical call did not do as asked.

use super::instance::ConfigureError;
use super::wit;
use crate::store::StoreError;

/// What ended a pass: of a trap its kind, of our own checks a sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Trap(pub(super) String);

/// None of them carries a token, a key, a session id or a value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The engine's own answer; what the store said last, where that is why.
    #[error("{}", .error.words())]
    Engine {
        error: wit::Error,
        #[source]
        store: Option<StoreError>,
    },
    /// A call that cannot wait has to ask the store.
    #[error("the store has to be asked, and this call cannot wait")]
    CannotWait,
    /// The component trapped, and did so again on another instance; nothing was written.
    #[error("the engine's instance was lost")]
    InstanceLost(#[source] Trap),
    /// The call failed after a write was asked.
    #[error("a write was asked and how it ended is not known")]
    OutcomeUnknown,
    /// No new instance could be made.
    #[error("the engine cannot be started")]
    Configure(#[from] ConfigureError),
    /// What the engine answered, or is to be asked, cannot be read.
    #[error("what goes into the engine, or comes out of it, cannot be read")]
    Unreadable(#[source] serde_json::Error),
    /// The fields of a session do not stand where the engine says.
    #[error("the engine has answered a session that is not in its record")]
    NoFields,
}
