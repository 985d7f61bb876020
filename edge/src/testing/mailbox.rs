//! Calls on the mailboxes of connections.

use axum::extract::Path;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use tessera_connections::{Mailbox as _, MailboxError, Name};
use tessera_contract::Timestamp;
use worker::send::SendFuture;

use super::common::{ENV, answer, unfit};
use crate::connections::{DurableMailbox, Reply, Request};

/// The time limit for an object, in milliseconds.
const TIMEOUT_MS: u64 = 10_000;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Asked {
    Of(Name, Request),
    Walk {
        now: Timestamp,
        cursor: String,
        limit: u32,
    },
}

fn open(space: &str) -> Result<DurableMailbox, String> {
    ENV.with_borrow(|env| {
        let env = env.as_ref().ok_or("there is no environment")?;
        let objects = |name| env.durable_object(name).map_err(|error| error.to_string());
        Ok(DurableMailbox::new(
            objects("TESSERA_CONNECTIONS")?,
            objects("TESSERA_OWNERS")?,
            space,
            TIMEOUT_MS,
        ))
    })
}

/// Performs one call on the mailboxes of a space.
pub(super) async fn ask(Path(space): Path<String>, body: String) -> Response {
    let (mailbox, asked) = match (open(&space), serde_json::from_str(&body)) {
        (Ok(mailbox), Ok(asked)) => (mailbox, asked),
        (Err(error), _) => return unfit(&error),
        (_, Err(error)) => return unfit(&error.to_string()),
    };
    let refused = |error: MailboxError| answer(&Reply::Refused(error));
    match asked {
        Asked::Of(name, request) => {
            let asked = SendFuture::new(async move { mailbox.ask_for_test(&name, &request).await });
            asked.await.map_or_else(refused, |reply| answer(&reply))
        }
        Asked::Walk { now, cursor, limit } => {
            let walked = SendFuture::new(async move { mailbox.walk(now, &cursor, limit).await });
            let page = |(mailboxes, next)| answer(&json!({"mailboxes": mailboxes, "next": next}));
            walked.await.map_or_else(refused, page)
        }
    }
}
