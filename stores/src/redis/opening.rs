//! The check at the opening of a store that the server accepts writes.

use redis::cmd;

use super::error::unusable;
use super::link::Effect;
use super::{RedisStore, RedisStoreError};
use tessera_contract::Timestamp;

impl RedisStore {
    /// Removes a record that does not exist. A replica refuses the command before it looks up the key.
    pub(super) async fn check_takes_writes(&self) -> Result<(), RedisStoreError> {
        let asked = self.asked(Timestamp::from_millis(0));
        let mut command = cmd("DEL");
        command.arg(asked.record("").name);
        let removed = self
            .shared
            .link
            .ask::<u64>(&command, Effect::Repeatable, asked.deadline);
        removed.await.map(|_| ()).map_err(unusable)
    }
}
