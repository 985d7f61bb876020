//! Limits on what a caller hands over, checked before it is copied into the component. The engine checks all of it again, and more.

use crate::Value;
use crate::error::SessionError;
use tessera_contract::form::FieldLimits;

/// The longest subject, in bytes.
const MAXIMUM_SUBJECT_BYTES: usize = 255;
/// The longest cursor, public id, key id or other short argument, in bytes.
const MAXIMUM_ARGUMENT_BYTES: usize = 4096;

/// A subject may be long, but not longer than any store takes.
pub(crate) fn check_subject(subject: &str) -> Result<(), SessionError> {
    let reason = if !(1..=MAXIMUM_SUBJECT_BYTES).contains(&subject.len()) {
        format!("must be 1 to {MAXIMUM_SUBJECT_BYTES} bytes long")
    } else if subject.chars().any(char::is_control) {
        "must hold no control characters".into()
    } else {
        return Ok(());
    };
    Err(SessionError::InvalidArgument {
        argument: "subject".into(),
        reason,
    })
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
pub(crate) fn check_change(
    limits: &FieldLimits,
    name: &str,
    value: Option<&Value>,
) -> Result<(), SessionError> {
    let exceeded = |limit: &str, maximum: u32| SessionError::LimitExceeded {
        limit: limit.into(),
        maximum: maximum.into(),
    };
    if name.len() > limits.maximum_name_bytes as usize {
        return Err(exceeded("maximum-name-bytes", limits.maximum_name_bytes));
    }
    // As JSON a text is longer than it is, never shorter.
    let bytes = match value {
        Some(Value::Text(text)) => text.len(),
        Some(Value::Json(text)) => text.trim_ascii().len(),
        Some(Value::Bytes(bytes)) => bytes.len(),
        _ => 0,
    };
    if bytes > limits.maximum_value_bytes as usize {
        return Err(exceeded("maximum-value-bytes", limits.maximum_value_bytes));
    }
    Ok(())
}

/// The number of changes at once: one for each field that a session may have, and one for each that it may lose.
pub(crate) fn check_changes(limits: &FieldLimits, changes: usize) -> Result<(), SessionError> {
    if changes > 2 * limits.maximum_fields as usize {
        return Err(SessionError::LimitExceeded {
            limit: "maximum-fields".into(),
            maximum: limits.maximum_fields.into(),
        });
    }
    Ok(())
}
