//! The limits of connections and requests, as flags.

use std::time::Duration;

use clap::Args;

use crate::duration;

/// Open files beside the connections: files and connections of the store, standard streams, and those of the runtime.
const OTHER_FILES: u64 = 256;
/// The longest wait of a poll where requests may take long.
const LONGEST_POLL: Duration = Duration::from_secs(25);

/// The limits of connections and requests.
#[derive(Clone, Copy, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct Limits {
    /// The maximum time for a request after its head; half of it applies to the arrival of the body, and to a client that
    /// does not read its response
    #[arg(
        long,
        value_name = "TIME",
        default_value = "60s",
        value_parser = request_timeout,
        env = "TESSERA_REQUEST_TIMEOUT"
    )]
    pub(crate) request_timeout: Duration,
    /// The maximum time until the head of a connection's next request is complete; longer than a proxy in front keeps idle
    /// connections (nginx: 60s)
    #[arg(
        long,
        value_name = "TIME",
        default_value = "75s",
        value_parser = request_timeout,
        env = "TESSERA_KEEP_ALIVE_TIMEOUT"
    )]
    pub(crate) keep_alive_timeout: Duration,
    /// The maximum number of connections; further ones wait
    #[arg(
        long,
        value_name = "NUMBER",
        default_value = "4096",
        value_parser = clap::value_parser!(u32).range(1..=65_536),
        env = "TESSERA_MAXIMUM_CONNECTIONS"
    )]
    pub(crate) maximum_connections: u32,
}

impl Limits {
    /// Raises the limit of open files to the needs of all connections and the store. Warns if the system allows fewer.
    pub(crate) fn raise_open_files(&self) {
        let needed = u64::from(self.maximum_connections) + OTHER_FILES;
        match rlimit::increase_nofile_limit(needed) {
            Ok(allowed) if allowed >= needed => {}
            Ok(allowed) => tracing::warn!(
                "this process may open {allowed} files, too few for --maximum-connections {}: \
                 allow {needed} (ulimit -n, LimitNOFILE of systemd, --ulimit nofile of Docker)",
                self.maximum_connections
            ),
            Err(error) => tracing::warn!("the limit of open files cannot be read: {error}"),
        }
    }

    /// The maximum number of streams of events: three quarters of the connections, so that others find a place.
    pub(crate) fn maximum_streams(&self) -> usize {
        (self.maximum_connections as usize * 3 / 4).max(1)
    }

    /// The longest wait of a poll. The other half of the request's time is for the store.
    pub(crate) fn longest_poll(&self) -> Duration {
        self.part_timeout().min(LONGEST_POLL)
    }

    /// The time limit for each part of a request that depends on the client's speed.
    pub(crate) fn part_timeout(&self) -> Duration {
        self.request_timeout / 2
    }
}

fn request_timeout(text: &str) -> Result<Duration, String> {
    let timeout = duration::parse(text)?;
    let is_fit = timeout >= Duration::from_secs(1) && timeout <= Duration::from_secs(3600);
    is_fit
        .then_some(timeout)
        .ok_or_else(|| "must be 1s to 1h".to_owned())
}
