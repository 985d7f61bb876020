//! `/auth`, for proxies that ask whether a request is logged in.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName};
use axum::response::Response;
use tessera::Sessions;
use tessera::http::{Authorizer, Carrier, Cookie, ID_HEADER, SUBJECT_HEADER};

use super::Service;

/// `ANY /auth`, and any path below it: some proxies add that of the request.
pub(super) async fn auth(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    service.authorizer.answer(&headers).await
}

/// Takes tokens from where the rest of the service takes them.
pub(super) fn authorizer(sessions: Sessions, fields: Vec<(String, HeaderName)>) -> Authorizer {
    let plain = Cookie::builder().name("tessera").set_by_others().build();
    let carriers = [Carrier::Bearer, Carrier::Cookie(Cookie::default())];
    let plain = plain.ok().map(Carrier::Cookie);
    Authorizer::new(sessions, carriers.into_iter().chain(plain), fields)
}

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
