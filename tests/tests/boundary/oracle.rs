//! What the model answers to each call, and how it then stands.

use proptest::sample::Index;
use tessera::Value;

use super::handle::check_subject;
use super::model::{Handle, Model, Phase, Standing, Token, refuse};
use super::plan::Call;
use super::told::Told;
use super::values::Given;
use super::writes::Intent;

impl Model {
    /// `damage_shows`: whether a damaged token differs from the one it was made of.
    pub(crate) fn predict(&mut self, call: &Call, damage_shows: bool) -> Told {
        let answer = match call {
            Call::Create | Call::Open(_) | Call::Verify(_) => self.without_handle(call, damage_shows),
            Call::List(..) | Call::Revoke(..) | Call::RevokeAll(_) => self.of_subject(call),
            _ => match self.place(call.handle()) {
                None => return Told::Skipped,
                Some(at) => self.on_handle(call, at),
            },
        };
        answer.unwrap_or_else(|refused| refused)
    }

    pub(crate) fn place(&self, at: Option<Index>) -> Option<usize> {
        at.filter(|_| !self.handles.is_empty())
            .map(|at| at.index(self.handles.len()))
    }

    fn without_handle(&mut self, call: &Call, damage_shows: bool) -> Result<Told, Told> {
        match call {
            Call::Create => {
                self.handles.push(Handle::draft());
                Ok(Told::Handle)
            }
            Call::Open(shown) => {
                let Some(token) = self.shown(shown, damage_shows) else {
                    return Ok(Told::Skipped);
                };
                self.open(&token?)?;
                Ok(Told::Handle)
            }
            Call::Verify(shown) => {
                let Some(token) = self.shown(shown, damage_shows) else {
                    return Ok(Told::Skipped);
                };
                let Token { record, generation } = token?;
                Ok(Told::Claimed { generation, record })
            }
            _ => Ok(Told::Skipped),
        }
    }

    fn on_handle(&mut self, call: &Call, at: usize) -> Result<Told, Told> {
        let granted = |(generation, _)| Told::Granted(generation);
        match call {
            Call::Drop(_) => {
                self.handles.remove(at);
                Ok(Told::Done)
            }
            Call::Fork(_) => {
                self.handles[at].stored()?;
                self.handles.push(self.handles[at].clone());
                Ok(Told::Handle)
            }
            Call::Set(_, name, given) => self.change(at, &[(name.clone(), Some(given.clone()))]),
            Call::Update(_, changes) => self.change(at, changes),
            Call::Get(_, name) => self.handles[at].get(name).map(Told::Value),
            Call::Remove(_, name) => self.handles[at].remove(name).map(Told::Was),
            Call::Pop(_, name) => {
                let value = self.handles[at].get(name)?;
                self.handles[at].remove(name)?;
                match value.map(Value::to::<i64>).transpose() {
                    Ok(number) => Ok(Told::Popped(number)),
                    Err(_) => refuse("convert"),
                }
            }
            Call::Clear(_) => self.handles[at].clear().map(|()| Told::Done),
            Call::Entries(_) => {
                let fields = self.handles[at].fields()?;
                let entries = fields.into_values().map(|field| (field.name, field.value));
                Ok(Told::Entries(entries.collect()))
            }
            Call::EntriesJson(_) => {
                let fields = self.handles[at].fields()?;
                let members = fields
                    .iter()
                    .map(|(name, field)| format!("\"{name}\":{}", field.text));
                Ok(Told::Json(format!(
                    "{{{}}}",
                    members.collect::<Vec<_>>().join(",")
                )))
            }
            Call::Details(_) => Ok(self.details(at)),
            Call::Save(_) => self.write(at, Intent::Save).map(granted),
            Call::Rotate(_) => self.write(at, Intent::Rotate).map(granted),
            Call::Authenticate(_, subject, keeping) => self
                .write(at, Intent::Authenticate(subject.text(), keeping))
                .map(granted),
            Call::Touch(_) => {
                // The clock stands still, so nothing slides: only a renewed token is there to be confirmed.
                let (_, base, generation) = self.handles[at].live()?;
                if base.head.confirmed || generation != base.head.current {
                    return Ok(Told::Was(false));
                }
                self.write(at, Intent::Confirm).map(|(_, wrote)| Told::Was(wrote))
            }
            Call::Reissue(_) => self.reissue(at),
            Call::Destroy(_) => self.destroy(at),
            Call::MakeCsrf(_) => {
                let (record, base, _) = self.handles[at].live()?;
                let made = (record, base.head.floor);
                self.csrf.push(made);
                Ok(Told::Done)
            }
            Call::CheckCsrf(_, which) => {
                if self.csrf.is_empty() {
                    return Ok(Told::Skipped);
                }
                let made = self.csrf[which.index(self.csrf.len())];
                let (record, base, _) = self.handles[at].live()?;
                if made == (record, base.head.floor) {
                    Ok(Told::Done)
                } else {
                    refuse("csrf")
                }
            }
            Call::CheckCsrfNoise(_, text) => {
                if text.len() <= 128 {
                    self.handles[at].live()?;
                }
                refuse("csrf")
            }
            Call::RevokeOthers(_) => {
                let subject = self.handles[at]
                    .live()
                    .ok()
                    .and_then(|(_, base, _)| base.head.subject.clone());
                let Some(subject) = subject else {
                    return refuse("subject-required");
                };
                let own = self.handles[at].live()?.0;
                Ok(self.revoke(&subject, |record| record != own))
            }
            _ => Ok(Told::Skipped),
        }
    }

    fn change(&mut self, at: usize, changes: &[(String, Option<Given>)]) -> Result<Told, Told> {
        self.handles[at].change(changes).map(|()| Told::Done)
    }

    fn reissue(&mut self, at: usize) -> Result<Told, Told> {
        let (record, _, generation) = self.handles[at].live()?;
        let Some(stored) = &self.records[record] else {
            return refuse("missing");
        };
        let (stored, standing) = (stored.clone(), self.judge(&stored.head, generation));
        if !standing.is_served() {
            return refuse("replaced");
        }
        if let Phase::Live { seed, .. } = &mut self.handles[at].phase {
            *seed = stored.clone();
        }
        if !matches!(standing, Standing::Current | Standing::Unconfirmed) {
            return Ok(Told::Granted(None));
        }
        let generation = stored.head.current;
        self.tokens.push(Token { record, generation });
        Ok(Told::Granted(Some(generation)))
    }

    fn destroy(&mut self, at: usize) -> Result<Told, Told> {
        match &self.handles[at].phase {
            Phase::Closed => return refuse("closed"),
            Phase::Draft => {}
            Phase::Live {
                record, generation, ..
            } => {
                if let Some(stored) = &self.records[*record] {
                    if !self.judge(&stored.head, *generation).is_served() {
                        return refuse("replaced");
                    }
                    self.records[*record] = None;
                }
            }
        }
        self.handles[at] = Handle {
            phase: Phase::Closed,
            ..Handle::draft()
        };
        Ok(Told::Done)
    }

    fn of_subject(&mut self, call: &Call) -> Result<Told, Told> {
        match call {
            Call::List(subject, at) => {
                check_subject(subject.text())?;
                let own = self.own(*at);
                let public = |record: &usize| {
                    let field = self.records[*record].as_ref()?.fields.get("a")?;
                    Some((field.name.clone(), field.value.clone()))
                };
                let of = self.of(subject.text());
                let listed = of.iter().map(|record| {
                    (
                        *record,
                        own == Some(*record),
                        public(record).into_iter().collect(),
                    )
                });
                Ok(Told::Listed(listed.collect()))
            }
            Call::Revoke(subject, at) => {
                check_subject(subject.text())?;
                let own = self.own(*at);
                let ended = self.revoke(subject.text(), |record| Some(record) == own);
                Ok(Told::Was(ended == Told::Count(1)))
            }
            Call::RevokeAll(subject) => {
                check_subject(subject.text())?;
                Ok(self.revoke(subject.text(), |_| true))
            }
            _ => Ok(Told::Skipped),
        }
    }

    /// The session whose reference a handle knows.
    fn own(&self, at: Index) -> Option<usize> {
        let at = self.place(Some(at))?;
        self.handles[at].live().ok().map(|(record, ..)| record)
    }

    fn revoke(&mut self, subject: &str, of: impl Fn(usize) -> bool) -> Told {
        let doomed: Vec<usize> = self
            .of(subject)
            .into_iter()
            .filter(|record| of(*record))
            .collect();
        doomed.iter().for_each(|record| self.records[*record] = None);
        Told::Count(doomed.len() as u64)
    }
}
