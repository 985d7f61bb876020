//! Limits on what a caller hands over, checked before it is copied into the component. The engine checks all of it again, and more.

use crate::Value;
use crate::error::SessionError;
use crate::policy::Policy;

/// The longest subject, in bytes.
const MAXIMUM_SUBJECT_BYTES: usize = 255;
/// The longest cursor, reference, key id or other short argument, in bytes.
const MAXIMUM_ARGUMENT_BYTES: usize = 4096;

/// A subject may be long, but not longer than any store takes.
pub(crate) fn check_subject(subject: &str) -> Result<(), SessionError> {
    if subject.len() > MAXIMUM_SUBJECT_BYTES {
        let reason = format!("must be 1 to {MAXIMUM_SUBJECT_BYTES} bytes long");
        return Err(SessionError::InvalidArgument {
            argument: "subject".into(),
            reason,
        });
    }
    Ok(())
}

/// Any other text beside names and values.
pub(crate) fn check_argument(argument: &str, text: &str) -> Result<(), SessionError> {
    if text.len() > MAXIMUM_ARGUMENT_BYTES {
        let reason = format!("must be at most {MAXIMUM_ARGUMENT_BYTES} bytes long");
        return Err(SessionError::InvalidArgument {
            argument: argument.into(),
            reason,
        });
    }
    Ok(())
}

/// A change of one field.
pub(crate) fn check_change(policy: &Policy, name: &str, value: Option<&Value>) -> Result<(), SessionError> {
    let exceeded = |limit: &str, maximum: u32| SessionError::LimitExceeded {
        limit: limit.into(),
        maximum: maximum.into(),
    };
    if name.len() > policy.maximum_name_bytes as usize {
        return Err(exceeded("maximum-name-bytes", policy.maximum_name_bytes));
    }
    // As JSON a text is longer than it is, never shorter.
    let bytes = match value {
        Some(Value::Text(text)) => text.len(),
        Some(Value::Json(text)) => text.trim_ascii().len(),
        Some(Value::Bytes(bytes)) => bytes.len(),
        _ => 0,
    };
    if bytes > policy.maximum_value_bytes as usize {
        return Err(exceeded("maximum-value-bytes", policy.maximum_value_bytes));
    }
    Ok(())
}

/// The number of changes at once: one for each field that a session may have, and one for each that it may lose.
pub(crate) fn check_changes(policy: &Policy, changes: usize) -> Result<(), SessionError> {
    if changes > 2 * policy.maximum_fields as usize {
        return Err(SessionError::LimitExceeded {
            limit: "maximum-fields".into(),
            maximum: policy.maximum_fields.into(),
        });
    }
    Ok(())
}
