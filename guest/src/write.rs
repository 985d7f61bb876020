//! The one way in which a session's record is written: judge, compose, compare and swap, and again if others came first.

use std::cell::Cell;
use std::rc::Rc;

use tessera_contract::Value;
use tessera_contract::index::Index;

use crate::author::Author;
use crate::call::{Call, Swap};
use crate::engine::{Engine, Found};
use crate::error::{Error, Kind};
use crate::form::{self, escape};
use crate::generation::{Generation, Generations, Standing};
use crate::json::{self, Scanner};
use crate::moments::Moments;
use crate::overlay::Overlay;
use crate::policy::FieldRule;
use crate::ports::{Condition, Expected, Placement};
use crate::record::{self, Head, Writes};
use crate::session::{Grant, Live};
use crate::snapshot::{Snapshot, Survivors};
use crate::token::{self, Claims, Minted, SessionId};

/// How often a write is tried before it is given up as contended.
const ATTEMPTS: usize = 8;
/// How often a login is: its cap asks questions as well, and a call has only so many.
const LOGIN_ATTEMPTS: usize = 6;
/// How often a session is to move: each time takes more questions.
const MOVE_ATTEMPTS: usize = 4;
/// For how long a write is tried again, in milliseconds.
const RETRY_WINDOW_MS: u64 = 25_000;

/// Why a record is written.
#[derive(Clone, Copy)]
pub(crate) enum Intent<'a> {
    /// To store changes; renews where the policy says it is time.
    Save,
    /// To renew the token.
    Rotate,
    /// To note that a renewed token arrived, and slide the idle expiry.
    Confirm,
    /// To log a subject in.
    Authenticate {
        subject: &'a str,
        survivors: &'a Survivors,
    },
}

/// What the caller saw of the record when it made its changes.
pub(crate) struct Base<'a> {
    /// Its version; `None` where there are no changes to compare.
    version: Option<u64>,
    /// Its fields, where the record that was read first has another version.
    fields: Option<(&'a str, Index)>,
}

impl<'a> Base<'a> {
    /// # Errors
    /// `InvalidArgument` if the fields are not those of a record.
    pub(crate) fn new(version: u64, fields: Option<&'a str>) -> Result<Self, Error> {
        let index = |fields: &'a str| {
            let mut scanner = Scanner::new(fields);
            let index = Index::read(fields, &mut scanner).and_then(|index| scanner.end().map(|()| index));
            match index {
                Ok(index) => Ok((fields, index)),
                Err(_) => Err(Error::about(
                    Kind::InvalidArgument,
                    "base",
                    "is not the object of a record's fields",
                )),
            }
        };
        Ok(Self {
            version: Some(version),
            fields: fields.map(index).transpose()?,
        })
    }

    /// Of a write without changes.
    pub(crate) fn none() -> Self {
        Self {
            version: None,
            fields: None,
        }
    }
}

/// What a write is made from; nothing of it but the time changes while it goes on.
pub(crate) struct Write<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) call: &'a Call<'a>,
    pub(crate) author: &'a Author,
    pub(crate) intent: Intent<'a>,
    pub(crate) overlay: &'a Overlay,
    /// The time of this try: the clock is read again before each, so that nothing is written after its grace.
    pub(crate) now: Cell<u64>,
}

/// How a write ended.
pub(crate) struct Ended {
    pub(crate) live: Live,
    pub(crate) grant: Grant,
    pub(crate) wrote: bool,
}

/// What the next record's head will be, and whom to hand a token.
struct Plan {
    head: Head,
    /// Whether the generations, and so the head, differ from those it came from.
    changed: bool,
    hand_out: Option<Generation>,
    /// The generation that the handle stands on afterwards.
    stand_on: Generation,
}

impl Plan {
    /// Whether all tokens of the record from before are dead.
    fn logs_in(&self, before: &Snapshot) -> bool {
        self.head.generations.floor != before.head.generations.floor
    }
}

impl<'a> Write<'a> {
    fn moments(&self) -> Moments {
        Moments::at(self.now.get())
    }

    /// Whether nothing of what is stored survives: then only the generations matter, whatever was saved meanwhile.
    fn drops_all(&self) -> bool {
        matches!(self.survivors(), Survivors::Nothing)
    }

    /// Stores a draft for the first time.
    #[inline(never)]
    pub(crate) fn insert(&self) -> Result<Ended, Error> {
        let (plan, author) = (self.plan_first(), self.author);
        let id = author.id();
        let (next, minted) = self.compose(id, &plan, None)?;
        let expires_at = self.expires_at(&plan.head, 0);
        let key = self.engine.key(id);
        let owner = plan.head.subject.as_deref();
        let guard = author.guard(0);
        let at = Placement {
            owner,
            previous_owner: None,
            guard: Some(guard),
            expires_at,
            ends_at: plan.head.ends_at,
        };
        match self.call.insert(&key, next.text(), &at)? {
            Swap::Done(version) => {
                let live = Live::found(plan.stand_on, written(next, version, guard, expires_at));
                Ok(self.adopt(&plan, live, minted))
            }
            Swap::Missing => Err(Error::because(
                Kind::Other,
                "the store answered missing to an insert",
            )),
            Swap::Stale => {
                // The id is 128 random bits: what is there can only be what an earlier try of this handle wrote.
                let found = self
                    .engine
                    .find(self.call, id, true, &self.moments())?
                    .ok_or(Kind::Missing)?;
                if !author.wrote(&found.snapshot.head) {
                    return Err(Error::because(
                        Kind::Other,
                        "the random source repeated a session id",
                    ));
                }
                let live = Live::found(found.snapshot.head.generations.current, found);
                if live.snapshot.head.writes.contains(author.write_id()) {
                    return Ok(self.adopt(&plan, live, minted));
                }
                // It is ours alone: no token of it was ever handed out.
                self.replace_with(&live, &Base::none(), true)
            }
        }
    }

    /// Stores changes over a record that was read.
    pub(crate) fn replace(&self, live: &Live, base: &Base<'_>) -> Result<Ended, Error> {
        self.replace_with(live, base, false)
    }

    #[inline(never)]
    fn replace_with(&self, live: &Live, base: &Base<'_>, hand_out: bool) -> Result<Ended, Error> {
        let (mut own, mut hand_out) = (live.clone(), hand_out);
        let mut found = Found {
            snapshot: Rc::clone(&live.snapshot),
            guard: live.guard,
            expires_at: live.expires_at,
        };
        let (began, attempts) = (self.now.get(), self.attempts());
        for attempt in 1..=attempts {
            let newest = &found.snapshot;
            if self.is_own_login(&own, &newest.head) {
                own.shown.generation = newest.head.generations.current;
                own.snapshot = Rc::clone(newest);
                // Nobody holds its token yet.
                hand_out = true;
            }
            let mut plan = self.plan(&own, &newest.head)?;
            if hand_out && plan.hand_out.is_none() {
                plan.hand_out = Some(plan.head.generations.current);
            }
            if let Err(error) = self.check_conflict(base, &live.snapshot, newest) {
                found = self.look_again(error, attempt, base, newest)?;
                continue;
            }
            if !plan.changed && self.overlay.is_empty() {
                let minted = self.mint(&plan, newest)?;
                return Ok(Ended {
                    wrote: false,
                    ..self.adopt(&plan, own.over(found), minted)
                });
            }
            let author = self.author;
            let id = self.next_id(&plan, newest)?;
            let (next, minted) = match self.compose(id, &plan, Some(newest)) {
                Ok(composed) => composed,
                Err(error) => {
                    found = self.look_again(error, attempt, base, newest)?;
                    continue;
                }
            };
            let at = Placement {
                owner: plan.head.subject.as_deref(),
                previous_owner: newest.head.subject.as_deref(),
                // Whatever else is written, the guard says whether the generations are still the same.
                guard: plan.changed.then(|| author.guard(attempt)),
                expires_at: self.expires_at(&plan.head, found.expires_at),
                ends_at: plan.head.ends_at,
            };
            let swap = if id == newest.id {
                let expected = if self.drops_all() {
                    Expected::Guard(found.guard)
                } else {
                    Expected::Version(newest.version)
                };
                self.call
                    .replace(&self.engine.key(id), next.text(), expected, &at)?
            } else {
                self.move_on(&plan, &next, &at, newest)?
            };
            let again = match swap {
                Swap::Done(version) => {
                    let guard = at.guard.unwrap_or(found.guard);
                    let found = written(next, version, guard, at.expires_at);
                    return Ok(self.adopt(&plan, own.over(found), minted));
                }
                Swap::Missing => None,
                Swap::Stale => self.engine.find(self.call, newest.id, true, &self.moments())?,
            };
            if let Some(found) = &again
                && found.snapshot.head.writes.contains(author.write_id())
            {
                return Ok(self.adopt(&plan, own.over(found.clone()), minted));
            }
            if id != newest.id {
                // Nobody holds a token of what was written under the new id. But others may have renewed to it.
                if let (true, Some(guard)) = (again.is_none() || plan.logs_in(newest), at.guard) {
                    self.call.delete(&self.engine.key(id), Condition::Guard(guard))?;
                }
                if attempt == MOVE_ATTEMPTS {
                    break;
                }
            }
            found = again.ok_or(Kind::Missing)?;
            if attempt == attempts {
                break;
            }
            self.now.set(self.call.now()?);
            if self.now.get().saturating_sub(began) > RETRY_WINDOW_MS {
                break;
            }
        }
        Err(Kind::Contended.into())
    }

    /// The newest record, where a first try was judged on another than the caller saw: that was what the host has seen last, and
    /// what others have stored there may be gone. A refusal because of it would be told for as long as the host begins with it.
    fn look_again(
        &self,
        error: Error,
        attempt: usize,
        base: &Base<'_>,
        judged: &Snapshot,
    ) -> Result<Found, Error> {
        let is_of_fields = matches!(error.kind(), Kind::Conflict | Kind::LimitExceeded);
        let is_seen = base.version.is_none_or(|seen| seen == judged.version);
        if attempt > 1 || !is_of_fields || is_seen {
            return Err(error);
        }
        let newest = self.engine.find(self.call, judged.id, true, &self.moments())?;
        let newest = newest.ok_or(Kind::Missing)?;
        if newest.snapshot.version == judged.version {
            return Err(error);
        }
        self.now.set(self.call.now()?);
        Ok(newest)
    }

    /// Whether the newest generation comes from a login of this session whose answer was lost: it is what the session stands on.
    fn is_own_login(&self, own: &Live, newest: &Head) -> bool {
        let Generations {
            current,
            previous,
            floor,
            ..
        } = newest.generations;
        previous.is_none()
            && floor == current
            && current.counter > own.shown.generation.counter
            && self.author.wrote_last(newest)
    }

    fn attempts(&self) -> usize {
        match self.intent {
            Intent::Authenticate { .. } => LOGIN_ATTEMPTS,
            _ => ATTEMPTS,
        }
    }

    /// Where the next record lies. A store that compares nothing could lose a new generation to a save that has not seen it,
    /// and show the old one for a while: there, each gets an id of its own.
    fn next_id(&self, plan: &Plan, newest: &Snapshot) -> Result<SessionId, Error> {
        let generations = &newest.head.generations;
        Ok(
            if self.engine.store.compare_and_swap || plan.head.generations.current == generations.current {
                newest.id
            } else if plan.logs_in(newest) {
                SessionId(self.call.random()?)
            } else {
                newest.id.moved(newest.version)
            },
        )
    }

    /// Writes a record under its new id, and then what ends the old one: after a login it is dead, after a renewal it leads on.
    #[inline(never)]
    fn move_on(
        &self,
        plan: &Plan,
        next: &Snapshot,
        at: &Placement<'_>,
        old: &Snapshot,
    ) -> Result<Swap, Error> {
        let first = Placement {
            previous_owner: None,
            ..*at
        };
        let inserted = self.call.insert(&self.engine.key(next.id), next.text(), &first)?;
        let logs_in = plan.logs_in(old);
        if logs_in && !matches!(inserted, Swap::Done(_)) {
            // The id was drawn for it: only an earlier try of the store's own client can be there.
            return Ok(Swap::Stale);
        }
        let way = record::moved(next.id);
        // An end that comes forward tells the store that this is the last of the old record.
        let (value, end) = if logs_in {
            (old.text(), 0)
        } else {
            (way.as_str(), old.head.ends_at - 1)
        };
        let last = Placement {
            owner: None,
            previous_owner: at.previous_owner,
            guard: None,
            expires_at: end,
            ends_at: end,
        };
        let ended = self.call.replace(
            &self.engine.key(old.id),
            value,
            Expected::Version(old.version),
            &last,
        )?;
        Ok(match ended {
            Swap::Done(_) if logs_in => inserted,
            // Others may have renewed the same record: where it leads now counts.
            Swap::Done(_) => Swap::Stale,
            refused => refused,
        })
    }

    /// The head of a session that was never stored.
    fn plan_first(&self) -> Plan {
        let now = self.now.get();
        let generations = Generations::first(now);
        let mut head = Head {
            format: self.engine.policy.record_format,
            created_at: now,
            authenticated_at: None,
            ends_at: now + self.engine.policy.absolute_timeout_ms,
            subject: None,
            generations,
            writes: Writes::default(),
        };
        if let Intent::Authenticate { subject, .. } = self.intent {
            head.subject = Some(subject.to_owned());
            head.authenticated_at = Some(now);
        }
        let current = generations.current;
        Plan {
            head,
            changed: true,
            hand_out: Some(current),
            stand_on: current,
        }
    }

    /// Judges the newest record and says what the write makes of its head.
    #[inline(never)]
    fn plan(&self, live: &Live, newest: &Head) -> Result<Plan, Error> {
        let (now, policy, moments) = (self.now.get(), &self.engine.policy, self.moments());
        let grace = policy.rotation_grace_ms;
        if moments.is_past(newest.ends_at) {
            return Err(Kind::Expired.into());
        }
        let standing = newest.generations.judge(live.shown.generation, &moments, grace);
        if !standing.is_served() || newest.subject != live.snapshot.head.subject {
            return Err(Kind::Replaced.into());
        }
        let mut plan = Plan {
            head: newest.clone(),
            changed: false,
            hand_out: None,
            stand_on: live.shown.generation,
        };
        let generations = &mut plan.head.generations;
        if standing == Standing::Current && generations.confirmed_at.is_none() {
            generations.confirmed_at = Some(now);
            plan.changed = true;
        }
        let renews = match self.intent {
            Intent::Rotate => true,
            Intent::Save => renewal_due(generations, policy.renew_interval_ms, standing, &moments),
            Intent::Confirm | Intent::Authenticate { .. } => false,
        };
        if renews {
            match standing {
                Standing::Current if generations.is_settled(&moments, grace) => {
                    *generations = generations.renewed(now).ok_or_else(counter_spent)?;
                    plan.hand_out = Some(generations.current);
                    plan.changed = true;
                }
                // The new token may never have arrived: it is made once more from the record.
                Standing::PreviousUnconfirmed => plan.hand_out = Some(generations.current),
                _ => {}
            }
        }
        if let Intent::Authenticate { subject, .. } = self.intent {
            *generations = generations.authenticated(now).ok_or_else(counter_spent)?;
            plan.hand_out = Some(generations.current);
            plan.stand_on = generations.current;
            plan.changed = true;
            plan.head.subject = Some(subject.to_owned());
            plan.head.authenticated_at = Some(now);
            plan.head.ends_at = now + policy.absolute_timeout_ms;
        }
        Ok(plan)
    }

    fn survivors(&self) -> &Survivors {
        match self.intent {
            Intent::Authenticate { survivors, .. } => survivors,
            _ => &Survivors::Everything,
        }
    }

    /// Makes the next record and the token to hand out, so that what could fail for their size fails before the write.
    #[inline(never)]
    fn compose(
        &self,
        id: SessionId,
        plan: &Plan,
        base: Option<&Snapshot>,
    ) -> Result<(Snapshot, Option<Minted>), Error> {
        let policy = &self.engine.policy;
        let mut head = plan.head.clone();
        head.format = policy.record_format;
        head.writes.push(self.author.write_id());
        let (fields, bytes) = (policy.maximum_fields, policy.maximum_record_bytes);
        let next = Snapshot::compose(id, head, base, self.survivors(), self.overlay, fields, bytes)?;
        let minted = self.mint(plan, &next)?;
        Ok((next, minted))
    }

    fn mint(&self, plan: &Plan, fields: &Snapshot) -> Result<Option<Minted>, Error> {
        let Some(generation) = plan.hand_out else {
            return Ok(None);
        };
        mint(self.engine, generation, &plan.head, fields, self.now.get()).map(Some)
    }

    /// An expiry never moves earlier, but for an authentication, which starts anew.
    fn expires_at(&self, head: &Head, before: u64) -> u64 {
        let slid = self.now.get() + self.engine.policy.idle_timeout_ms;
        let expires_at = match self.intent {
            Intent::Authenticate { .. } => slid,
            _ => slid.max(before),
        };
        expires_at.min(head.ends_at)
    }

    /// Under the field rule `conflict`: fields that we and others have changed differently.
    #[inline(never)]
    fn check_conflict(&self, base: &Base<'_>, first: &Snapshot, newest: &Snapshot) -> Result<(), Error> {
        let seen = base.version.unwrap_or(newest.version);
        // Where nothing stored survives there is nothing to conflict with.
        let is_unlike = seen != newest.version && !self.drops_all();
        if self.engine.policy.field_rule == FieldRule::LaterWins || !is_unlike {
            return Ok(());
        }
        let before = |name: &str| match &base.fields {
            _ if first.version == seen => Some(first.raw(name)),
            Some((text, index)) => Some(index.raw(text, name)),
            None => None,
        };
        let fields: Vec<String> = self
            .overlay
            .iter()
            .filter(|(name, mine)| {
                let theirs = newest.raw(name);
                theirs != *mine && before(name) != Some(theirs)
            })
            .map(|(name, _)| json::unescape(name).into_owned())
            .collect();
        if fields.is_empty() {
            Ok(())
        } else {
            Err(Error::conflict(&fields))
        }
    }

    /// The record is written, whether we were told so or found it out.
    #[inline(never)]
    fn adopt(&self, plan: &Plan, mut live: Live, minted: Option<Minted>) -> Ended {
        live.shown.generation = plan.stand_on;
        // A client that authenticated has a new token for certain; a renewed one may never arrive.
        if let Some(minted) = &minted
            && plan.hand_out == Some(plan.stand_on)
        {
            (live.shown.issued_at, live.shown.token_expires_at) = (minted.issued_at, minted.expires_at);
        }
        let grant = Grant {
            token: minted.map(|minted| minted.text),
            expires_at: live.expires_at,
            ends_at: live.snapshot.head.ends_at,
        };
        Ended {
            live,
            grant,
            wrote: true,
        }
    }
}

fn written(mut next: Snapshot, version: u64, guard: u64, expires_at: u64) -> Found {
    next.version = version;
    Found {
        snapshot: Rc::new(next),
        guard,
        expires_at,
    }
}

/// Whether the policy asks for a new token, by who shows the old one.
pub(crate) fn renewal_due(
    generations: &Generations,
    interval: Option<u64>,
    standing: Standing,
    moments: &Moments,
) -> bool {
    let Some(interval) = interval else { return false };
    match standing {
        Standing::Current => moments.is_past(generations.current.raised_at.saturating_add(interval)),
        Standing::PreviousUnconfirmed => true,
        _ => false,
    }
}

/// Makes a token of a session.
pub(crate) fn mint(
    engine: &Engine,
    generation: Generation,
    head: &Head,
    fields: &Snapshot,
    now: u64,
) -> Result<Minted, Error> {
    let mut data = Vec::new();
    for name in &engine.policy.token_fields {
        if let Some(raw) = fields.raw(&escape(name))
            && let Some(Value::Text(text)) = form::decode(raw)
        {
            data.push((name.clone(), text));
        }
    }
    let subject = head.subject.as_deref();
    let claims = Claims {
        id: fields.id,
        generation,
        now,
        ends_at: head.ends_at,
        subject,
        data: &data,
    };
    token::mint(&claims, &engine.policy, &engine.ring)
}

fn counter_spent() -> Error {
    Error::because(Kind::Other, "the session's generation counter is spent")
}
