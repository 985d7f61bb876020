//! The registry: the connections of each session, as sessions of a second engine over the same store.

use std::time::Duration;

use tessera_connections::{Name, Registered};

use crate::error::ConfigurationError;
use crate::policy::{CapRule, TokenFormat};
use crate::{PageRequest, SessionError, Sessions};

/// The connections of each session. A connection is a session of this engine, whose subject is the session that it belongs to.
///
/// Its public id is the name of the connection. Its token is discarded, so that nobody can open it.
#[derive(Clone, Debug)]
pub(super) struct Registry {
    engine: Sessions,
}

/// The subject of the connections of a session.
fn owner(session: &str) -> String {
    format!("session:{session}")
}

fn name(public_id: &str) -> Result<Name, SessionError> {
    public_id.parse().map_err(|_| SessionError::Corrupt {
        reason: "a public id is no name of a connection".into(),
    })
}

/// The longest life that the engine accepts.
const LONGEST_LIFE: Duration = Duration::from_secs(400 * 24 * 3600);

impl Registry {
    /// Creates the registry beside an engine, over its store.
    ///
    /// An entry outlives its connection, of at most `lifetime`, by `further`: the node that removes it has to find it alive.
    /// The store would keep an entry that has expired for a while.
    pub(super) fn beside(
        sessions: &Sessions,
        per_session: u32,
        lifetime: Duration,
        further: Duration,
    ) -> Result<Self, ConfigurationError> {
        let life = lifetime.max(lifetime.saturating_add(further).min(LONGEST_LIFE));
        let engine = sessions.beside(|policy| {
            policy.token_format = TokenFormat::Compact;
            policy.token_fields = Vec::new();
            policy.public_fields = Vec::new();
            policy.audience.push_str("#connections");
            policy.key_prefix.push_str("connection:");
            policy.absolute_timeout = life;
            policy.idle_timeout = life;
            policy.touch_interval = Duration::ZERO;
            policy.renew_interval = None;
            policy.sessions_per_subject = Some(per_session);
            policy.cap_rule = CapRule::Refuse;
        })?;
        Ok(Self { engine })
    }

    /// Enters a new connection of a session and returns its name.
    pub(super) async fn enter(&self, session: &str) -> Result<Name, SessionError> {
        let entry = self.engine.create();
        entry.authenticate(&owner(session)).await?;
        name(&entry.details()?.public_id)
    }

    /// Returns the connections of a session, among them such whose mailbox is gone.
    pub(super) async fn of_session(&self, session: &str) -> Result<Vec<Registered>, SessionError> {
        let (owner, mut cursor, mut entries) = (owner(session), None, Vec::new());
        loop {
            let page = PageRequest {
                current: None,
                cursor: cursor.as_deref(),
            };
            let page = self.engine.list(&owner, page).await?;
            for summary in &page.items {
                entries.push(Registered {
                    name: name(&summary.public_id)?,
                    created_at: summary.created_at,
                });
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(entries),
            }
        }
    }

    /// Removes a connection of a session. A missing one is not an error.
    pub(super) async fn leave(&self, session: &str, name: &Name) -> Result<(), SessionError> {
        self.engine.revoke(&owner(session), name.as_str()).await.map(drop)
    }
}
