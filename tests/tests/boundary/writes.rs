//! How the model writes a record: judged on what the handle knows, and once more on what is stored if that is newer.

use tessera::FieldRule;

use super::handle::{check_keeping, check_subject, merged};
use super::model::{Field, Handle, Head, Model, Overlay, Phase, Snapshot, Standing, Token, refuse};
use super::plan::Keeping;
use super::told::Told;
use super::values::{FIELDS, RECORD_BYTES, escaped};

/// The most that a head takes in a record beside its subject.
const ENGINE_BYTES: usize = 512;

#[derive(Clone, Copy)]
pub(crate) enum Intent<'a> {
    Save,
    Rotate,
    Confirm,
    Authenticate(&'a str, &'a Keeping),
}

struct Plan {
    head: Head,
    changed: bool,
    hand_out: bool,
    stand_on: u32,
}

struct Written {
    record: usize,
    snapshot: Snapshot,
    generation: u32,
    token: Option<Token>,
    wrote: bool,
}

impl Model {
    /// Writes, and leaves the handle as it then stands; answers the token's generation, and whether it wrote.
    pub(crate) fn write(&mut self, at: usize, intent: Intent<'_>) -> Result<(Option<u32>, bool), Told> {
        if let Intent::Authenticate(subject, keeping) = intent {
            // Before anything is copied into the component.
            check_subject(subject)?;
            check_keeping(keeping)?;
        }
        let handle = self.handles[at].clone();
        let confirms = matches!(intent, Intent::Confirm);
        let overlay = if confirms {
            Overlay::new()
        } else {
            handle.overlay.clone()
        };
        let written = match &handle.phase {
            Phase::Closed => refuse("closed"),
            Phase::Draft => self.insert(intent, &overlay),
            Phase::Live {
                record,
                base,
                seed,
                generation,
            } => self.replace((*record, *generation), (base, seed), intent, &overlay),
        };
        let written = written.inspect_err(|told| {
            if *told == Told::Refused("missing".into()) {
                self.handles[at].phase = Phase::Closed;
            }
        })?;
        if !confirms || handle.overlay.is_empty() {
            self.handles[at] = Handle {
                phase: Phase::Live {
                    record: written.record,
                    base: written.snapshot.clone(),
                    seed: written.snapshot,
                    generation: written.generation,
                },
                overlay: Overlay::new(),
            };
        } else if let Phase::Live { seed, .. } = &mut self.handles[at].phase {
            // Changes go on waiting, over the fields that they were made on.
            *seed = written.snapshot;
        }
        let generation = written.token.as_ref().map(|token| token.generation);
        self.tokens.extend(written.token);
        Ok((generation, written.wrote))
    }

    fn insert(&mut self, intent: Intent<'_>, overlay: &Overlay) -> Result<Written, Told> {
        let subject = match intent {
            Intent::Authenticate(subject, _) => Some(subject.to_owned()),
            _ => None,
        };
        let head = Head {
            current: 1,
            previous: None,
            floor: 1,
            confirmed: true,
            subject,
        };
        let snapshot = self.compose(head, None, intent, overlay)?;
        if self.is_jwt() && snapshot.head.subject.is_none() {
            return refuse("subject-required");
        }
        let record = self.records.len();
        self.records.push(Some(snapshot.clone()));
        let token = Some(Token {
            record,
            generation: 1,
        });
        Ok(Written {
            record,
            snapshot,
            generation: 1,
            token,
            wrote: true,
        })
    }

    fn replace(
        &mut self,
        (record, generation): (usize, u32),
        (base, seed): (&Snapshot, &Snapshot),
        intent: Intent<'_>,
        overlay: &Overlay,
    ) -> Result<Written, Told> {
        let mut newest = seed.clone();
        // What is refused because of a seed that the changes were not made on may be otherwise by now.
        let mut looks_again = seed.version != base.version;
        loop {
            let plan = self.plan(seed, generation, &newest.head, intent)?;
            let refused = self.check_conflict(base, &newest, overlay).err();
            let refused = refused.or_else(|| {
                self.compose(plan.head.clone(), Some(&newest), intent, overlay)
                    .err()
            });
            if let Some(refused) = refused.filter(|_| plan.changed || !overlay.is_empty()) {
                match &self.records[record] {
                    Some(stored) if std::mem::take(&mut looks_again) && stored.version != newest.version => {
                        newest = stored.clone();
                        continue;
                    }
                    None if looks_again => return refuse("missing"),
                    _ => return Err(refused),
                }
            }
            looks_again = false;
            let (generation, token) = (
                plan.stand_on,
                plan.hand_out.then_some(Token {
                    record,
                    generation: plan.head.current,
                }),
            );
            if !plan.changed && overlay.is_empty() {
                return Ok(Written {
                    record,
                    snapshot: newest,
                    generation,
                    token,
                    wrote: false,
                });
            }
            let next = self.compose(plan.head, Some(&newest), intent, overlay)?;
            match &self.records[record] {
                None => return refuse("missing"),
                Some(stored) if stored.version == newest.version => {
                    self.records[record] = Some(next.clone());
                    return Ok(Written {
                        record,
                        snapshot: next,
                        generation,
                        token,
                        wrote: true,
                    });
                }
                Some(stored) => newest = stored.clone(),
            }
        }
    }

    fn plan(
        &self,
        base: &Snapshot,
        generation: u32,
        newest: &Head,
        intent: Intent<'_>,
    ) -> Result<Plan, Told> {
        let standing = self.judge(newest, generation);
        if !standing.is_served() || newest.subject != base.head.subject {
            return refuse("replaced");
        }
        let mut plan = Plan {
            head: newest.clone(),
            changed: false,
            hand_out: false,
            stand_on: generation,
        };
        let head = &mut plan.head;
        if standing == Standing::Current && !head.confirmed {
            (head.confirmed, plan.changed) = (true, true);
        }
        match intent {
            Intent::Rotate if standing == Standing::Unconfirmed => plan.hand_out = true,
            Intent::Rotate
                if standing == Standing::Current && (head.previous.is_none() || !self.rules.graceful) =>
            {
                head.previous = Some(head.current);
                (head.current, head.confirmed) = (head.current + 1, false);
                (plan.hand_out, plan.changed) = (true, true);
            }
            Intent::Authenticate(subject, _) => {
                head.current += 1;
                (head.floor, head.previous, head.confirmed) = (head.current, None, true);
                head.subject = Some(subject.to_owned());
                (plan.hand_out, plan.changed, plan.stand_on) = (true, true, head.current);
            }
            _ => {}
        }
        Ok(plan)
    }

    fn check_conflict(&self, base: &Snapshot, newest: &Snapshot, overlay: &Overlay) -> Result<(), Told> {
        if self.rules.field_rule == FieldRule::LaterWins || base.version == newest.version {
            return Ok(());
        }
        let text =
            |snapshot: &Snapshot, name: &str| snapshot.fields.get(name).map(|field| field.text.clone());
        let in_conflict = |(name, mine): &(&String, &Option<Field>)| {
            let (mine, theirs) = (mine.as_ref().map(|field| field.text.clone()), text(newest, name));
            theirs != mine && theirs != text(base, name)
        };
        let fields: Vec<String> = overlay
            .iter()
            .filter(in_conflict)
            .map(|(name, _)| serde_json::from_str(&format!("\"{name}\"")).expect("an escaped name"))
            .collect();
        if fields.is_empty() {
            Ok(())
        } else {
            refuse(&format!("conflict: {fields:?}"))
        }
    }

    fn compose(
        &mut self,
        head: Head,
        stored: Option<&Snapshot>,
        intent: Intent<'_>,
        overlay: &Overlay,
    ) -> Result<Snapshot, Told> {
        let survives = |name: &str| match intent {
            Intent::Authenticate(_, Keeping::Nothing) => false,
            Intent::Authenticate(_, Keeping::Named(names)) => names.iter().any(|kept| escaped(kept) == name),
            _ => true,
        };
        let fields = merged(stored.map(|snapshot| &snapshot.fields), overlay, survives);
        if fields.len() > FIELDS {
            return refuse("limit: maximum-fields");
        }
        let bytes: usize = fields
            .iter()
            .map(|(name, field)| name.len() + field.text.len() + 4)
            .sum();
        let subject = head
            .subject
            .as_deref()
            .map_or(0, |subject| escaped(subject).len());
        // The fields' braces and the record's own.
        let braces = if fields.is_empty() { 3 } else { 2 };
        if bytes + braces + subject + ENGINE_BYTES > RECORD_BYTES {
            return refuse("limit: maximum-record-bytes");
        }
        self.version += 1;
        Ok(Snapshot {
            head,
            fields,
            version: self.version,
        })
    }
}
