//! The service key, which is known to the operator's services and not to browsers.

use http::HeaderName;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The header for the service key, which leaves `Authorization` to a token.
pub(super) const SERVICE_KEY_HEADER: HeaderName = HeaderName::from_static("x-tessera-service-key");

/// Minimum length of a service key, in bytes.
pub const MINIMUM_SERVICE_KEY_BYTES: usize = 32;

/// A service key that is too short, or does not fit a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a service key consists of at least {MINIMUM_SERVICE_KEY_BYTES} visible ASCII characters")]
pub struct WeakServiceKey;

/// The key that identifies a caller as one of the operator's services. Only its digest is kept.
pub struct ServiceKey {
    digest: [u8; 32],
}

impl std::fmt::Debug for ServiceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceKey").finish_non_exhaustive()
    }
}

impl ServiceKey {
    /// Creates a service key. White space around the text is ignored.
    ///
    /// # Errors
    /// If the key is shorter than [`MINIMUM_SERVICE_KEY_BYTES`], or contains anything but visible ASCII.
    pub fn new(text: &str) -> Result<Self, WeakServiceKey> {
        let text = text.trim_ascii();
        let is_fit =
            text.len() >= MINIMUM_SERVICE_KEY_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
        let digest = Sha256::digest(text).into();
        is_fit.then_some(Self { digest }).ok_or(WeakServiceKey)
    }

    /// Compares in constant time. The digests are compared, so that the length does not leak either.
    pub(super) fn is(&self, offered: &str) -> bool {
        let offered: [u8; 32] = Sha256::digest(offered).into();
        self.digest.ct_eq(&offered).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_itself_and_nothing_else() {
        let text = "k".repeat(MINIMUM_SERVICE_KEY_BYTES);
        let key = ServiceKey::new(&format!(" {text}\n"));
        assert!(key.as_ref().is_ok_and(|key| key.is(&text)));
        assert!(key.is_ok_and(|key| !key.is(&text[1..]) && !key.is("") && !key.is(&format!("{text} "))));
        assert_eq!(ServiceKey::new(&text[1..]).err(), Some(WeakServiceKey));
        assert!(ServiceKey::new(&format!("{text}\u{e9}")).is_err());
        assert!(ServiceKey::new(&format!("{text} {text}")).is_err());
    }
}
