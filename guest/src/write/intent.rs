//! The purpose of a write.

use crate::snapshot::KeepFields;

/// The purpose of a write.
#[derive(Clone, Copy)]
pub(crate) enum Intent<'a> {
    /// Stores changes, and renews the token if the policy requires it.
    Save,
    /// Renews the token.
    Rotate,
    /// Notes that the client has received a renewed token, and slides the idle expiry.
    Confirm,
    /// Logs a subject in.
    Authenticate { subject: &'a str, keep: &'a KeepFields },
}

impl<'a> Intent<'a> {
    /// The stored fields that the next record keeps.
    pub(super) fn keep(self) -> &'a KeepFields {
        match self {
            Self::Authenticate { keep, .. } => keep,
            _ => &KeepFields::Everything,
        }
    }

    /// Whether no stored field is kept. The write then depends on the generations alone, and not on concurrent saves.
    pub(super) fn drops_all(self) -> bool {
        matches!(self.keep(), KeepFields::Nothing)
    }
}
