//! Bindings to `js/panic.js`.

use wasm_bindgen::prelude::*;

#[wasm_bindgen(raw_module = "./panic.js")]
extern "C" {
    /// Rejects the requests in progress, and restarts the Worker.
    pub(crate) fn panicked();

    /// Forgets the requests that began before this time, in milliseconds since 1970.
    pub(crate) fn forget(before: f64);

    #[cfg(feature = "test-routes")]
    pub(crate) fn waiting() -> u32;
}
