//! Whether a run that has ended is as it should be.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tessera::{Component, ConfigurationError};

use super::calls::{Session, Standing, Told, World};
use super::clients::key_and_generation;
use super::contents::Contents;
use super::explore::worlds;
use super::linear::is_explained;
use super::model::{is_served, judge};
use super::plan::Plan;
use super::run::{Run, Start, Witness};

/// Judges the runs of one plan.
pub struct Judge<'a> {
    plan: &'a Plan,
    start: &'a Start,
    first: World,
    witness: Witness,
}

impl<'a> Judge<'a> {
    /// For runs that start so.
    ///
    /// # Errors
    /// If the component refuses the plan's policy.
    pub fn new(
        plan: &'a Plan,
        component: &Component,
        start: &'a Start,
        first: World,
    ) -> Result<Self, ConfigurationError> {
        Ok(Self {
            plan,
            start,
            first,
            witness: Witness::new(plan, component)?,
        })
    }

    /// How many calls and tokens were found right.
    ///
    /// # Errors
    /// What is wrong.
    pub fn verdict(&self, run: &Run<'_>) -> Result<(u64, u64), String> {
        let (contents, calls) = (run.contents(), run.calls());
        let last = worlds(contents);
        let live = contents
            .records
            .values()
            .filter(|stored| stored.expires_at.as_millis() > 0)
            .count();
        if last.len() != live {
            return Err("a stored record cannot be read".into());
        }
        if let Some(odd) = calls.iter().find(|call| matches!(call.told, Some(Told::Odd(_)))) {
            return Err(format!("an answer that no such call gives: {odd:?}"));
        }
        indexed(contents, &last)?;
        // A store that forgot what it had acknowledged is explained by no order; what holds of it all the same comes below.
        if !self.plan.rolls_back() && !is_explained(&self.plan.rules, &self.first, &calls, &last) {
            return Err("no order of the calls explains what was told and what is stored".into());
        }
        let tokens = self.show_tokens(run, &last)?;
        Ok((calls.len() as u64, tokens))
    }

    /// Shows every token that was handed out, to an engine that has seen nothing of the run.
    fn show_tokens(&self, run: &Run<'_>, last: &World) -> Result<u64, String> {
        let mut tokens = run.tokens();
        tokens.push(self.start.token.clone());
        let mut contents = run.contents().clone();
        let mut served: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
        for granted in &tokens {
            let (key, generation) = key_and_generation(&granted.token);
            if self.plan.rules.reuse_ends {
                // A token that was stolen has ended the session for the next one.
                contents.clone_from(run.contents());
            }
            let told = self.witness.open(&mut contents, &granted.token, run.now());
            if let Told::Opened { subject, .. } = &told {
                served.entry(key.clone()).or_default().insert(generation);
                if *subject != granted.subject {
                    return Err(format!(
                        "a token given to {:?} opens a session of {subject:?}",
                        granted.subject
                    ));
                }
            }
            if self.plan.rolls_back() {
                if told == Told::Reused {
                    return Err("a store that went back made a token look stolen".into());
                }
                continue;
            }
            let now = run.now().unsigned_abs();
            let expected = last
                .get(&key)
                .map(|session| judge(session, generation, now, self.plan.rules.grace));
            let fits = match told {
                Told::Missing => expected.is_none(),
                Told::Replaced => expected == Some(Standing::Replaced),
                Told::Reused => expected == Some(Standing::Reused),
                Told::Opened { .. } => expected.is_some_and(is_served),
                _ => false,
            };
            if !fits {
                return Err(format!(
                    "a token of generation {generation} is told {told:?} where it stands as {expected:?}"
                ));
            }
        }
        match served.values().find(|generations| generations.len() > 2) {
            Some(generations) => Err(format!(
                "{} generations of one session are served",
                generations.len()
            )),
            None => Ok(tokens.len() as u64),
        }
    }
}

/// Every session of an owner stands in the owner's index.
fn indexed(contents: &Contents, world: &World) -> Result<(), String> {
    let lost = world.iter().find(|(key, session)| {
        session
            .subject
            .as_ref()
            .is_some_and(|subject| !contents.index.contains(&(subject.clone(), (*key).clone())))
    });
    match lost {
        None => Ok(()),
        Some((_, session)) => Err(format!("a session of {:?} is in no index", session.subject)),
    }
}

/// A stored record in the model's words; nothing if it is none.
pub fn record(text: &str) -> Option<Session> {
    let record: Value = serde_json::from_str(text).ok()?;
    let counter = |name: &str| Some(record.get(name)?.get(0)?.as_u64()? as u32);
    let fields = record.get("fields")?.as_object()?;
    Some(Session {
        subject: record.get("subject")?.as_str().map(str::to_owned),
        fields: fields
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect(),
        authenticated_at: record.get("authenticated")?.as_u64(),
        current: counter("generation")?,
        previous: counter("previous"),
        floor: counter("floor")?,
        confirmed_at: record.get("confirmed")?.as_u64(),
        writer: None,
    })
}
