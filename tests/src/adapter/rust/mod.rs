//! The Rust host as an adapter.

mod session_steps;
mod subject_steps;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tessera::store::StoreService;
use tessera::{Component, Preset, Session, Sessions, SigningKey};

use super::args::Args;
use super::clock::ScenarioClock;
use super::named::Names;
use super::outcome::{self, Outcome};
use super::{Adapter, Configuration, value};
use crate::stores::{NeverReady, Scripted};

/// The pace of the store's replies, and the host's memory of opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Replies as the store gives them.
    Own,
    /// The same, and hosts do not remember opens.
    Forgetful,
    /// No reply is ready at the first poll.
    NeverReady,
}

/// The engines and sessions of a Rust host, by the names of the steps.
#[derive(Clone)]
pub struct RustAdapter(Arc<Inner>);

struct Inner {
    component: Component,
    clock: ScenarioClock,
    pace: Pace,
    names: Names<Sessions, Arc<Session>>,
}

impl RustAdapter {
    /// Creates an adapter without engines.
    pub(crate) fn new(component: Component, clock: ScenarioClock, pace: Pace) -> Self {
        Self(Arc::new(Inner {
            component,
            clock,
            pace,
            names: Names::default(),
        }))
    }

    /// Creates the engine with this name, over a store of any type.
    ///
    /// # Errors
    /// If a member of the configuration is unknown.
    pub(crate) fn configure_over<S: StoreService>(
        &self,
        host: &str,
        with: Configuration,
        store: S,
    ) -> Result<Outcome, String> {
        let Configuration { policy, preset, keys } = with;
        let mut builder = Sessions::builder_with(self.0.component.clone());
        if let Some(preset) = preset {
            let preset = Preset::named(&preset).ok_or_else(|| format!("unknown preset {preset:?}"))?;
            builder = builder.preset(preset);
        }
        let mut applied = Ok(());
        builder = builder.policy(|fields| applied = fields.set_json(&policy));
        applied.map_err(|error| error.to_string())?;
        builder = keys.into_iter().fold(
            builder.instances(1).queue_places(0).clock(self.0.clock.clone()),
            |builder, key| builder.key(SigningKey::new(key.id, key.secret)),
        );
        let built = match self.0.pace {
            Pace::Own => builder.build(store),
            Pace::Forgetful => builder.remembered_sessions(0).build(store),
            Pace::NeverReady => builder.build(NeverReady::new(store)),
        };
        Ok(built.map_err(|error| outcome::refused(&error)).map(|sessions| {
            self.0.names.hosts.insert(host.to_owned(), sessions);
            Value::Null
        }))
    }

    /// Takes one step.
    ///
    /// # Errors
    /// If the step is invalid.
    pub(crate) async fn take(&self, step: &str, mut members: Args) -> Result<Outcome, String> {
        match step {
            "policy" | "create" | "open" | "verify" | "jwt-key" => {
                let host = self.0.names.host(&mut members)?;
                self.host_step(host, step, members).await
            }
            "list" | "revoke" | "revoke-all" | "revoke-others" => {
                let host = self.0.names.host(&mut members)?;
                self.subject_step(host, step, members).await
            }
            _ => self.session_step(step, members).await,
        }
    }

    async fn host_step(&self, host: Sessions, step: &str, mut members: Args) -> Result<Outcome, String> {
        Ok(match step {
            "policy" => {
                members.finish()?;
                Ok(host.policy().to_json())
            }
            "create" => {
                let name = members.text("as")?;
                members.finish()?;
                self.0.names.keep(name, Arc::new(host.create()));
                Ok(Value::Null)
            }
            "open" => {
                let (name, token) = (members.text_or("as", "")?, members.text("token")?);
                members.finish()?;
                let opened = host.open(&token).await;
                opened.map_err(|error| outcome::error(&error)).map(|session| {
                    self.0.names.keep(name, Arc::new(session));
                    Value::Null
                })
            }
            "verify" => {
                let (token, age) = (members.text("token")?, members.optional_number("max-age-ms")?);
                members.finish()?;
                let claims = host.verify(&token, age.map(Duration::from_millis));
                claims
                    .map(|claims| outcome::claims(&claims))
                    .map_err(|error| outcome::error(&error))
            }
            _ => {
                let key = members.text("key")?;
                members.finish()?;
                host.jwt_key(&key)
                    .map(|key| value::base64url(&key).into())
                    .map_err(|error| outcome::error(&error))
            }
        })
    }
}

impl<S: StoreService> Adapter<S> for RustAdapter {
    async fn configure(
        &self,
        host: &str,
        with: Configuration,
        store: Scripted<S>,
    ) -> Result<Outcome, String> {
        self.configure_over(host, with, store)
    }

    async fn perform(&self, step: &str, members: Args) -> Result<Outcome, String> {
        self.take(step, members).await
    }
}
