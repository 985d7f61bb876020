//! A client's actions on its subject: logins, lists of its sessions, and the end of all of them.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::caller::Said;
use super::client::LoadClient;
use super::ledger::{Counts, Deed, Ended, Fields, Session};
use crate::http_client::bearer;

impl LoadClient<'_> {
    pub(super) fn create(&mut self) {
        let asked = self.ask();
        let body = json!({ "subject": self.subject, "fields": { "role": "admin" } });
        let said = self
            .caller
            .call(asked, ("POST", "/v1/sessions"), &self.world.key, Some(&body));
        match said {
            Said::Done(made, _) => {
                let subject = Some(self.subject.clone());
                self.made(&made, subject);
            }
            Said::Unknown | Said::Lingering => self.strays += 1,
            Said::Refused => {}
            Said::NotLoggedIn(_) => self.wrong("the service key is refused"),
        }
    }

    fn made(&mut self, made: &Value, subject: Option<String>) {
        self.world.tally.acknowledge(Deed::Create);
        let text = |name: &str| made[name].as_str().unwrap_or_default().to_owned();
        let mut deeds = Counts::default();
        deeds[Deed::Create as usize] = 1;
        self.sessions.push(Session {
            subject,
            public_id: text("public_id"),
            tokens: vec![text("token")],
            fields: Fields::default(),
            field: "n".into(),
            is_in_doubt: false,
            deeds,
        });
    }

    /// Creates a session without a subject and logs it in. The old token is refused from then on.
    pub(super) fn log_in(&mut self) {
        let asked = self.ask();
        let said = self
            .caller
            .call(asked, ("POST", "/v1/sessions"), &self.world.key, Some(&json!({})));
        let Said::Done(made, _) = said else { return };
        self.made(&made, None);
        let Some(session) = self.sessions.last_mut() else {
            return;
        };
        let asked = self.caller.begin(asked.at);
        let said = self.caller.call_with(
            asked,
            ("POST", "/v1/session/authenticate"),
            &[
                ("Authorization", &bearer(&session.tokens[0])),
                ("X-Tessera-Service-Key", &self.world.key),
            ],
            Some(&json!({ "subject": self.subject, "keep": "everything" })),
        );
        match said {
            Said::Done(now, told) => {
                self.world.tally.acknowledge(Deed::Login);
                let token = now["token"].as_str().unwrap_or_default().to_owned();
                let old = std::mem::replace(&mut session.tokens, vec![token]);
                session.subject = Some(self.subject.clone());
                session.deeds[Deed::Login as usize] += 1;
                self.ended.push(Ended {
                    tokens: old,
                    told,
                    deeds: Counts::default(),
                });
            }
            Said::Unknown | Said::Lingering => {
                // If the login took effect, the token of the session was lost.
                session.is_in_doubt = true;
                session.public_id.clear();
                self.strays += 1;
            }
            Said::Refused => {}
            Said::NotLoggedIn(_) => self.wrong("a login found its new session ended"),
        }
    }

    pub(super) fn revoke_all(&mut self) {
        let asked = self.ask();
        let path = format!("/v1/subjects/{}/sessions", self.subject);
        let said = self.caller.call(asked, ("DELETE", &path), &self.world.key, None);
        let subject = self.subject.clone();
        let is_its = |session: &Session| session.subject.as_ref() == Some(&subject);
        let mut its = self.sessions.iter_mut().filter(|session| is_its(session));
        let told = match said {
            Said::Done(_, told) => told,
            Said::NotLoggedIn(_) => return self.wrong("the service key is refused"),
            said => {
                // Some sessions may have ended.
                its.for_each(|session| session.is_in_doubt = true);
                if matches!(said, Said::Lingering) {
                    self.leave();
                }
                return;
            }
        };
        self.world.tally.acknowledge(Deed::RevokeAll);
        let mut deeds = Counts::default();
        deeds[Deed::RevokeAll as usize] = 1;
        match its.next() {
            Some(session) => session.deeds[Deed::RevokeAll as usize] += 1,
            // There is no session in which this could be found.
            None => self.world.tally.find(&deeds),
        }
        for at in (0..self.sessions.len()).rev() {
            if is_its(&self.sessions[at]) {
                self.end(at, told);
            }
        }
    }

    /// Switches to another subject, because the sessions of the old one may still be ended later.
    fn leave(&mut self) {
        self.left += 1;
        self.subject = format!("user{}-{}", self.number, self.left);
        self.gone.clear();
        self.strays = 0;
    }

    /// Checks that the subject's list contains all live sessions and no ended one. Returns whether the list was available.
    pub(super) fn list(&mut self) -> bool {
        let asked = self.ask();
        let (mut listed, mut cursor) = (HashSet::new(), String::new());
        loop {
            let path = format!("/v1/subjects/{}/sessions{cursor}", self.subject);
            let said = self.caller.call(asked, ("GET", &path), &self.world.key, None);
            let Said::Done(page, _) = said else { return false };
            let rows = page["sessions"].as_array().into_iter().flatten();
            listed.extend(rows.filter_map(|row| row["public_id"].as_str().map(str::to_owned)));
            match page["next"].as_str() {
                Some(next) => cursor = format!("?cursor={next}"),
                None => break,
            }
        }
        let mut known = 0;
        for session in &self.sessions {
            let is_its = session.subject.as_deref() == Some(self.subject.as_str());
            let is_listed = listed.contains(&session.public_id);
            known += usize::from(is_its && is_listed);
            if is_its && !is_listed && !session.is_in_doubt {
                self.wrong("a live session is not listed");
            }
        }
        if listed.iter().any(|public_id| self.gone.contains(public_id)) {
            self.wrong("an ended session is listed");
        }
        if listed.len() > known + self.strays {
            self.wrong(&format!(
                "{} sessions are listed: {known} known ones, and at most {} unknown ones are allowed",
                listed.len(),
                self.strays
            ));
        }
        true
    }
}
