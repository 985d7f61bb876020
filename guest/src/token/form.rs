//! The content of a token, whatever its form.

use crate::generation::Generation;
use crate::id::SessionId;

/// What a token says, its mac and dates checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Whose record it names.
    pub id: SessionId,
    /// Which of the session's generations it is.
    pub generation: Generation,
    /// When it was made.
    pub issued_at: u64,
    /// From when on it is accepted.
    pub not_before: u64,
    /// From when on it is refused.
    pub expires_at: u64,
    /// JWT only: whom it stands for.
    pub subject: Option<String>,
    /// JWT only: the `data` claim.
    pub data: Vec<(String, String)>,
}

/// What a token is made from.
pub struct Claims<'a> {
    /// Whose record it names.
    pub id: SessionId,
    /// Which generation it is.
    pub generation: Generation,
    /// When it is made.
    pub now: u64,
    /// The session's absolute end.
    pub ends_at: u64,
    /// Whom the session stands for.
    pub subject: Option<&'a str>,
    /// The `data` claim of a JWT.
    pub data: &'a [(String, String)],
}

/// A new token.
pub struct Minted {
    /// What the client gets.
    pub text: String,
    /// What it says of its own issue and end.
    pub issued_at: u64,
    /// From when on it is refused.
    pub expires_at: u64,
}
