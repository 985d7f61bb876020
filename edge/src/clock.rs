//! The clock of the runtime. It stands still while nothing is awaited.

use tessera_contract::Timestamp;

#[cfg(feature = "test-routes")]
thread_local! {
    /// How far the clock of the tests is behind, in milliseconds.
    static BEHIND: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Sets the clock back.
#[cfg(feature = "test-routes")]
pub(crate) fn set_behind(milliseconds: u64) {
    BEHIND.set(milliseconds);
}

/// Returns the current time.
pub(crate) fn now() -> Timestamp {
    let now = js_sys::Date::now() as u64;
    #[cfg(feature = "test-routes")]
    let now = now - BEHIND.get();
    Timestamp::from_millis(now)
}
