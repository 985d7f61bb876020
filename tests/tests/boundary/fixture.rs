//! The real component over one store, and what it answers to each call.

use tessera::store::StoreService;
use tessera::{Component, Grant, KeepFields, PageRequest, Session, SessionError, Sessions, Value};
use tessera_tests::whole;

use super::plan::{Call, Keeping, Rules, Shown};
use super::setting::{ABSOLUTE, FOREIGN_SECRET, IDLE, NOW, SECRET, build};
use super::told::{Told, refused};
use super::values::{Given, MARK};

pub(crate) struct Fixture {
    pub(crate) sessions: Sessions,
    handles: Vec<Session>,
    pub(crate) tokens: Vec<String>,
    pub(crate) csrf: Vec<String>,
    /// By the number that the model gives a session.
    references: Vec<String>,
    foreign: String,
    /// Every error, whole: both fixtures say the same, and no secret.
    pub(crate) said: Vec<String>,
}

impl Fixture {
    pub(crate) async fn new(component: &Component, rules: Rules, store: impl StoreService) -> Self {
        let elsewhere = build(
            component,
            rules,
            FOREIGN_SECRET,
            tessera::store::MemoryStore::new(),
        );
        let session = elsewhere.create();
        let foreign = session.authenticate("alice").await.expect("a login").token;
        Self {
            sessions: build(component, rules, SECRET, store),
            handles: Vec::new(),
            tokens: Vec::new(),
            csrf: Vec::new(),
            references: Vec::new(),
            foreign: foreign.expect("a token"),
            said: Vec::new(),
        }
    }

    /// The text that is shown; `None` if nothing was handed out yet.
    pub(crate) fn text(&self, shown: &Shown) -> Option<String> {
        let good = |at: &proptest::sample::Index| {
            (!self.tokens.is_empty()).then(|| self.tokens[at.index(self.tokens.len())].clone())
        };
        match shown {
            Shown::Good(at) => good(at),
            Shown::Damaged(which, at, with) => {
                let mut bytes = good(which)?.into_bytes();
                let at = at.index(bytes.len());
                bytes[at] = *with;
                String::from_utf8(bytes).ok()
            }
            Shown::Foreign => Some(self.foreign.clone()),
            Shown::Noise(text) => Some(text.clone()),
            Shown::TooLong(length) => Some("x".repeat(*length)),
        }
    }

    /// Whether a damaged token is another than it was made of.
    pub(crate) fn damage_shows(&self, shown: &Shown) -> bool {
        self.text(shown).is_none_or(|text| !self.tokens.contains(&text))
    }

    pub(crate) async fn call(&mut self, call: &Call) -> Told {
        let answer = match call.handle() {
            Some(at) if !matches!(call, Call::List(..) | Call::Revoke(..)) => {
                if self.handles.is_empty() {
                    return Told::Skipped;
                }
                self.on_handle(call, at.index(self.handles.len())).await
            }
            _ => self.without_handle(call).await,
        };
        answer.unwrap_or_else(|error| {
            self.said.push(whole(&error));
            refused(&error)
        })
    }

    async fn without_handle(&mut self, call: &Call) -> Result<Told, SessionError> {
        match call {
            Call::Create => self.handles.push(self.sessions.create()),
            Call::Open(shown) => {
                let Some(text) = self.text(shown) else {
                    return Ok(Told::Skipped);
                };
                self.handles.push(self.sessions.open(&text).await?);
            }
            Call::Verify(shown) => {
                let Some(text) = self.text(shown) else {
                    return Ok(Told::Skipped);
                };
                let claims = self.sessions.verify(&text, None)?;
                let record = self.record(claims.public_id);
                return Ok(Told::Claimed {
                    generation: claims.generation,
                    record,
                });
            }
            Call::List(subject, at) => return self.list(subject.text(), self.own(*at)).await,
            Call::Revoke(subject, at) => {
                let own = self.own(*at).unwrap_or_else(|| "none".into());
                return self.sessions.revoke(subject.text(), &own).await.map(Told::Was);
            }
            Call::RevokeAll(subject) => {
                return self.sessions.revoke_all(subject.text()).await.map(Told::Count);
            }
            _ => return Ok(Told::Skipped),
        }
        Ok(Told::Handle)
    }

    async fn list(&mut self, subject: &str, own: Option<String>) -> Result<Told, SessionError> {
        let (mut listed, mut cursor) = (Vec::new(), None);
        loop {
            let page = self
                .sessions
                .list(
                    subject,
                    PageRequest {
                        current: own.as_deref(),
                        cursor: cursor.as_deref(),
                    },
                )
                .await?;
            for item in page.items {
                let fields = item.fields.into_iter().collect();
                listed.push((self.record(item.public_id), item.current, fields));
            }
            cursor = page.next;
            if cursor.is_none() {
                listed.sort_by_key(|(record, ..)| *record);
                return Ok(Told::Listed(listed));
            }
        }
    }

    /// The reference of a handle's session.
    fn own(&self, at: proptest::sample::Index) -> Option<String> {
        let handle = (!self.handles.is_empty()).then(|| &self.handles[at.index(self.handles.len())])?;
        let details = handle.details().expect("no call is under way");
        (!details.public_id.is_empty()).then_some(details.public_id)
    }

    /// The number of a session, which is that of the model, for both count the first token of each.
    fn record(&mut self, public_id: String) -> usize {
        let known = self.references.iter().position(|known| *known == public_id);
        known.unwrap_or_else(|| {
            self.references.push(public_id);
            self.references.len() - 1
        })
    }

    async fn on_handle(&mut self, call: &Call, at: usize) -> Result<Told, SessionError> {
        let handle = &self.handles[at];
        let granted = match call {
            Call::Drop(_) => {
                drop(self.handles.remove(at));
                return Ok(Told::Done);
            }
            Call::Fork(_) => {
                let forked = handle.fork()?;
                self.handles.push(forked);
                return Ok(Told::Handle);
            }
            Call::Set(_, name, given) => {
                return handle.set_value(name, given.value.clone()).map(|()| Told::Done);
            }
            Call::Update(_, changes) => return handle.update(given(changes)).map(|()| Told::Done),
            Call::Get(_, name) => return handle.get_value(name).map(Told::Value),
            Call::Remove(_, name) => return handle.remove(name).map(Told::Was),
            Call::Pop(_, name) => return handle.pop::<i64>(name).map(Told::Popped),
            Call::Clear(_) => return handle.clear().map(|()| Told::Done),
            Call::Entries(_) => return handle.entries().map(Told::Entries),
            Call::EntriesJson(_) => return handle.entries_json().map(Told::Json),
            Call::Details(_) => return details(handle),
            Call::Touch(_) => return handle.touch().await.map(Told::Was),
            Call::Destroy(_) => return handle.destroy().await.map(|()| Told::Done),
            Call::MakeCsrf(_) => {
                let token = handle.csrf_token()?;
                self.csrf.push(token);
                return Ok(Told::Done);
            }
            Call::CheckCsrf(_, which) => {
                if self.csrf.is_empty() {
                    return Ok(Told::Skipped);
                }
                let token = &self.csrf[which.index(self.csrf.len())];
                return handle.check_csrf_token(token).map(|()| Told::Done);
            }
            Call::CheckCsrfNoise(_, text) => return handle.check_csrf_token(text).map(|()| Told::Done),
            Call::RevokeOthers(_) => return self.sessions.revoke_others(handle).await.map(Told::Count),
            Call::Save(_) => handle.save().await?,
            Call::Rotate(_) => handle.rotate().await?,
            Call::Authenticate(_, subject, keeping) => {
                handle
                    .authenticate_keeping(subject.text(), &keep(keeping))
                    .await?
            }
            Call::Reissue(_) => handle.reissue().await?,
            _ => return Ok(Told::Skipped),
        };
        self.granted(at, granted)
    }

    fn granted(&mut self, at: usize, granted: Grant) -> Result<Told, SessionError> {
        let ends = (NOW.saturating_add(IDLE), NOW.saturating_add(ABSOLUTE));
        assert_eq!((granted.expires_at, granted.ends_at), ends);
        let Some(token) = granted.token else {
            return Ok(Told::Granted(None));
        };
        let claims = self.sessions.verify(&token, None)?;
        assert_eq!(claims.public_id, self.handles[at].details()?.public_id);
        self.record(claims.public_id);
        self.tokens.push(token);
        Ok(Told::Granted(Some(claims.generation)))
    }

    /// What no error may say: whoever reads it could be anybody.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let mut secrets = vec![SECRET.to_owned(), MARK.to_owned()];
        for token in &self.tokens {
            // The mac, and what the id is in: of a compact token its first 16 bytes, less the bits shared with the next.
            let parts: Vec<&str> = token.split('.').collect();
            secrets.push(parts[parts.len() - 1].to_owned());
            secrets.push(parts[parts.len() - 2][..21].to_owned());
        }
        secrets.extend(self.csrf.iter().cloned());
        secrets
    }
}

fn given(changes: &[(String, Option<Given>)]) -> Vec<(String, Option<Value>)> {
    let value = |given: &Option<Given>| given.as_ref().map(|given| given.value.clone());
    changes
        .iter()
        .map(|(name, given)| (name.clone(), value(given)))
        .collect()
}

fn keep(keeping: &Keeping) -> KeepFields {
    match keeping {
        Keeping::Nothing => KeepFields::Nothing,
        Keeping::Everything => KeepFields::Everything,
        Keeping::Named(names) => KeepFields::Named(names.clone()),
    }
}

fn details(handle: &Session) -> Result<Told, SessionError> {
    let details = handle.details()?;
    assert_eq!(handle.is_modified()?, details.modified);
    assert_eq!(handle.subject()?, details.subject);
    Ok(Told::Stands {
        status: details.status,
        generation: details.generation,
        subject: details.subject,
        modified: details.modified,
        touch_due: details.touch_due,
    })
}
