//! Request bodies that do not arrive whole.

use std::error::Error;
use std::time::Duration;

use http_body_util::LengthLimitError;

use crate::problem::Problem;

/// The error of a body that took longer to arrive than the host allows. The client receives 408.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body took longer than {0:?} to arrive")]
pub struct BodyTimeout(pub Duration);

/// The problem for a body that could not be read; `too_long` if it exceeds the reader's limit.
pub(crate) fn unread(error: &(dyn Error + 'static), too_long: impl FnOnce() -> Problem) -> Problem {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<LengthLimitError>() {
            return too_long();
        }
        if let Some(timeout) = error.downcast_ref::<BodyTimeout>() {
            return Problem::new(408, "body-timeout", timeout.to_string());
        }
        next = error.source();
    }
    Problem::new(400, "body-unreadable", "the body ended early or is malformed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_not_to_arrive_has_its_answer() {
        let too_long = || Problem::new(413, "body-too-large", "x");
        let late = BodyTimeout(Duration::from_secs(1));
        assert_eq!(unread(&late, too_long).code(), "body-timeout");
        let cut = std::io::Error::other("cut");
        assert_eq!(unread(&cut, too_long).code(), "body-unreadable");
        // Frameworks wrap the error like this.
        let wrapped = axum_core::Error::new(late);
        assert_eq!(unread(&wrapped, too_long).code(), "body-timeout");
    }
}
