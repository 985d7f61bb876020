//! A store that an adapter's process has opened.

use std::sync::Arc;

use serde_json::{Map, Value};
use tessera::Timestamp;
use tessera::store::{Capabilities, Cause, StoreError, StoreOp, StoreReply, StoreService};

use super::Process;

/// A store of the adapter's language.
pub struct ProcessStore {
    process: Arc<Process>,
    number: Value,
    capabilities: Capabilities,
}

impl ProcessStore {
    /// Opens the store of a URL in the process.
    ///
    /// # Errors
    /// If the adapter cannot open it.
    pub async fn open(process: &Arc<Process>, url: &str) -> Result<Self, String> {
        let members = Map::from_iter([("url".to_owned(), url.into())]);
        let opened = process.take(0, "open-store", members).await?;
        let mut opened = opened.map_err(|error| format!("the store is refused: {error}"))?;
        Ok(Self {
            process: Arc::clone(process),
            number: opened["store"].take(),
            capabilities: serde_json::from_value(opened["capabilities"].take())
                .map_err(|error| format!("its capabilities: {error}"))?,
        })
    }
}

impl Drop for ProcessStore {
    fn drop(&mut self) {
        let members = Map::from_iter([("store".to_owned(), self.number.clone())]);
        self.process.order("close-store", members);
    }
}

impl StoreService for ProcessStore {
    fn describe(&self) -> Capabilities {
        self.capabilities.clone()
    }

    async fn call(&self, now: Timestamp, op: &StoreOp) -> StoreReply {
        let operation = serde_json::to_value(op).unwrap_or(Value::Null);
        let members = [("store", self.number.clone()), ("operation", operation)];
        let members = members
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect();
        let taken = self.process.take(now.as_millis(), "call-store", members).await;
        let read = match taken {
            Ok(Ok(reply)) => op
                .read_reply(&reply.to_string())
                .map_err(|error| error.to_string()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error),
        };
        read.unwrap_or_else(|error| {
            self.process.fail(error.clone());
            op.failed(StoreError::Other(Cause::new(error)))
        })
    }
}
