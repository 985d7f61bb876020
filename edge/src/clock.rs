//! The clock of the runtime. It stands still while nothing is awaited.

use tessera_contract::Timestamp;

/// Returns the current time.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(js_sys::Date::now() as u64)
}
