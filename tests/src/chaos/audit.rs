//! The audit after all faults: everything that was acknowledged must be present.

use super::caller::Said;
use super::client::LoadClient;
use super::ledger::{Counts, Deed, Session};
use super::world::World;

/// The maximum number of tries: even a healthy store may refuse a busy client occasionally.
const TRIES: usize = 50;

impl LoadClient<'_> {
    /// Counts which of this client's acknowledged calls still have their effect.
    pub(super) fn audit(&mut self) {
        // A stale response of a cache would not be an error.
        std::thread::sleep(self.world.max_stale);
        if !(0..TRIES).any(|_| self.list()) {
            self.wrong("at the end: the list of sessions is unavailable");
        }
        for session in std::mem::take(&mut self.sessions) {
            let found = self.audit_live(&session);
            self.world.tally.find(&found);
        }
        for ended in std::mem::take(&mut self.ended) {
            let has_risen = ended.tokens.iter().any(|token| !self.is_refused(token));
            if has_risen {
                self.wrong("at the end: an ended session opens");
            } else {
                self.world.tally.find(&ended.deeds);
            }
        }
    }

    fn audit_live(&mut self, session: &Session) -> Counts {
        let mut deeds = session.deeds;
        let found = match self.ask_surely(&session.tokens[0]) {
            Some(Said::Done(found, _)) => found,
            // A call that ends it was sent, and took effect.
            Some(Said::NotLoggedIn(_)) if session.is_in_doubt => return deeds,
            _ => {
                self.wrong("at the end: a live session does not open");
                return Counts::default();
            }
        };
        let asked = self.ask();
        if let Err(wrong) = session.fields.check(&found, asked) {
            self.wrong(&format!("at the end: {wrong}"));
        }
        if found["subject"].as_str() != session.subject.as_deref() {
            self.wrong("at the end: the token opened another session");
            deeds[Deed::Login as usize] = 0;
        }
        deeds[Deed::Save as usize] = session.fields.found(&found);
        deeds
    }

    fn is_refused(&mut self, token: &str) -> bool {
        matches!(self.ask_surely(token), Some(Said::NotLoggedIn(_)))
    }

    /// Repeats a read until it has a definite result.
    pub(super) fn ask_surely(&mut self, token: &str) -> Option<Said> {
        (0..TRIES).find_map(|_| {
            let asked = self.ask();
            match self.caller.call(asked, ("GET", "/v1/session"), token, None) {
                said @ (Said::Done(..) | Said::NotLoggedIn(_)) => Some(said),
                Said::Refused | Said::Unknown | Said::Lingering => {
                    std::thread::sleep(std::time::Duration::from_millis(100));
                    None
                }
            }
        })
    }
}

impl World {
    /// Audits the sessions that all clients write: no save may have undone another.
    pub(super) fn audit_shared(&self, client: &mut LoadClient<'_>) {
        for shared in &self.shared {
            let Some(Said::Done(found, _)) = client.ask_surely(&shared.token) else {
                self.tally
                    .wrong("at the end: a shared session does not open".into());
                continue;
            };
            let (fields, asked) = (shared.fields(), client.ask());
            if let Err(wrong) = fields.check(&found, asked) {
                self.tally.wrong(format!("at the end: shared: {wrong}"));
            }
            let mut deeds = Counts::default();
            deeds[Deed::Create as usize] = 1;
            deeds[Deed::Save as usize] = fields.found(&found);
            self.tally.find(&deeds);
        }
    }
}
