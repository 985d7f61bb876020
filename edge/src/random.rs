//! Random numbers from the runtime.

use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn fill(bytes: &mut [u8]);
}

/// Random bytes.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// 64 random bits: what is never used twice.
pub(crate) fn number() -> u64 {
    u64::from_le_bytes(bytes())
}

/// A number from 0 to `most`.
pub(crate) fn up_to(most: u64) -> u64 {
    number() % most.saturating_add(1).max(1)
}
