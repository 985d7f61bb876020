//! The fields of a session that proxies receive as headers, as an operator writes them.

use http::HeaderName;

use crate::auth::{ENVOY_REMOVE_HEADER, ID_HEADER, SUBJECT_HEADER};
use crate::transport::TOKEN_HEADER;

const TAKEN: [HeaderName; 4] = [SUBJECT_HEADER, ID_HEADER, TOKEN_HEADER, ENVOY_REMOVE_HEADER];

/// Whether the answers at `/auth` have this header for something of their own.
pub(super) fn is_taken(name: &HeaderName) -> bool {
    TAKEN.contains(name)
}

/// Reads `FIELD=HEADER`.
///
/// # Errors
/// If it is no such pair, or the header is none of the operator's own: those begin with `X-`.
pub fn parse_header(text: &str) -> Result<(String, HeaderName), String> {
    let (field, header) = text
        .rsplit_once('=')
        .ok_or("it takes a field and a header, as in role=X-Role")?;
    check_field(field)?;
    let name = HeaderName::try_from(header).map_err(|_| format!("{header:?} is no name of a header"))?;
    if !name.as_str().starts_with("x-") || is_taken(&name) {
        let taken = TAKEN.map(|name| name.to_string()).join(", ");
        return Err(format!(
            "a header of your own begins with X-, and is none of {taken}"
        ));
    }
    Ok((field.to_owned(), name))
}

/// Refuses what is a slip in a list of fields, and not a field's name: an empty text, white space around it, `=`, `,` or `;`.
///
/// # Errors
/// With the text.
pub fn check_field(field: &str) -> Result<(), String> {
    if field.is_empty() || field.trim() != field || field.contains(['=', ',', ';']) {
        return Err(format!(
            "{field:?} is no field's name: names stand without white space, and are separated by commas"
        ));
    }
    Ok(())
}

/// Refuses a header that two fields are to be told in.
///
/// # Errors
/// With the header's name.
pub fn check_headers(auth_headers: &[(String, HeaderName)]) -> Result<(), String> {
    let mut seen = std::collections::HashSet::new();
    match auth_headers.iter().find(|(_, name)| !seen.insert(name)) {
        Some((_, name)) => Err(format!("two fields are to be told in the header {name}")),
        None => Ok(()),
    }
}
