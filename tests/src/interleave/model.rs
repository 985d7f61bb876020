//! What sessions are meant to do, one atomic step after the other: no store, no versions, no retries. The judge of every run.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::calls::{Call, Handle, Progress, Rules, Session, Told, World};

/// How a token stands to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Served.
    Current,
    /// Served, and handed the current one again.
    Unconfirmed,
    /// Served.
    Grace,
    /// A theft signal.
    Reused,
    /// Refused.
    Replaced,
}

/// The table of generations.
pub fn judge(session: &Session, generation: u32, now: u64, grace: u64) -> Standing {
    match (session.previous == Some(generation), session.confirmed_at) {
        _ if generation == session.current => Standing::Current,
        _ if generation < session.floor || generation > session.current => Standing::Replaced,
        (true, None) => Standing::Unconfirmed,
        (true, Some(at)) if now < at + grace => Standing::Grace,
        _ => Standing::Reused,
    }
}

fn is_served(standing: Standing) -> bool {
    matches!(
        standing,
        Standing::Current | Standing::Unconfirmed | Standing::Grace
    )
}

/// All that may come next of a call: each with the world and the handle as they then are.
pub fn next(
    rules: &Rules,
    world: &World,
    handle: &Handle,
    call: &Call,
    at: &Progress,
    now: u64,
) -> Vec<(World, Handle, Progress)> {
    let (mut after, mut held) = (world.clone(), handle.clone());
    let progress = match (call, at) {
        (Call::RevokeAll { subject }, _) => return revoke(world, handle, subject, at),
        (Call::Open { key, generation, .. }, Progress::Ending) => match world.get(key) {
            Some(session) if judge(session, *generation, now, rules.grace) != Standing::Reused => {
                Progress::Ended(Told::Replaced)
            }
            _ => {
                after.remove(key);
                Progress::Ended(Told::Reused)
            }
        },
        (Call::Open { key, generation, .. }, _) => open(rules, world, &mut held, key, *generation, now),
        (Call::Destroy { key, .. }, _) => match world.get(key) {
            None => Progress::Ended(Told::Done),
            Some(session) if is_served(judge(session, held.generation, now, rules.grace)) => {
                after.remove(key);
                Progress::Ended(Told::Done)
            }
            Some(_) => Progress::Ended(Told::Replaced),
        },
        (Call::Login { key, .. }, Progress::Begun) if held.tried && !world.contains_key(key) => {
            // Stored by a try that was not heard of, and ended by others since; or never stored, and stored now.
            let ended = (after.clone(), held.clone(), Progress::Ended(Told::Missing));
            held.tried = false;
            return [next(rules, world, &held, call, at, now), vec![ended]].concat();
        }
        (
            Call::Login {
                key,
                subject,
                handle: name,
                ..
            },
            Progress::Begun,
        ) => {
            let counts = rules.cap.is_some() && held.subject.as_ref() != Some(subject);
            match write(rules, &mut after, &mut held, *name, call, key, now) {
                Told::Token(token) if counts => Progress::Written(token),
                told => Progress::Ended(told),
            }
        }
        (Call::Login { key, subject, .. }, Progress::Written(token)) => {
            let doomed = beyond_cap(rules, world, key, subject);
            if doomed.is_empty() {
                Progress::Ended(Told::Token(*token))
            } else {
                Progress::Evicting(*token, doomed)
            }
        }
        (Call::Login { key, .. }, Progress::Evicting(token, doomed)) => {
            doomed.iter().for_each(|key| drop(after.remove(key)));
            Progress::Ended(if doomed.contains(key) {
                Told::TooMany
            } else {
                Told::Token(*token)
            })
        }
        (
            Call::Save {
                key, handle: name, ..
            }
            | Call::Rotate { key, handle: name }
            | Call::Touch { key, handle: name },
            _,
        ) => Progress::Ended(write(rules, &mut after, &mut held, *name, call, key, now)),
        (Call::Login { .. }, _) => return Vec::new(),
    };
    vec![(after, held, progress)]
}

fn open(rules: &Rules, world: &World, held: &mut Handle, key: &str, generation: u32, now: u64) -> Progress {
    let Some(session) = world.get(key) else {
        return Progress::Ended(Told::Missing);
    };
    match judge(session, generation, now, rules.grace) {
        Standing::Replaced => Progress::Ended(Told::Replaced),
        Standing::Reused if rules.reuse_ends => Progress::Ending,
        Standing::Reused => Progress::Ended(Told::Reused),
        _ => {
            *held = Handle {
                generation,
                subject: session.subject.clone(),
                draft: false,
                tried: false,
            };
            Progress::Ended(Told::Opened {
                subject: session.subject.clone(),
                fields: session.fields.clone(),
            })
        }
    }
}

/// Every call that changes a session and leaves it there.
fn write(
    rules: &Rules,
    after: &mut World,
    held: &mut Handle,
    name: usize,
    call: &Call,
    key: &str,
    now: u64,
) -> Told {
    let mut hands_out = false;
    if held.draft {
        hands_out = true;
        let first = |subject: &String, fields: &BTreeMap<String, String>| Session {
            subject: Some(subject.clone()),
            fields: fields.clone(),
            authenticated_at: Some(now),
            current: 1,
            previous: None,
            floor: 1,
            confirmed_at: Some(now),
            writer: Some(name),
        };
        match (after.get(key), call) {
            // Written before, by a try of which nothing was heard.
            (Some(_), _) => {}
            (None, Call::Login { subject, fields, .. }) => {
                after.insert(key.to_owned(), first(subject, fields));
                *held = Handle {
                    generation: 1,
                    subject: Some(subject.clone()),
                    draft: false,
                    tried: false,
                };
                return Told::Token(1);
            }
            (None, _) => return Told::Odd("only logins are made of drafts here".into()),
        }
    }
    let Some(session) = after.get_mut(key) else {
        return Told::Missing;
    };
    let served = is_served(judge(session, held.generation, now, rules.grace));
    if held.draft || (!served && session.writer == Some(name)) {
        // A login of this very handle of which nothing was heard.
        *held = Handle {
            generation: session.current,
            subject: session.subject.clone(),
            draft: false,
            tried: false,
        };
        hands_out = true;
    }
    let standing = judge(session, held.generation, now, rules.grace);
    if !is_served(standing) || session.subject != held.subject {
        return Told::Replaced;
    }
    let confirms = standing == Standing::Current && session.confirmed_at.is_none();
    if confirms {
        session.confirmed_at = Some(now);
    }
    let mut wrote = confirms;
    match call {
        Call::Save { fields, .. } => {
            session.fields.extend(fields.clone());
            wrote |= !fields.is_empty();
        }
        Call::Rotate { .. } if standing == Standing::Unconfirmed => hands_out = true,
        Call::Rotate { .. } if standing == Standing::Current => {
            let settled = session
                .confirmed_at
                .is_some_and(|at| session.previous.is_none() || now >= at + rules.grace);
            if settled {
                session.previous = Some(session.current);
                session.current += 1;
                session.confirmed_at = None;
                (hands_out, wrote) = (true, true);
            }
        }
        Call::Login { subject, fields, .. } => {
            session.current += 1;
            (session.floor, session.previous) = (session.current, None);
            (session.confirmed_at, session.authenticated_at) = (Some(now), Some(now));
            (session.subject, session.fields) = (Some(subject.clone()), fields.clone());
            *held = Handle {
                generation: session.current,
                subject: Some(subject.clone()),
                draft: false,
                tried: false,
            };
            (hands_out, wrote) = (true, true);
        }
        _ => {}
    }
    if wrote {
        session.writer = Some(name);
    }
    if hands_out {
        Told::Token(session.current)
    } else {
        Told::Done
    }
}

/// Whom the cap ends: the first beyond it by (authenticated, id); of those who came at once each leaves itself to the other.
fn beyond_cap(rules: &Rules, world: &World, own: &str, subject: &str) -> Vec<String> {
    let of_subject = world
        .iter()
        .filter(|(_, session)| session.subject.as_deref() == Some(subject));
    let mut ranked: Vec<(Option<u64>, &String)> = of_subject
        .map(|(key, session)| (session.authenticated_at, key))
        .collect();
    // Ids compare as bytes; a key is the id in base64url.
    ranked.sort_by_key(|(at, key)| (*at, BASE64_URL_SAFE_NO_PAD.decode(key).unwrap_or_default()));
    let cap = rules.cap.unwrap_or(usize::MAX);
    let place = ranked.iter().position(|(_, key)| *key == own);
    let excess = ranked.len().saturating_sub(cap);
    if rules.evicts {
        ranked[..excess]
            .iter()
            .filter(|(_, key)| *key != own)
            .map(|(_, key)| (*key).clone())
            .collect()
    } else if place.is_some_and(|place| place >= cap) {
        vec![own.to_owned()]
    } else {
        Vec::new()
    }
}

/// Ends all that were there when it began, and may end any that was the subject's while it went on.
fn revoke(world: &World, handle: &Handle, subject: &str, at: &Progress) -> Vec<(World, Handle, Progress)> {
    let of_subject = || {
        world
            .iter()
            .filter(|(_, session)| session.subject.as_deref() == Some(subject))
    };
    let keys: BTreeSet<String> = of_subject().map(|(key, _)| key.clone()).collect();
    let step = |world: &World, progress| (world.clone(), handle.clone(), progress);
    let Progress::Revoking { must, may } = at else {
        return vec![step(
            world,
            Progress::Revoking {
                must: keys.clone(),
                may: keys,
            },
        )];
    };
    let mut all = Vec::new();
    if !keys.is_subset(may) {
        let may = may.union(&keys).cloned().collect();
        all.push(step(
            world,
            Progress::Revoking {
                must: must.clone(),
                may,
            },
        ));
    }
    for key in may.iter().filter(|key| world.contains_key(*key)) {
        let mut after = world.clone();
        after.remove(key);
        all.push(step(&after, at.clone()));
    }
    if must.iter().all(|key| !world.contains_key(key)) {
        all.push(step(world, Progress::Ended(Told::Done)));
    }
    all
}
