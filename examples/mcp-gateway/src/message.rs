//! JSON-RPC, as MCP uses it: <https://www.jsonrpc.org/specification>.

use serde_json::{Value, json};

/// A message of a client.
pub(crate) enum Incoming {
    /// It expects a response.
    Request {
        id: Value,
        method: String,
        params: Value,
    },
    /// A notification, or the response to a request of the server.
    Other,
}

impl Incoming {
    /// Reads one message; `None` if it is none. MCP of 2025-06-18 has no batches.
    pub(crate) fn read(mut message: Value) -> Option<Self> {
        if message.get("jsonrpc") != Some(&json!("2.0")) {
            return None;
        }
        let method = message.get("method").and_then(Value::as_str).map(str::to_owned);
        match (message.get("id"), method) {
            (Some(id @ (Value::String(_) | Value::Number(_))), Some(method)) => Some(Self::Request {
                id: id.clone(),
                method,
                params: message["params"].take(),
            }),
            (None, Some(_)) | (Some(_), None) => Some(Self::Other),
            _ => None,
        }
    }
}

pub(crate) fn result(id: &Value, result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

pub(crate) fn error(id: &Value, code: i32, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}

pub(crate) fn notification(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}
