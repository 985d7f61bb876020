//! [`ConnectionsBuilder`]: the configuration of a node.

use std::time::Duration;

use tessera_connections::{Bounds, InvalidBounds, Mailbox};

use super::calls::Connections;
use super::settings::Settings;
use crate::Sessions;
use crate::error::ConfigurationError;

/// The longest interval of the signs of life: a client that is gone occupies its place for three of them.
#[cfg(feature = "api")]
const LONGEST_SIGN_OF_LIFE: Duration = Duration::from_secs(60 * 60);

// Of one type, so that a call needs no type argument; `build` has the mailboxes' type.
impl Connections<()> {
    /// Starts a configuration of connections of these sessions, over the mailboxes that [`build`](ConnectionsBuilder::build) receives.
    pub fn builder(sessions: &Sessions) -> ConnectionsBuilder {
        ConnectionsBuilder::new(sessions)
    }
}

/// Configures [`Connections`].
#[derive(Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct ConnectionsBuilder {
    sessions: Sessions,
    settings: Settings,
}

impl ConnectionsBuilder {
    fn new(sessions: &Sessions) -> Self {
        Self {
            sessions: sessions.clone(),
            settings: Settings {
                bounds: Bounds::default(),
                per_session: 16,
                on_node: 16_384,
                lifetime: Duration::from_secs(24 * 3600),
                lease: Duration::from_secs(15 * 60),
                detached_for: Duration::from_secs(120),
                beat: Duration::from_secs(5),
                unjudged_for: Duration::from_secs(30),
                poll: Duration::from_secs(30),
                #[cfg(feature = "api")]
                sign_of_life: Duration::from_secs(15),
                #[cfg(feature = "api")]
                longest_poll: Duration::from_secs(25),
            },
        }
    }

    /// Sets the bounds of each mailbox. Default: [`Bounds::default`].
    pub fn bounds(mut self, bounds: Bounds) -> Self {
        self.settings.bounds = bounds;
        self
    }

    /// Sets the maximum number of connections of one session, 1 to 100. Default 16. A further registration is refused.
    pub fn per_session(mut self, connections: u32) -> Self {
        self.settings.per_session = connections;
        self
    }

    /// Sets the maximum number of connections that are attached to this node. Default 16 384. A further one is refused.
    pub fn on_node(mut self, connections: usize) -> Self {
        self.settings.on_node = connections;
        self
    }

    /// Sets the longest life of a connection, 1 second to 400 days. It ends with its session at the latest. Default 24 hours.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.lifetime = lifetime;
        self
    }

    /// Sets for how long a mailbox outlives its client, which may come back in this time. Default 2 minutes.
    pub fn detached_for(mut self, time: Duration) -> Self {
        self.settings.detached_for = time;
        self
    }

    /// Sets for how long a mailbox outlives a node that has died. The node renews it three times in that time.
    /// Default 15 minutes; at least `detached_for`.
    pub fn lease(mut self, time: Duration) -> Self {
        self.settings.lease = time;
        self
    }

    /// Sets the interval at which the node reads whether the sessions of its connections still live. Default 5 seconds.
    ///
    /// A connection is closed within this time, and that of one store operation, after the end of its session. If the mailboxes
    /// [watch the records](Mailbox::watch_records) of sessions, as those in Redis do, it is closed as soon as a change is
    /// reported, at most a few times a second for all sessions; the beat then notices what passes by time alone, or was not
    /// reported.
    pub fn beat(mut self, interval: Duration) -> Self {
        self.settings.beat = interval;
        self
    }

    /// Sets for how long a connection stays open while the store cannot tell whether its session lives. Default 30 seconds.
    pub fn unjudged_for(mut self, time: Duration) -> Self {
        self.settings.unjudged_for = time;
        self
    }

    /// Sets the interval at which a mailbox is read even if no change of it was reported. Default 30 seconds.
    pub fn poll(mut self, interval: Duration) -> Self {
        self.settings.poll = interval;
        self
    }

    /// Sets the interval of the signs of life of a stream by [`router`](super::router): comments of SSE, and pings of a WebSocket.
    /// Proxies close a silent stream after a minute. Default 15 seconds.
    ///
    /// A WebSocket without a sign of life from its client after two pings is closed, and so is one that does not accept a frame
    /// within this time.
    #[cfg(feature = "api")]
    pub fn sign_of_life(mut self, interval: Duration) -> Self {
        self.settings.sign_of_life = interval;
        self
    }

    /// Sets the longest time that a long poll of [`router`](super::router) waits, however long its client asks for. Default
    /// 25 seconds; set less than the time-out of requests.
    #[cfg(feature = "api")]
    pub fn longest_poll(mut self, time: Duration) -> Self {
        self.settings.longest_poll = time;
        self
    }

    /// Validates the configuration and starts the node. Needs a tokio runtime for as long as the node is used.
    ///
    /// # Errors
    /// [`ConfigurationError::InvalidPolicy`] if a limit is invalid, or if the store of the sessions cannot list by owner;
    /// [`ConfigurationError::Instantiate`].
    pub fn build<M: Mailbox>(self, mailbox: M) -> Result<Connections<M>, ConfigurationError> {
        let Settings {
            bounds,
            lifetime,
            lease,
            detached_for,
            beat,
            ..
        } = self.settings;
        bounds
            .check()
            .map_err(|error: InvalidBounds| invalid("bounds", &error.to_string()))?;
        if lease < detached_for {
            return Err(invalid("lease", "must be at least `detached-for`"));
        }
        if beat.is_zero() || detached_for.is_zero() {
            return Err(invalid("beat", "and `detached-for` must be longer than zero"));
        }
        if lifetime < Duration::from_secs(1) {
            return Err(invalid("lifetime", "must be at least a second"));
        }
        #[cfg(feature = "api")]
        if self.settings.sign_of_life.is_zero() || self.settings.sign_of_life > LONGEST_SIGN_OF_LIFE {
            return Err(invalid(
                "sign-of-life",
                "must be longer than zero and at most an hour",
            ));
        }
        Connections::start(self.sessions, mailbox, self.settings)
    }
}

fn invalid(field: &str, reason: &str) -> ConfigurationError {
    ConfigurationError::InvalidPolicy {
        field: field.to_owned(),
        reason: reason.to_owned(),
    }
}
