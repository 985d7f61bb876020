//! Random numbers from the runtime's cryptographic source.

use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn fill(bytes: &mut [u8]);
}

/// Returns `N` random bytes.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// Returns 64 random bits, for values that must not repeat.
pub(crate) fn number() -> u64 {
    u64::from_le_bytes(bytes())
}

/// Returns a random number from 0 to `most`.
pub(crate) fn up_to(most: u64) -> u64 {
    number() % most.saturating_add(1).max(1)
}
