//! Steps on the sessions of a subject whose engine is in a Worker: lists and revocations.

use serde_json::{Value, json};
use tessera::store::StoreService;

use super::args::Args;
use super::outcome::{self, Outcome};
use super::remote_host::{Host, outcome_of};
use super::remote_json::{fields, record};
use super::runner::Runner;

impl<S: StoreService> Runner<S> {
    /// Lists the sessions of all pages.
    pub(super) async fn far_list(&mut self, host: Host<S>, args: &mut Args) -> Result<Outcome, String> {
        let (subject, current) = (args.text("subject")?, args.optional_text("current")?);
        let mut cursor = args.optional_text("cursor")?;
        let mut items = Vec::new();
        loop {
            let arguments = vec![json!(subject), json!(current), json!(cursor)];
            let asked = host.clone();
            let done = self
                .far_call(async move { asked.method("list-sessions", arguments).await })
                .await?;
            let page = match outcome_of(&done) {
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

    /// Ends one session of a subject, all of them, or all except the one of the step.
    pub(super) async fn far_revoke(
        &mut self,
        what: &str,
        host: Host<S>,
        args: &mut Args,
    ) -> Result<Outcome, String> {
        Ok(match what {
            "revoke" => {
                let arguments = vec![args.text("subject")?.into(), args.text("public-id")?.into()];
                let ended = self.far_progress(host, "revoke", arguments, true).await?;
                ended.map(|ended| Value::from(ended > 0))
            }
            "revoke-all" => {
                let arguments = vec![args.text("subject")?.into(), Value::Null];
                self.far_progress(host, "revoke-all", arguments, false)
                    .await?
                    .map(Value::from)
            }
            _ => {
                let session = self.far_session(args)?;
                match session.details().await? {
                    Ok(details) if details.subject.is_none() => Err(outcome::error_of("subject-required")),
                    Ok(details) => {
                        let arguments = vec![json!(details.subject), json!(details.public_id)];
                        self.far_progress(host, "revoke-all", arguments, false)
                            .await?
                            .map(Value::from)
                    }
                    Err(error) => Err(error),
                }
            }
        })
    }

    /// Runs a function that ends sessions over all pages, with `first` only until one was ended.
    /// Returns the number of ended sessions.
    async fn far_progress(
        &mut self,
        host: Host<S>,
        name: &'static str,
        arguments: Vec<Value>,
        first: bool,
    ) -> Result<Result<u64, Value>, String> {
        let (mut cursor, mut ended) = (Value::Null, 0);
        loop {
            let all: Vec<Value> = arguments.iter().cloned().chain([cursor]).collect();
            let asked = host.clone();
            let done = self
                .far_call(async move { asked.method(name, all).await })
                .await?;
            let progress = match outcome_of(&done) {
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
}
