//! The registry: the connections of each session, as sessions of a second engine over the same objects.

use std::time::Duration;

use serde_json::{Map, Value};
use tessera_connections::{Name, Registered};
use tessera_contract::millis;
use tessera_http::{Engine as _, EngineSession as _, KeepFields, PageRequest};

use crate::driver::Setup;
use crate::engine::EdgeEngine;
use crate::error::EdgeError;

/// The maximum number of connections of a session.
const PER_SESSION: u32 = 16;
/// The longest life of a connection.
pub(crate) const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// The time by which an entry outlives its connection: the object that removes it has to find it alive, because an entry that has
/// expired is kept for a while.
pub(crate) const OUTLIVES_BY: Duration = Duration::from_secs(3600);
/// The prefix of all names in its store.
pub(crate) const SPACE: &str = "connections/";
/// The end of the audience of its tokens, which nobody receives.
const AUDIENCE: &str = "#connections";

/// The connections of each session. A connection is a session of this engine, whose subject is the session that it belongs to.
///
/// Its public id is the name of the connection. Its token is discarded, so that nobody can open it.
#[derive(Clone, Debug)]
pub(crate) struct Registry {
    engine: EdgeEngine,
}

/// Returns the configuration of the registry's engine beside that of a service.
pub(crate) fn setup(service: &Setup) -> Setup {
    let audience = service.changes.get("audience").and_then(Value::as_str);
    let mut changes: Map<String, Value> = service.changes.clone();
    let none = || Value::Array(Vec::new());
    let life = |time: Duration| Value::from(millis(time).to_string());
    for (member, value) in [
        ("tokenFormat", "compact".into()),
        ("tokenFields", none()),
        ("publicFields", none()),
        (
            "audience",
            (audience.unwrap_or_default().to_owned() + AUDIENCE).into(),
        ),
        ("absoluteTimeoutMs", life(LIFETIME + OUTLIVES_BY)),
        ("idleTimeoutMs", life(LIFETIME + OUTLIVES_BY)),
        ("touchIntervalMs", life(Duration::ZERO)),
        ("sessionsPerSubject", PER_SESSION.into()),
        ("capRule", "refuse".into()),
    ] {
        changes.insert(member.into(), value);
    }
    changes.remove("renewIntervalMs");
    Setup {
        changes,
        ..service.clone()
    }
}

/// The subject of the connections of a session.
fn owner(session: &str) -> String {
    format!("session:{session}")
}

impl Registry {
    pub(crate) fn new(engine: EdgeEngine) -> Self {
        Self { engine }
    }

    /// Enters a new connection of a session, and returns its name. `None` if the public id is no name, which the engine excludes.
    pub(crate) async fn enter(&self, session: &str) -> Result<Option<Name>, EdgeError> {
        let entry = self.engine.create();
        entry.authenticate(&owner(session), &KeepFields::Nothing).await?;
        Ok(entry.details()?.public_id.parse().ok())
    }

    /// Returns the connections of a session, among them such whose mailbox is gone.
    pub(crate) async fn of_session(&self, session: &str) -> Result<Vec<Registered>, EdgeError> {
        let (owner, mut cursor, mut entries) = (owner(session), None, Vec::new());
        loop {
            let page = PageRequest {
                current: None,
                cursor: cursor.as_deref(),
            };
            let page = self.engine.list(&owner, page).await?;
            entries.extend(page.items.iter().filter_map(|summary| {
                Some(Registered {
                    name: summary.public_id.parse().ok()?,
                    created_at: summary.created_at,
                })
            }));
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(entries),
            }
        }
    }

    /// Removes a connection of a session. A missing one is not an error.
    pub(crate) async fn leave(&self, session: &str, name: &Name) -> Result<(), EdgeError> {
        self.engine.revoke(&owner(session), name.as_str()).await.map(drop)
    }
}
