//! The specification of sessions, as atomic steps without store, versions or retries. Every run is compared with it.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::calls::{Call, Handle, Progress, Rules, Session, Standing, Told, World};

/// The maximum number of tries of an eviction to end one session.
const EVICTION_TRIES: u32 = 3;

/// Classifies a token by its generation.
pub fn judge(session: &Session, generation: u32, now: u64, grace: u64) -> Standing {
    match (session.previous == Some(generation), session.confirmed_at) {
        _ if generation == session.current => Standing::Current,
        _ if generation < session.floor || generation > session.current => Standing::Replaced,
        (true, None) => Standing::Unconfirmed,
        (true, Some(at)) if now < at + grace => Standing::Grace,
        _ => Standing::Reused,
    }
}

/// Whether a token with this status opens the session.
pub fn is_served(standing: Standing) -> bool {
    !matches!(standing, Standing::Reused | Standing::Replaced)
}

/// The world, the handle and the progress of the call after a step.
pub type Next = (World, Handle, Progress);

/// Returns all possible next steps of a call.
pub fn next(rules: &Rules, world: &World, held: &Handle, call: &Call, at: &Progress, now: u64) -> Vec<Next> {
    let (mut after, mut handle) = (world.clone(), held.clone());
    let key = call.key().unwrap_or_default();
    let session = world.get(key);
    let stands = |generation| session.map(|session| judge(session, generation, now, rules.grace));
    let told = match (call, at) {
        (Call::RevokeAll { subject }, _) => return revoke(world, held, subject, at),
        (Call::Open { generation, .. }, Progress::Begun) => match (session, stands(*generation)) {
            (Some(session), Some(standing)) if is_served(standing) => {
                handle = Handle::on(session, *generation);
                let (subject, fields) = (session.subject.clone(), session.fields.clone());
                Told::Opened { subject, fields }
            }
            (_, Some(Standing::Reused)) if rules.reuse_ends => {
                return vec![(after, handle, Progress::Ending)];
            }
            (_, Some(Standing::Reused)) => Told::Reused,
            (_, Some(_)) => Told::Replaced,
            (_, None) => Told::Missing,
        },
        (Call::Open { generation, .. }, _) => match stands(*generation) {
            None | Some(Standing::Reused) => {
                after.remove(key);
                Told::Reused
            }
            Some(_) => Told::Replaced,
        },
        (Call::Revoke { subject, .. }, _) => match session.filter(|session| is_of(session, subject)) {
            Some(_) => {
                after.remove(key);
                Told::Done
            }
            None => Told::Missing,
        },
        (Call::Destroy { .. }, _) => match stands(held.generation) {
            Some(standing) if !is_served(standing) => Told::Replaced,
            _ => {
                after.remove(key);
                Told::Done
            }
        },
        // Either an earlier try stored the draft and another call ended it, or the draft was never stored and is stored now.
        (Call::Login { .. }, Progress::Begun) if held.tried && session.is_none() => {
            let ended = (after, handle.clone(), Progress::Ended(Told::Missing));
            handle.tried = false;
            return [next(rules, world, &handle, call, at, now), vec![ended]].concat();
        }
        (Call::Login { subject, .. }, Progress::Begun) => {
            let counts = rules.cap.is_some() && held.subject.as_ref() != Some(subject);
            match write(rules, &mut after, &mut handle, call, key, now) {
                Told::Token(token) if counts => return vec![(after, handle, Progress::Written(token))],
                told => told,
            }
        }
        (Call::Login { subject, .. }, Progress::Written(token)) => {
            let ranked = |key: String| {
                let session = world[&key].clone();
                (key, session)
            };
            let doomed = beyond_cap(rules, world, key, subject);
            let doomed = doomed.into_iter().map(ranked).collect();
            return vec![(after, handle, Progress::Evicting(*token, doomed))];
        }
        (Call::Login { .. }, Progress::Evicting(token, doomed)) => {
            let told = match doomed.iter().any(|(doomed, _)| doomed == key) {
                true => Told::TooMany,
                false => Told::Token(*token),
            };
            let doomed = Doomed {
                rules,
                call,
                ranked: doomed,
            };
            after = doomed.end(world, u32::MAX);
            // A session whose generations changed at each try is left to the next login.
            let left = doomed.end(world, EVICTION_TRIES);
            let mut all = vec![(after, handle.clone(), Progress::Ended(told.clone()))];
            if rules.evicts && left != all[0].0 {
                all.push((left, handle.clone(), Progress::Ended(told)));
            }
            // Sessions that changed since they were ranked end after the others, because each try reads the store again.
            let first = doomed.end(world, 1);
            if rules.evicts && first != *world && first != all[0].0 {
                let mut rest = doomed.ranked.to_vec();
                rest.retain(|(key, _)| first.contains_key(key));
                all.push((first, handle, Progress::Evicting(*token, rest)));
            }
            return all;
        }
        _ => write(rules, &mut after, &mut handle, call, key, now),
    };
    vec![(after, handle, Progress::Ended(told))]
}

/// The sessions that a login must end, as they were ranked.
struct Doomed<'a> {
    rules: &'a Rules,
    call: &'a Call,
    ranked: &'a [(String, Session)],
}

impl Doomed<'_> {
    /// The world without them, except those whose generations have changed at least this number of times since.
    fn end(&self, world: &World, changes: u32) -> World {
        let Call::Login { subject, .. } = self.call else {
            return world.clone();
        };
        // A session that has changed to another subject is kept. If the oldest is evicted, so is one with a later login.
        let is_ended = |key: &String, session: &Session| {
            let ranked = self.ranked.iter().find(|(doomed, _)| doomed == key);
            ranked.is_some_and(|(_, before)| {
                let is_as_ranked = !self.rules.evicts || before.floor == session.floor;
                is_of(session, subject) && is_as_ranked && session.changes_since(before) < changes
            })
        };
        let mut left = world.clone();
        left.retain(|key, session| !is_ended(key, session));
        left
    }
}

/// Applies a call that changes a session without ending it.
fn write(rules: &Rules, after: &mut World, held: &mut Handle, call: &Call, key: &str, now: u64) -> Told {
    let name = call.handle().unwrap_or_default();
    let Some(session) = after.get_mut(key) else {
        return match call {
            Call::Login { subject, fields, .. } if held.draft => {
                let session = Session::logged_in(subject, fields, now, name);
                *held = Handle::on(&session, session.current);
                after.insert(key.to_owned(), session);
                Told::Token(1)
            }
            _ => Told::Missing,
        };
    };
    let stands = |session: &Session, held: &Handle| judge(session, held.generation, now, rules.grace);
    let mut hands_out = false;
    if held.draft || is_own_login(session, held, name) {
        // Written by an earlier call of the same handle whose result was lost.
        *held = Handle::on(session, session.current);
        hands_out = true;
    }
    let standing = stands(session, held);
    if !is_served(standing) || session.subject != held.subject {
        return Told::Replaced;
    }
    let mut wrote = standing == Standing::Current && session.confirmed_at.is_none();
    if wrote {
        session.confirmed_at = Some(now);
    }
    let settled = |at| session.previous.is_none() || now >= at + rules.grace;
    match call {
        Call::Save { fields, .. } => {
            session.fields.extend(fields.clone());
            wrote |= !fields.is_empty();
        }
        Call::Rotate { .. } if standing == Standing::Unconfirmed => hands_out = true,
        Call::Rotate { .. } if standing == Standing::Current && session.confirmed_at.is_some_and(settled) => {
            session.previous = Some(session.current);
            session.current += 1;
            session.confirmed_at = None;
            (hands_out, wrote) = (true, true);
        }
        Call::Login { subject, fields, .. } => {
            let current = session.current + 1;
            *session = Session::logged_in(subject, fields, now, name);
            (session.current, session.floor) = (current, current);
            *held = Handle::on(session, current);
            (hands_out, wrote) = (true, true);
        }
        _ => {}
    }
    if wrote {
        session.writer = Some(name);
    }
    match hands_out {
        true => Told::Token(session.current),
        false => Told::Done,
    }
}

/// Whether the newest generation comes from a login of the same handle whose result was lost.
///
/// A renewal does not count, so that a handle whose grace is over receives no token of the next generation.
fn is_own_login(session: &Session, held: &Handle, name: usize) -> bool {
    let logged_in = session.previous.is_none() && session.floor == session.current;
    logged_in && session.current > held.generation && session.writer == Some(name)
}

/// The sessions beyond the cap, ranked by (authenticated, id). A login that evicts never ends its own session; otherwise it
/// can end only that one.
fn beyond_cap(rules: &Rules, world: &World, own: &str, subject: &str) -> Vec<String> {
    let mut ranked = of_subject(world, subject);
    // Ids compare as bytes; a key is the id in base64url.
    let id = |key: &String| BASE64_URL_SAFE_NO_PAD.decode(key).unwrap_or_default();
    ranked.sort_by_key(|key| (world[key].authenticated_at, id(key)));
    let cap = rules.cap.map_or(ranked.len(), |cap| cap.min(ranked.len()));
    let newest = ranked.split_off(if rules.evicts { ranked.len() - cap } else { cap });
    let mut beyond = if rules.evicts { ranked } else { newest };
    beyond.retain(|key| (key == own) != rules.evicts);
    beyond
}

fn is_of(session: &Session, subject: &str) -> bool {
    session.subject.as_deref() == Some(subject)
}

fn of_subject(world: &World, subject: &str) -> Vec<String> {
    let key = |(key, session): (&String, &Session)| is_of(session, subject).then(|| key.clone());
    world.iter().filter_map(key).collect()
}

/// Takes a step of a revocation. It ends all sessions that existed at its beginning and still do, and may end any that
/// became the subject's since.
fn revoke(world: &World, held: &Handle, subject: &str, at: &Progress) -> Vec<Next> {
    let keys: BTreeSet<String> = of_subject(world, subject).into_iter().collect();
    let Progress::Revoking { must, may } = at else {
        let (must, may) = (keys.clone(), keys);
        return vec![(world.clone(), held.clone(), Progress::Revoking { must, may })];
    };
    let mut all = Vec::new();
    if !keys.is_subset(may) {
        let (must, may) = (must.clone(), may | &keys);
        all.push((world.clone(), held.clone(), Progress::Revoking { must, may }));
    }
    for key in may.iter().filter(|key| keys.contains(*key)) {
        let mut after = world.clone();
        after.remove(key);
        all.push((after, held.clone(), at.clone()));
    }
    if must.is_disjoint(&keys) {
        all.push((world.clone(), held.clone(), Progress::Ended(Told::Done)));
    }
    all
}
