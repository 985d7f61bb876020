//! How often one request may ask storage: the platform allows 1000 operations, and ends what asks more.

use crate::requests;

const MAXIMUM_OPERATIONS: u32 = 1000;

/// Takes one operation, unless the request has had as many as it may.
pub(crate) fn spend() -> bool {
    requests::count_operation() <= MAXIMUM_OPERATIONS
}
