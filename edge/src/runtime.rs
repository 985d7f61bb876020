//! The entry of the Worker in JavaScript, as it is called from here.

use wasm_bindgen::prelude::*;

#[wasm_bindgen(raw_module = "./panic.js")]
extern "C" {
    /// Gives up the requests under way, and has the Worker made anew.
    pub(crate) fn panicked();

    /// Forgets the requests that began before then, in milliseconds since 1970.
    pub(crate) fn forget(before: f64);

    #[cfg(feature = "test-routes")]
    pub(crate) fn waiting() -> u32;
}
