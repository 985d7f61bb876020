//! Steps on a host, which is an engine with a policy and keys over the scenario's store.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tessera::store::StoreService;
use tessera::{PageRequest, Session, Sessions, SigningKey};

use super::args::{Args, as_list};
use super::compare::Match;
use super::outcome::{self, Outcome};
use super::runner::{Pace, Runner};
use super::{policy, value};
use crate::stores::NeverReady;

impl<S: StoreService> Runner<S> {
    pub(super) async fn host_step(&mut self, what: &str, mut args: Args) -> Result<(Outcome, Match), String> {
        if what == "configure" {
            let name = args.text("as")?;
            return Ok((self.configure(&name, args)?, Match::Members));
        }
        let host = self.host(&mut args)?;
        let outcome = match what {
            "policy" => {
                args.finish()?;
                return Ok((Ok(policy::to_json(host.policy())), Match::Exact));
            }
            "create" => {
                let name = args.text("as")?;
                args.finish()?;
                let session = host.create();
                Ok(self.keep(name, session))
            }
            "open" => {
                let (name, token) = (args.text_or("as", "")?, args.text("token")?);
                args.finish()?;
                self.call(async move { host.open(&token).await })
                    .await?
                    .map(|session| self.keep(name, session))
            }
            "verify" => {
                let (token, age) = (args.text("token")?, args.optional_number("max-age-ms")?);
                args.finish()?;
                let claims = host.verify(&token, age.map(Duration::from_millis));
                claims
                    .map(|claims| outcome::claims(&claims))
                    .map_err(|error| outcome::error(&error))
            }
            "list" => return Ok((self.list(host, args).await?, Match::AnyOrder)),
            "revoke" => {
                let (subject, public_id) = (args.text("subject")?, args.text("public-id")?);
                args.finish()?;
                self.call(async move { host.revoke(&subject, &public_id).await })
                    .await?
                    .map(Value::from)
            }
            "revoke-all" => {
                let subject = args.text("subject")?;
                args.finish()?;
                self.call(async move { host.revoke_all(&subject).await })
                    .await?
                    .map(Value::from)
            }
            "revoke-others" => {
                let session = self.session(&mut args)?;
                args.finish()?;
                self.call(async move { host.revoke_others(&session).await })
                    .await?
                    .map(Value::from)
            }
            _ => {
                let (key, name) = (args.text("key")?, args.text_or("as", "")?);
                args.finish()?;
                host.jwt_key(&key)
                    .map_err(|error| outcome::error(&error))
                    .map(|key| {
                        self.variables.insert(name, value::base64url(&key));
                        json!({ "bytes": key.len() })
                    })
            }
        };
        Ok((outcome, Match::Members))
    }

    fn keep(&mut self, name: String, session: Session) -> Value {
        if !name.is_empty() {
            self.sessions.insert(name, Arc::new(session));
        }
        Value::Null
    }

    /// Lists the sessions of all pages.
    async fn list(&mut self, host: Sessions, mut args: Args) -> Result<Outcome, String> {
        let (subject, current) = (args.text("subject")?, args.optional_text("current")?);
        let cursor = args.optional_text("cursor")?;
        args.finish()?;
        let listed = self.call(async move {
            let (mut items, mut cursor) = (Vec::new(), cursor);
            loop {
                let page = host
                    .list(
                        &subject,
                        PageRequest {
                            current: current.as_deref(),
                            cursor: cursor.as_deref(),
                        },
                    )
                    .await?;
                items.extend(page.items.iter().map(outcome::summary));
                cursor = page.next;
                if cursor.is_none() {
                    return Ok(items);
                }
            }
        });
        Ok(listed.await?.map(Value::Array))
    }

    /// Creates a host with the scenario's policy and keys and the changes of the step.
    pub(super) fn configure(&mut self, name: &str, mut args: Args) -> Result<Outcome, String> {
        let (mut changes, mut promises) = (self.scenario.policy.clone(), self.scenario.store.clone());
        changes.append(&mut args.optional_object("policy")?);
        promises.append(&mut args.optional_object("store")?);
        let preset = args
            .optional_text("preset")?
            .or_else(|| self.scenario.preset.clone());
        let keys = keys(args.optional("keys").or_else(|| self.scenario.keys.clone()))?;
        args.finish()?;

        let mut builder = Sessions::builder_with(self.component.clone());
        if let Some(preset) = preset {
            builder = builder.preset(policy::level(&preset)?);
        }
        let mut applied = Ok(());
        builder = builder.policy(|policy| applied = policy::apply(policy, &changes));
        applied?;
        builder = keys.into_iter().fold(
            builder.instances(1).queue_places(0).clock(self.clock.clone()),
            |builder, key| builder.key(key),
        );
        let store = policy::promise(&self.store, &promises)?;
        let built = match self.pace {
            Pace::Own => builder.build(store),
            Pace::Forgetful => builder.remembered_sessions(0).build(store),
            Pace::NeverReady => builder.build(NeverReady::new(store)),
        };
        Ok(built.map_err(|error| outcome::refused(&error)).map(|host| {
            self.hosts.insert(name.to_owned(), host);
            Value::Null
        }))
    }
}

/// Reads keys as `{"id", "secret"}`, with the secret in base64url. By default there is one key, `2026-01`.
fn keys(keys: Option<Value>) -> Result<Vec<SigningKey>, String> {
    let Some(keys) = keys else {
        return Ok(vec![SigningKey::new("2026-01", [7; 32])]);
    };
    let read = |key: &Value| {
        let mut args = Args::new(key)?;
        let (id, secret) = (args.text("id")?, args.text("secret")?);
        args.finish()?;
        Ok(SigningKey::new(id, value::from_base64url(&secret)?))
    };
    as_list("keys", keys)?.iter().map(read).collect()
}
