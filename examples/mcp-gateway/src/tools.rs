//! The tools of the example. Each sends its messages to a connection, whichever node has the client's socket.

use std::time::Duration;

use serde_json::{Value, json};
use tessera::connections::{ConnectionError, Connections, Message, Name};
use tessera::store::RedisMailbox;

use crate::message::{error, notification, result};

/// The longest count.
const MAXIMUM_COUNT: u64 = 100;
/// The pause between two numbers.
const PAUSE: Duration = Duration::from_millis(100);

/// The place to which a tool sends.
#[derive(Clone)]
pub(crate) struct Output {
    pub(crate) connections: Connections<RedisMailbox>,
    pub(crate) name: Name,
}

impl Output {
    pub(crate) async fn send(&self, message: &Value) -> Result<(), ConnectionError> {
        // JSON has no character that a message refuses.
        if let Ok(message) = Message::new(None, &message.to_string()) {
            self.connections.send(&self.name, &message, None).await?;
        }
        Ok(())
    }
}

/// The list of the tools.
pub(crate) fn list() -> Value {
    let count = json!({"type": "object", "properties": {"to": {"type": "integer", "minimum": 1, "maximum": MAXIMUM_COUNT}}, "required": ["to"]});
    json!({"tools": [{"name": "count", "description": "Counts, ten numbers a second, and reports each one", "inputSchema": count}]})
}

/// Runs a tool; returns the response.
///
/// # Errors
/// [`ConnectionError`] if a notification cannot be sent.
pub(crate) async fn call(id: &Value, params: &Value, output: &Output) -> Result<Value, ConnectionError> {
    if params["name"] != "count" {
        return Ok(error(id, -32602, "there is no such tool"));
    }
    let Some(to @ 1..=MAXIMUM_COUNT) = params["arguments"]["to"].as_u64() else {
        return Ok(error(id, -32602, "`to` is a number from 1 to 100"));
    };
    let token = &params["_meta"]["progressToken"];
    for number in 1..=to {
        tokio::time::sleep(PAUSE).await;
        let reported = if token.is_null() {
            notification("notifications/message", &json!({"level": "info", "data": number}))
        } else {
            let progress = json!({"progressToken": token, "progress": number, "total": to});
            notification("notifications/progress", &progress)
        };
        output.send(&reported).await?;
    }
    let text = format!("counted to {to}");
    Ok(result(id, &json!({"content": [{"type": "text", "text": text}]})))
}
