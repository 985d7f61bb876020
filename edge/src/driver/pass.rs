//! The result of one pass through the component.

use serde::Deserialize;
use serde_json::value::RawValue;
use tessera_contract::Timestamp;

use crate::store::StoreOp;

/// How a pass ended, and a time.
pub(super) enum Passed {
    /// The result, and the last time that the engine received.
    Done(Box<RawValue>, Timestamp),
    /// A store operation to perform, and its time.
    Asked(StoreOp, Timestamp),
}

/// Reads the result of `pass` in `js/call.js`.
pub(super) fn read(text: &str) -> Result<Passed, serde_json::Error> {
    #[derive(Deserialize)]
    struct Pass {
        done: Option<Box<RawValue>>,
        asked: Option<StoreOp>,
        #[serde(default)]
        now: Timestamp,
    }
    let Pass { done, asked, now } = serde_json::from_str(text)?;
    Ok(match asked {
        Some(asked) => Passed::Asked(asked, now),
        None => Passed::Done(done.unwrap_or_default(), now),
    })
}
