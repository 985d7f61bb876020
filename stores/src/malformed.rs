//! A URL whose scheme is known, and whose rest is not what the scheme takes.

/// The rest of a URL is not what its scheme takes. Nothing of the URL stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{scheme}:` {reason}")]
pub struct MalformedUrl {
    /// The scheme.
    pub scheme: &'static str,
    /// What is wrong.
    pub reason: &'static str,
}
