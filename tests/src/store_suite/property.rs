//! Properties with the capabilities that they need.

use std::future::Future;
use std::pin::Pin;

use tessera::store::Capabilities;

use super::subject::{Check, Subject};

/// A capability that a property needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    CompareAndSwap,
    /// Expiry with a resolution of a millisecond.
    ExactExpiry,
    /// An index of owners without delay.
    OwnerIndex,
    Sweep,
}

impl Need {
    /// The reason why the store lacks the capability, or `None` if it has it.
    pub(super) fn lacking(self, capabilities: &Capabilities, can_sweep: bool) -> Option<&'static str> {
        match self {
            Self::CompareAndSwap if !capabilities.compare_and_swap => Some("no compare-and-swap"),
            Self::ExactExpiry if capabilities.expiry_resolution.as_millis() > 1 => {
                Some("the resolution of expiry is coarser than a millisecond")
            }
            Self::OwnerIndex if !capabilities.list_by_owner => Some("no list by owner"),
            Self::OwnerIndex if !capabilities.index_staleness.is_zero() => {
                Some("the index of owners may be stale")
            }
            Self::Sweep if !can_sweep => Some("the store has no sweep function"),
            _ => None,
        }
    }
}

type Run<S> = fn(Subject<S>) -> Pin<Box<dyn Future<Output = Check>>>;

pub(super) struct Property<S> {
    pub(super) name: String,
    pub(super) needs: &'static [Need],
    pub(super) run: Run<S>,
}

/// Lists functions as properties: the needs of each, then its name, which becomes the property's name.
macro_rules! properties {
    ($($needs:expr => $function:ident,)*) => {
        vec![$($crate::store_suite::property::Property {
            name: stringify!($function).replace('_', " "),
            needs: &$needs,
            run: |subject| Box::pin($function(subject)),
        },)*]
    };
}
pub(super) use properties;
