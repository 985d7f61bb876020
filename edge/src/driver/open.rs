//! Opens sessions. Each open reads the store, and calls the engine only if its decision may have changed.

use std::sync::Arc;

use tessera_contract::opens::Found;

use super::call::Driver;
use super::error::CallError;
use super::known::Known;
use super::wit;
use crate::clock;

impl Driver {
    /// Opens the session of a token.
    pub(crate) async fn open(&self, token: &str) -> Result<Found, CallError> {
        let opening = self.opens().begin(token);
        let mut answered = None;
        if let Some((now, op)) = opening.operation(clock::now) {
            let reply = self.ask(op, now).await;
            if let Some(found) = self.opens().decided(&opening, &reply) {
                return Ok(found);
            }
            // The engine's call starts with this reply, so that the entry is not read twice.
            answered = Some((now, Arc::clone(op), reply));
        }
        let mut known = Known::default();
        let opened: wit::Opened = self.run_on("open", &(token,), answered, &mut known).await?;
        let (opened, seed) = known.found(opened)?;
        Ok(self.opens().remember(&opening, token, opened, seed))
    }
}
