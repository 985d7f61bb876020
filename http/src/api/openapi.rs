//! The description of the service (OpenAPI 3.1).

use axum::response::{IntoResponse, Response};
use http::header;

/// `GET /openapi.json`.
pub(super) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}

const DOCUMENT: &str = include_str!("openapi.json");

#[cfg(test)]
mod tests {
    use serde_json::Value;

    #[test]
    fn the_document_is_of_this_version() {
        let document: Value = serde_json::from_str(super::DOCUMENT).unwrap_or_default();
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
}
