//! The time, as the runtime tells it. It stands still while nothing is awaited.

use tessera_contract::Timestamp;

/// The time.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(js_sys::Date::now() as u64)
}
