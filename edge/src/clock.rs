//! The time, as the runtime tells it. It stands still while nothing is awaited.

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    js_sys::Date::now() as u64
}
