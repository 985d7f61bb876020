//! The error of a URL that is invalid for its scheme.

/// A URL with a known scheme is invalid. The error contains no other part of the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{scheme}:` {reason}")]
pub struct MalformedUrl {
    /// The scheme.
    pub scheme: &'static str,
    /// The defect, as a verb phrase.
    pub reason: &'static str,
}
