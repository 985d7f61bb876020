//! The rules, which are the guarantees of `docs/connections.md`.

use tessera_connections::{EndReason, MessageId, Overflow};

use super::world::{Received, World};

impl World {
    /// The rule that the run violates.
    pub(super) fn judge(&self, overflow: Overflow) -> Result<(), String> {
        if let Some(broken) = self.broken {
            return Err(broken.into());
        }
        let has_gap = self
            .received
            .iter()
            .any(|received| matches!(received, Received::Gap(_)));
        if has_gap && overflow == Overflow::Refuse && self.failovers == 0 && !self.has_swallowed {
            return Err("a gap without a reason".into());
        }
        let mut place = Some(MessageId::START);
        let mut is_over = false;
        for received in &self.received {
            if is_over {
                return Err("something follows the end".into());
            }
            match received {
                Received::Message(id, _) => {
                    if place.is_some_and(|place| place.number + 1 != id.number) {
                        return Err(format!("{id} follows {place:?} without a gap"));
                    }
                    place = Some(*id);
                }
                Received::Gap(at) => place = Some(*at),
                Received::End => is_over = true,
            }
        }
        // A message has one id.
        let mut by_data: Vec<(usize, MessageId)> = self
            .received
            .iter()
            .filter_map(|received| match received {
                Received::Message(id, data) => Some((*data, *id)),
                _ => None,
            })
            .collect();
        by_data.sort_by_key(|(data, id)| (*data, id.number, id.stamp));
        by_data.dedup();
        if self.failovers == 0 && by_data.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err("a retry was received as a second message".into());
        }
        for (data, id, _) in &self.appended {
            let is_received = self.received.contains(&Received::Message(*id, *data));
            let is_refused = overflow == Overflow::End && self.log.ended() == Some(EndReason::Overflow);
            // A failover may undo an end that the client has been told: what is sent after that reaches nobody.
            let is_over = self.failovers > 0 && self.received.contains(&Received::End);
            if !is_received && !has_gap && !is_refused && !is_over {
                return Err(format!("message {data} ({id}) is neither received nor covered"));
            }
        }
        Ok(())
    }
}
