//! The parts of a path.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use tessera_connections::Name;

use super::hub::HubError;
use crate::problem::Problem;

pub(super) fn malformed_path() -> Problem {
    Problem::new(400, "path-malformed", "the path is not percent-encoded UTF-8")
}

/// The name of a connection in a path. Any other text is the name of no connection.
pub(super) fn name(path: Result<Path<String>, PathRejection>) -> Result<Name, Problem> {
    let Path(text) = path.map_err(|_| malformed_path())?;
    text.parse().map_err(|_| HubError::Missing.into())
}
