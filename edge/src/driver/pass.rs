//! One pass through the component.

use serde::Deserialize;
use serde_json::value::RawValue;
use tessera_contract::Timestamp;

use crate::store::StoreOp;

/// How a pass ended, and the time: as the engine was told it last, or as the store is to be.
pub(super) enum Passed {
    Done(Box<RawValue>, Timestamp),
    Asked(StoreOp, Timestamp),
}

/// Reads what `pass` of `js/call.js` answers.
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
