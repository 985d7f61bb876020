//! The session fields that proxies receive as headers, as configured by an operator.

use http::HeaderName;

use crate::auth::{ENVOY_REMOVE_HEADER, ID_HEADER, SUBJECT_HEADER};
use crate::transport::TOKEN_HEADER;

const TAKEN: [HeaderName; 4] = [SUBJECT_HEADER, ID_HEADER, TOKEN_HEADER, ENVOY_REMOVE_HEADER];

/// Whether the responses at `/auth` use this header for another purpose.
pub(super) fn is_taken(name: &HeaderName) -> bool {
    TAKEN.contains(name)
}

/// Parses `FIELD=HEADER`.
///
/// # Errors
/// If the text has another form, the field's name is invalid, or the header does not begin with `X-` or is one of
/// Tessera's.
pub fn parse_header(text: &str) -> Result<(String, HeaderName), String> {
    let (field, header) = text
        .rsplit_once('=')
        .ok_or("a field and a header are required, as in role=X-Role")?;
    check_field(field)?;
    let name = HeaderName::try_from(header).map_err(|_| format!("{header:?} is not a header name"))?;
    if !name.as_str().starts_with("x-") || is_taken(&name) {
        let taken = TAKEN.map(|name| name.to_string()).join(", ");
        return Err(format!(
            "the header of a field begins with X-, and is not one of {taken}"
        ));
    }
    Ok((field.to_owned(), name))
}

/// Refuses a text that is likely a mistake in a list of fields: an empty one, white space around it, or `=`, `,` or `;` in
/// it.
///
/// # Errors
/// A message that quotes the text.
pub fn check_field(field: &str) -> Result<(), String> {
    if field.is_empty() || field.trim() != field || field.contains(['=', ',', ';']) {
        return Err(format!(
            "{field:?} is not a field name: names are separated by commas, without white space"
        ));
    }
    Ok(())
}

/// Refuses a header that is used for two fields.
///
/// # Errors
/// A message with the header's name.
pub fn check_headers(auth_headers: &[(String, HeaderName)]) -> Result<(), String> {
    let mut seen = std::collections::HashSet::new();
    match auth_headers.iter().find(|(_, name)| !seen.insert(name)) {
        Some((_, name)) => Err(format!("two fields use the header {name}")),
        None => Ok(()),
    }
}
