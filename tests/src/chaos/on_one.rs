//! A client's actions on one session.

use serde_json::{Value, json};

use super::caller::Said;
use super::client::LoadClient;
use super::ledger::{Asked, Deed};

impl LoadClient<'_> {
    pub(super) fn open(&mut self) {
        let Some(at) = self.any() else { return };
        let (asked, session) = (self.ask(), &self.sessions[at]);
        let said = self
            .caller
            .call(asked, ("GET", "/v1/session"), &session.tokens[0], None);
        match said {
            Said::Done(found, _) => self.compare(at, &found, asked),
            Said::NotLoggedIn(told) => self.found_ended(at, told, "GET"),
            Said::Refused | Said::Unknown | Said::Lingering => {}
        }
    }

    fn compare(&self, at: usize, found: &Value, asked: Asked) {
        let session = &self.sessions[at];
        if let Err(wrong) = session.fields.check(found, asked) {
            self.wrong(&wrong);
        }
        let is_its = session.public_id.is_empty() || found["public_id"] == session.public_id.as_str();
        if !is_its || found["subject"].as_str() != session.subject.as_deref() {
            self.wrong("the token opened another session");
        }
    }

    pub(super) fn save(&mut self) {
        let Some(at) = self.any() else { return };
        let asked = self.ask();
        let session = &mut self.sessions[at];
        let counter = session.fields.of(&session.field);
        let value = counter.next();
        let body = json!({ "set": { session.field.as_str(): value } });
        let said = self
            .caller
            .call(asked, ("PATCH", "/v1/session"), &session.tokens[0], Some(&body));
        match said {
            Said::Done(found, told) => {
                self.world.tally.acknowledge(Deed::Save);
                counter.acknowledge(value, told);
                session.deeds[Deed::Save as usize] += 1;
                self.compare(
                    at,
                    &found,
                    Asked {
                        begun: told.at,
                        ..asked
                    },
                );
            }
            Said::Refused => counter.refuse(value),
            Said::Unknown => {}
            // The late write may overwrite a later value, so the next save uses another field.
            Said::Lingering => session.field.push('+'),
            Said::NotLoggedIn(told) => self.found_ended(at, told, "PATCH"),
        }
    }

    pub(super) fn save_shared(&mut self) {
        let asked = self.ask();
        let shared = &self.world.shared[self.dice.below(self.world.shared.len())];
        let name = self.shared_field.clone();
        let value = shared.fields().of(&name).next();
        let body = json!({ "set": { name.as_str(): value } });
        let said = self
            .caller
            .call(asked, ("PATCH", "/v1/session"), &shared.token, Some(&body));
        match said {
            Said::Done(found, told) => {
                self.world.tally.acknowledge(Deed::Save);
                let mut fields = shared.fields();
                fields.of(&name).acknowledge(value, told);
                if let Err(wrong) = fields.check(&found, asked) {
                    self.wrong(&format!("shared: {wrong}"));
                }
            }
            Said::Refused => shared.fields().of(&name).refuse(value),
            Said::Unknown => {}
            Said::Lingering => self.shared_field.push('+'),
            Said::NotLoggedIn(_) => self.wrong("a live session, PATCH: not logged in"),
        }
    }

    pub(super) fn rotate(&mut self) {
        let Some(at) = self.any() else { return };
        let (asked, session) = (self.ask(), &mut self.sessions[at]);
        let said = self
            .caller
            .call(asked, ("POST", "/v1/session/rotate"), &session.tokens[0], None);
        match said {
            Said::Done(now, _) => {
                self.world.tally.acknowledge(Deed::Rotate);
                session.deeds[Deed::Rotate as usize] += 1;
                // Shortly after a renewal, no new token is issued.
                if let Some(token) = now["token"].as_str() {
                    session.tokens.insert(0, token.to_owned());
                }
            }
            Said::NotLoggedIn(told) => self.found_ended(at, told, "rotate"),
            // The old token is accepted until the new one is used.
            Said::Refused | Said::Unknown | Said::Lingering => {}
        }
    }

    pub(super) fn logout(&mut self) {
        // A session in doubt is logged out again until there is a definite response.
        let in_doubt = self.sessions.iter().position(|session| session.is_in_doubt);
        let Some(at) = in_doubt.or_else(|| self.any()) else {
            return;
        };
        let (asked, session) = (self.ask(), &mut self.sessions[at]);
        let said = self
            .caller
            .call(asked, ("DELETE", "/v1/session"), &session.tokens[0], None);
        match said {
            Said::Done(_, told) => {
                self.world.tally.acknowledge(Deed::Logout);
                session.deeds[Deed::Logout as usize] += 1;
                self.end(at, told);
            }
            Said::NotLoggedIn(told) => self.found_ended(at, told, "DELETE"),
            Said::Refused => {}
            Said::Unknown | Said::Lingering => session.is_in_doubt = true,
        }
    }

    pub(super) fn show_an_ended_one(&mut self) {
        if self.ended.is_empty() {
            return;
        }
        let (at, asked) = (self.dice.below(self.ended.len()), self.ask());
        let (tokens, told) = (&self.ended[at].tokens, self.ended[at].told);
        let token = &tokens[self.dice.below(tokens.len())];
        let writes = self.dice.below(3) == 0;
        let body = json!({ "set": { "late": 1 } });
        let (method, body) = if writes {
            ("PATCH", Some(&body))
        } else {
            ("GET", None)
        };
        let said = self.caller.call(asked, (method, "/v1/session"), token, body);
        // A write always sees the newest state.
        if matches!(said, Said::Done(..)) && (writes || asked.must_know(told)) {
            self.wrong(&format!("an ended session, {method}: done"));
        }
    }
}
