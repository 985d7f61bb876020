//! What proxies are told of a session beside its subject.

use axum::http::HeaderName;
use tessera::http::{ID_HEADER, SUBJECT_HEADER};

/// Reads `FIELD=HEADER`.
pub(crate) fn parse_header(text: &str) -> Result<(String, HeaderName), String> {
    let (field, header) = text
        .rsplit_once('=')
        .filter(|(field, _)| !field.is_empty())
        .ok_or("it takes a field and a header, as in role=X-Role")?;
    let name = HeaderName::try_from(header).map_err(|_| format!("{header:?} is no name of a header"))?;
    if !name.as_str().starts_with("x-") || name == SUBJECT_HEADER || name == ID_HEADER {
        return Err(
            "a header of your own begins with X-, and is not X-Session-Subject or X-Session-Id".into(),
        );
    }
    Ok((field.to_owned(), name))
}
