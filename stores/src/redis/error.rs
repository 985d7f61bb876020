//! Why Redis was not opened, and what its errors mean for a call.

use std::io;
use std::path::PathBuf;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::{Cause, StoreError};

/// Why a [`RedisStore`](super::RedisStore) was not opened. No variant carries a user or a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisStoreError {
    /// The file with the certificate of who signed the servers' cannot be read.
    #[error("cannot read the certificates in {}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The settings make no client.
    #[error("Redis cannot be used so")]
    Settings(#[source] Cause),
    /// The user is unknown or the password is wrong.
    #[error("Redis does not let this user in with this password")]
    Refused(#[source] Cause),
    /// The user may not do what a store has to: `GET`, `GETRANGE`, `SET`, `SETRANGE`, `EXISTS`, `DEL`, `PEXPIRE`, `PTTL`,
    /// `ZADD`, `ZREM`, `ZCOUNT`, `ZRANGE`, `ZREMRANGEBYSCORE`, `EVAL` and `EVALSHA` on the keys under the prefix, and `INFO`
    /// unless the URL has `check_eviction=no`.
    /// For a cache to hear of writes, `CLIENT|TRACKING` and `PING` (not refused without them, but told late); to list all
    /// sessions and to copy them, `SCAN`; in a Cluster `CLUSTER|SLOTS`.
    #[error("Redis does not let this user do what a store has to")]
    Forbidden(#[source] Cause),
    /// A server removes keys when its memory is short: an owner's index could go, and its sessions stay.
    #[error(
        "Redis evicts sessions: its maxmemory-policy is {policy} and has to be noeviction \
         (CONFIG SET maxmemory-policy noeviction)"
    )]
    Evicts {
        /// The policy as `INFO memory` names it.
        policy: String,
    },
    /// The user may not run `INFO`, or it does not name the policy.
    #[error(
        "whether Redis evicts sessions cannot be read from INFO memory: allow INFO to this user, or make sure that \
         maxmemory-policy is noeviction and add check_eviction=no to the URL"
    )]
    EvictionUnknown(#[source] Cause),
    /// Nobody answers, or the Sentinels know no such master.
    #[error("Redis cannot be reached")]
    Unreachable(#[source] Cause),
    /// It is a replica, and takes no writes (`replica-read-only`).
    #[error("Redis takes no writes: it is a replica, which follows another server")]
    ReadOnly(#[source] Cause),
    /// There is no database of this number: Redis has 16 unless its `databases` says otherwise, and a Cluster one.
    #[error("Redis has no database of the number in the URL")]
    NoDatabase(#[source] Cause),
    /// It answers, but is no server for this.
    #[error("Redis cannot be used as a store")]
    Unsuitable(#[source] Cause),
}

/// What became of one command that was not answered.
pub(super) enum Failure {
    /// Nothing was done, and another try may be better.
    Passing(RedisError),
    /// Nothing was done, and another try brings the same.
    Refused(StoreError),
    /// It may have been done.
    Lost(RedisError),
    /// The server does not have the script; nothing was done.
    NoScript,
}

impl Failure {
    /// What the error of a command means.
    pub(super) fn of(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::NoScript) => Self::NoScript,
            ErrorKind::Server(
                ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::BusyLoading,
            ) => Self::Passing(error),
            ErrorKind::Server(_) | ErrorKind::Extension => Self::Refused(refusal(error)),
            _ => Self::Lost(error),
        }
    }
}

/// What a server's own error means.
fn refusal(error: RedisError) -> StoreError {
    match error.code() {
        Some("OOM") => StoreError::Full,
        // Somebody else's key of another type.
        Some("WRONGTYPE") => StoreError::Corrupt,
        // It is up and will not: a disk it cannot write to, too few replicas, a script that does not end.
        Some("MISCONF" | "NOREPLICAS" | "BUSY" | "NOAUTH" | "WRONGPASS") => {
            StoreError::Unavailable(cause(error))
        }
        _ => StoreError::Other(cause(error)),
    }
}

/// The error as it came, unless it may repeat what it was sent: then what kind it is.
pub(super) fn cause(error: RedisError) -> Cause {
    match error.kind() {
        ErrorKind::Server(
            ServerErrorKind::Moved
            | ServerErrorKind::Ask
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::BusyLoading,
        )
        | ErrorKind::Io
        | ErrorKind::AuthenticationFailed
        | ErrorKind::InvalidClientConfig
        | ErrorKind::ClusterConnectionNotFound
        | ErrorKind::MasterNameNotFoundBySentinel => Cause::new(error),
        ErrorKind::Server(_) | ErrorKind::Extension => match error.code() {
            Some("OOM" | "MISCONF" | "NOREPLICAS" | "BUSY" | "NOAUTH" | "WRONGPASS") => Cause::new(error),
            Some("NOPERM") => Cause::new(FORBIDDEN),
            // Others quote arguments, as `ERR unknown command …`.
            code => {
                let is_code =
                    |code: &&str| code.len() <= 20 && code.bytes().all(|byte| byte.is_ascii_uppercase());
                Cause::new(format!(
                    "Redis answers {}",
                    code.filter(is_code).unwrap_or("an error")
                ))
            }
        },
        kind => Cause::new(format!("the connection to Redis failed ({kind:?})")),
    }
}

/// What stands for `NOPERM`, whose text names the user.
const FORBIDDEN: &str = "Redis answers NOPERM";

/// Why the first questions were not answered as they should be.
pub(super) fn unusable(error: StoreError) -> RedisStoreError {
    let is_refused = |cause: &Cause| {
        let error = cause.get().downcast_ref::<RedisError>();
        error.is_some_and(|error| matches!(error.code(), Some("WRONGPASS" | "NOAUTH")))
    };
    let is_read_only = |cause: &Cause| {
        let error = cause.get().downcast_ref::<RedisError>();
        error.is_some_and(|error| error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly))
    };
    match error {
        StoreError::Unavailable(cause) if is_refused(&cause) => RedisStoreError::Refused(cause),
        StoreError::Unavailable(cause) if is_read_only(&cause) => RedisStoreError::ReadOnly(cause),
        StoreError::Unavailable(cause) => RedisStoreError::Unreachable(cause),
        StoreError::Other(cause) if cause.to_string() == FORBIDDEN => RedisStoreError::Forbidden(cause),
        error => RedisStoreError::Unsuitable(Cause::new(error)),
    }
}

/// Why no connection could be made at the start.
pub(super) fn not_opened(error: RedisError) -> RedisStoreError {
    // Of a Cluster's nodes the client tells the last one's error as a text.
    let is_refused = matches!(error.kind(), ErrorKind::AuthenticationFailed)
        || matches!(error.code(), Some("WRONGPASS" | "NOAUTH"))
        || error
            .detail()
            .is_some_and(|text| text.contains("AuthenticationFailed") || text.contains("WRONGPASS"));
    // Of the client's own making, of the answer to SELECT.
    let is_no_database = error.to_string().contains("refused to switch database");
    match error.kind() {
        _ if is_refused => RedisStoreError::Refused(cause(error)),
        _ if is_no_database => RedisStoreError::NoDatabase(cause(error)),
        ErrorKind::InvalidClientConfig | ErrorKind::EmptySentinelList => {
            RedisStoreError::Settings(cause(error))
        }
        _ => RedisStoreError::Unreachable(cause(error)),
    }
}
