//! Encoding of a core module as a component.

use crate::failure::Failure;

/// Encodes a core module with the metadata of wit-bindgen as a component, without the names of its parts.
///
/// # Errors
/// If the module is invalid, or its imports and exports do not match its world.
pub fn component(module: &[u8]) -> Result<Vec<u8>, Failure> {
    let component = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)?
        .encode()?;
    without_names(&component)
}

/// Removes the top-level custom sections of a component: names of its parts, which no host reads (8 KB).
///
/// # Errors
/// If the bytes are truncated.
pub fn without_names(component: &[u8]) -> Result<Vec<u8>, Failure> {
    const HEADER_BYTES: usize = 8;
    const CUSTOM: u8 = 0;
    let mut kept = component.get(..HEADER_BYTES).ok_or("not a component")?.to_vec();
    let mut rest = &component[HEADER_BYTES..];
    while let Some((&kind, body)) = rest.split_first() {
        let (mut length, mut digits) = (0_usize, 0);
        loop {
            let digit = *body.get(digits).ok_or("a section's length is truncated")?;
            length |= usize::from(digit & 0x7f) << (7 * digits);
            digits += 1;
            if digit < 0x80 {
                break;
            }
        }
        let (section, after) = rest
            .split_at_checked(1 + digits + length)
            .ok_or("a section is truncated")?;
        if kind != CUSTOM {
            kept.extend_from_slice(section);
        }
        rest = after;
    }
    Ok(kept)
}
