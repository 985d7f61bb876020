//! The kinds of faults, for databases and for files.

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// SIGKILL for the database.
    Killed,
    /// All connections are closed; new ones are accepted.
    Cut,
    /// The first response is cut in half, and its connection is closed.
    HalfAnswered,
    /// Bytes are delayed in each direction.
    Slow,
    /// All bytes are discarded.
    Silent,
    /// New connections are refused, and existing ones are closed.
    Closed,
    /// SIGKILL for a service. Over a database only for the last one, so that the other shows the effects of many faults.
    ServiceKilled,
    /// SIGKILL for both services at once.
    AllServicesKilled,
    /// SIGSTOP for a service, with its locks and connections.
    ServicePaused,
}

/// The faults of services that share a database.
pub(super) const OF_DATABASES: [Fault; 8] = [
    Fault::Killed,
    Fault::Cut,
    Fault::HalfAnswered,
    Fault::Slow,
    Fault::Silent,
    Fault::Closed,
    Fault::ServiceKilled,
    Fault::ServicePaused,
];
/// The faults of services that share a file.
pub(super) const OF_FILES: [Fault; 3] = [
    Fault::ServiceKilled,
    Fault::AllServicesKilled,
    Fault::ServicePaused,
];

impl Fault {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Cut => "cut",
            Self::HalfAnswered => "half answered",
            Self::Slow => "slow",
            Self::Silent => "silent",
            Self::Closed => "closed",
            Self::ServiceKilled => "service killed",
            Self::AllServicesKilled => "both services killed",
            Self::ServicePaused => "service paused",
        }
    }
}
