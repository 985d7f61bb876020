//! Opening a session: the store is asked each time, and the engine where its answer may be another than before.

use std::sync::Arc;

use tessera_contract::opens::Found;

use super::call::Driver;
use super::error::CallError;
use super::known::Known;
use super::wit;
use crate::clock;

impl Driver {
    /// Opens the session that a token names.
    pub(crate) async fn open(&self, token: &str) -> Result<Found, CallError> {
        let opening = self.opens().begin(token);
        let mut answered = None;
        if let Some((now, op)) = opening.operation(clock::now) {
            let reply = self.ask(op, now).await;
            if let Some(found) = self.opens().decided(&opening, &reply) {
                return Ok(found);
            }
            // No question is asked twice.
            answered = Some((now, Arc::clone(op), reply));
        }
        let mut known = Known::default();
        let opened: wit::Opened = self.run_on("open", &(token,), answered, &mut known).await?;
        let (opened, seed) = known.found(opened)?;
        Ok(self.opens().remember(&opening, token, opened, seed))
    }
}
