//! All faults are over: is everything there that was acknowledged?

use super::World;
use super::caller::Said;
use super::client::LoadClient;
use super::ledger::{Counts, Deed, Session};

/// A store that is well refuses a busy client now and then.
const TRIES: usize = 50;

impl LoadClient<'_> {
    /// Counts what is found of what this client was told.
    pub(super) fn audit(&mut self) {
        // What a cache may still answer would be no finding.
        std::thread::sleep(self.world.max_stale);
        if !(0..TRIES).any(|_| self.list()) {
            self.wrong("at the end: no list of sessions");
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
            // Its end was asked for, and that is what became of it.
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
            self.wrong("at the end: another session was opened");
            deeds[Deed::Login as usize] = 0;
        }
        deeds[Deed::Save as usize] = session.fields.found(&found);
        deeds
    }

    fn is_refused(&mut self, token: &str) -> bool {
        matches!(self.ask_surely(token), Some(Said::NotLoggedIn(_)))
    }

    /// Asks until there is an answer.
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
    /// The sessions that all clients write: no save has undone another.
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
