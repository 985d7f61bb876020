//! Steps on the sessions of a subject whose engine is in a Worker: lists and revocations.

use serde_json::{Value, json};
use tessera::store::StoreService;

use super::WorkerAdapter;
use super::host::{Host, outcome_of};
use super::json::{fields, record};
use crate::adapter::args::Args;
use crate::adapter::outcome::{self, Outcome};

impl<S: StoreService> WorkerAdapter<S> {
    pub(super) async fn subject_step(
        &self,
        host: &Host<S>,
        step: &str,
        members: &mut Args,
    ) -> Result<Outcome, String> {
        Ok(match step {
            "list" => list(host, members).await?,
            "revoke" => {
                let arguments = vec![members.text("subject")?.into(), members.text("public-id")?.into()];
                let ended = progress(host, "revoke", arguments, true).await?;
                ended.map(|ended| Value::from(ended > 0))
            }
            "revoke-all" => {
                let arguments = vec![members.text("subject")?.into(), Value::Null];
                progress(host, "revoke-all", arguments, false)
                    .await?
                    .map(Value::from)
            }
            _ => {
                let session = self.0.names.session(members)?;
                match session.details().await? {
                    Ok(details) if details.subject.is_none() => Err(outcome::error_of("subject-required")),
                    Ok(details) => {
                        let arguments = vec![json!(details.subject), json!(details.public_id)];
                        progress(host, "revoke-all", arguments, false)
                            .await?
                            .map(Value::from)
                    }
                    Err(error) => Err(error),
                }
            }
        })
    }
}

/// Lists the sessions of all pages.
async fn list<S: StoreService>(host: &Host<S>, members: &mut Args) -> Result<Outcome, String> {
    let (subject, current) = (members.text("subject")?, members.optional_text("current")?);
    let mut cursor = members.optional_text("cursor")?;
    let mut items = Vec::new();
    loop {
        let arguments = vec![json!(subject), json!(current), json!(cursor)];
        let page = match outcome_of(&host.method("list-sessions", arguments).await?) {
            Ok(page) => page,
            Err(error) => return Ok(Err(error)),
        };
        for item in page["items"].as_array().into_iter().flatten() {
            let mut shown = record(item);
            shown["fields"] = fields(&item["fields"])?;
            items.push(shown);
        }
        cursor = page.get("next").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() {
            return Ok(Ok(items.into()));
        }
    }
}

/// Runs a function that ends sessions over all pages, with `first` only until one was ended.
/// Returns the number of ended sessions.
async fn progress<S: StoreService>(
    host: &Host<S>,
    name: &str,
    arguments: Vec<Value>,
    first: bool,
) -> Result<Result<u64, Value>, String> {
    let (mut cursor, mut ended) = (Value::Null, 0);
    loop {
        let all: Vec<Value> = arguments.iter().cloned().chain([cursor]).collect();
        let progress = match outcome_of(&host.method(name, all).await?) {
            Ok(progress) => progress,
            Err(error) => return Ok(Err(error)),
        };
        ended += progress["ended"].as_u64().unwrap_or(0);
        cursor = progress.get("next").cloned().unwrap_or(Value::Null);
        if cursor.is_null() || (first && ended > 0) {
            return Ok(Ok(ended));
        }
    }
}
