//! The number of storage operations of one request: the platform allows 1000, and terminates a request that exceeds them.

use crate::requests;

const MAXIMUM_OPERATIONS: u32 = 1000;

/// Takes one operation from the request's budget. Returns `false` if the budget is exhausted.
pub(crate) fn spend() -> bool {
    requests::count_operation() <= MAXIMUM_OPERATIONS
}
