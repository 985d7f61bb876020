//! Limits on the arguments of a caller, checked before they are copied into the component.
//! The engine checks all of them again, and more.

use crate::Value;
use crate::error::SessionError;
use tessera_contract::form::FieldLimits;

/// The maximum length of a subject.
const MAXIMUM_SUBJECT_BYTES: usize = 255;
/// The maximum length of a cursor, public id, key id or other short argument.
const MAXIMUM_ARGUMENT_BYTES: usize = 4096;

/// Checks a subject. The engine checks the store's own limit as well.
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

/// Checks the length of any other argument than a name or a value.
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

/// Checks the lengths of a field's name and value.
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
    // The JSON form of a text is never shorter than the text.
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

/// Checks the number of changes in one call: at most one for each field that a session may have, and one for each that it may
/// lose.
pub(crate) fn check_changes(limits: &FieldLimits, changes: usize) -> Result<(), SessionError> {
    if changes > 2 * limits.maximum_fields as usize {
        return Err(SessionError::LimitExceeded {
            limit: "maximum-fields".into(),
            maximum: limits.maximum_fields.into(),
        });
    }
    Ok(())
}
