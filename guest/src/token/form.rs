//! The content of a token, for both formats.

use crate::generation::Generation;
use crate::id::SessionId;

/// The content of a token whose MAC was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The id of the session.
    pub id: SessionId,
    /// The generation of the token.
    pub generation: Generation,
    /// When the token was issued.
    pub issued_at: u64,
    /// The token is accepted from this moment on.
    pub not_before: u64,
    /// The token is refused from this moment on.
    pub expires_at: u64,
    /// JWT only: the subject.
    pub subject: Option<String>,
    /// JWT only: the `data` claim.
    pub data: Vec<(String, String)>,
}

/// The content of a token to issue.
pub struct Claims<'a> {
    /// The id of the session.
    pub id: SessionId,
    /// The generation of the token.
    pub generation: Generation,
    /// The time of issue.
    pub now: u64,
    /// The session's absolute end.
    pub ends_at: u64,
    /// The subject of the session.
    pub subject: Option<&'a str>,
    /// The `data` claim of a JWT.
    pub data: &'a [(String, String)],
}

/// A new token.
pub struct Minted {
    /// The token's text.
    pub text: String,
    /// The time of issue in the token. A JWT rounds it down to a second.
    pub issued_at: u64,
    /// The expiry in the token. A JWT rounds it down to a second.
    pub expires_at: u64,
}
