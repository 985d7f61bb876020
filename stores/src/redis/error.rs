//! The errors of opening a Redis store, and the mapping of Redis errors to [`StoreError`].

use std::io;
use std::path::PathBuf;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::{Cause, StoreError};

/// Why a [`RedisStore`](super::RedisStore) was not opened. No variant contains a user or a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisStoreError {
    /// The file with the CA certificates cannot be read.
    #[error("cannot read the certificates in {}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The client cannot be created with these settings.
    #[error("the settings for Redis are invalid")]
    Settings(#[source] Cause),
    /// The user is unknown or the password is wrong.
    #[error("Redis refuses this user or password")]
    Refused(#[source] Cause),
    /// The user lacks a permission.
    ///
    /// A store needs `GET`, `GETRANGE`, `SET`, `SETRANGE`, `EXISTS`, `DEL`, `PEXPIRE`, `PTTL`, `ZADD`, `ZREM`, `ZCOUNT`,
    /// `ZRANGE`, `ZREMRANGEBYSCORE`, `EVAL` and `EVALSHA` on the keys with the prefix, `INFO` unless the URL has
    /// `check_eviction=no`, and in a Cluster `CLUSTER|SLOTS`.
    /// Listing and copying all sessions needs `SCAN`.
    /// The notifications of a cache need `CLIENT|TRACKING` and `PING`; without them, the cache is stale for longer.
    #[error("the user of Redis lacks a permission that a store needs")]
    Forbidden(#[source] Cause),
    /// A server evicts keys when its memory is short: an owner's index may be evicted, and its sessions stay.
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
        "cannot read from INFO memory whether Redis evicts sessions: allow INFO to this user, or make sure that \
         maxmemory-policy is noeviction and add check_eviction=no to the URL"
    )]
    EvictionUnknown(#[source] Cause),
    /// No server answers, or the Sentinels do not know the master.
    #[error("Redis cannot be reached")]
    Unreachable(#[source] Cause),
    /// The server is a replica, which does not accept writes (`replica-read-only`).
    #[error("Redis does not accept writes: it is a replica of another server")]
    ReadOnly(#[source] Cause),
    /// The number of the database is too high: Redis has 16 databases unless its setting `databases` differs, and a Cluster has
    /// one.
    #[error("Redis has no database of the number in the URL")]
    NoDatabase(#[source] Cause),
    /// The server answers, but cannot serve as a store.
    #[error("Redis cannot be used as a store")]
    Unsuitable(#[source] Cause),
}

/// The failure of one command.
pub(super) enum Failure {
    /// Nothing was done, and a retry may succeed.
    Passing(RedisError),
    /// Nothing was done, and a retry would fail again.
    Refused(StoreError),
    /// The command may have been done.
    Lost(RedisError),
    /// The server does not have the script; nothing was done.
    NoScript,
}

impl Failure {
    /// Classifies the error of a command.
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

/// Maps an error that the server returned.
fn refusal(error: RedisError) -> StoreError {
    match error.code() {
        Some("OOM") => StoreError::Full,
        // A key of another type, which other software wrote.
        Some("WRONGTYPE") => StoreError::Corrupt,
        // The server runs and refuses: it cannot write to its disk, has too few replicas, or runs an endless script.
        Some("MISCONF" | "NOREPLICAS" | "BUSY" | "NOAUTH" | "WRONGPASS") => {
            StoreError::Unavailable(cause(error))
        }
        _ => StoreError::Other(cause(error)),
    }
}

/// The error itself, or only its kind if its text may quote arguments.
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
            // Other errors may quote arguments, as `ERR unknown command …` does.
            code => {
                let is_code =
                    |code: &&str| code.len() <= 20 && code.bytes().all(|byte| byte.is_ascii_uppercase());
                Cause::new(format!(
                    "Redis returned {}",
                    code.filter(is_code).unwrap_or("an error")
                ))
            }
        },
        kind => Cause::new(format!("the connection to Redis failed ({kind:?})")),
    }
}

/// Replaces the error `NOPERM`, whose text names the user.
const FORBIDDEN: &str = "Redis returned NOPERM";

/// Maps an error of the checks at the opening.
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

/// Maps an error of the first connection.
pub(super) fn not_opened(error: RedisError) -> RedisStoreError {
    // In a Cluster, the client reports the error of the last node as a text.
    let is_refused = matches!(error.kind(), ErrorKind::AuthenticationFailed)
        || matches!(error.code(), Some("WRONGPASS" | "NOAUTH"))
        || error
            .detail()
            .is_some_and(|text| text.contains("AuthenticationFailed") || text.contains("WRONGPASS"));
    // The client's own text, after an error of SELECT.
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
