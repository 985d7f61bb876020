//! Why a record is written.

use crate::snapshot::KeepFields;

/// Why a record is written.
#[derive(Clone, Copy)]
pub(crate) enum Intent<'a> {
    /// To store changes; renews where the policy says it is time.
    Save,
    /// To renew the token.
    Rotate,
    /// To note that a renewed token arrived, and slide the idle expiry.
    Confirm,
    /// To log a subject in.
    Authenticate { subject: &'a str, keep: &'a KeepFields },
}

impl<'a> Intent<'a> {
    /// Which of the stored fields the next record keeps.
    pub(super) fn keep(self) -> &'a KeepFields {
        match self {
            Self::Authenticate { keep, .. } => keep,
            _ => &KeepFields::Everything,
        }
    }

    /// Whether nothing of what is stored survives: then only the generations matter, whatever was saved meanwhile.
    pub(super) fn drops_all(self) -> bool {
        matches!(self.keep(), KeepFields::Nothing)
    }
}
