//! Two releases of the engine over one store, as while services change their release one after the other.
//!
//! There is no second format of records yet. So the next release is made here: this one with the changes of
//! `tests/mutants/next-release.json`, by which it reads and writes a format 2 as well.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::sync::{Arc, OnceLock};

use tessera::store::{MemoryStore, Store as _};
use tessera::{Component, KeepFields, Session, SessionError, Sessions, Timestamp};

#[path = "../examples/mutants/workshop.rs"]
#[expect(dead_code, reason = "some of it is for deliberate faults alone")]
mod workshop;

const SUBJECTS: [&str; 3] = ["alice", "bob", "carol"];

/// The two releases' components, compiled once.
fn components() -> &'static [Component; 2] {
    static COMPONENTS: OnceLock<[Component; 2]> = OnceLock::new();
    COMPONENTS.get_or_init(|| {
        let workshop = workshop::Workshop::new().expect("a copy of the engine");
        let changes = workshop.mutants("next-release.json").expect("the changes");
        workshop.check(&changes).expect("each fits one place");
        let next = workshop.component(&changes.iter().collect::<Vec<_>>());
        [
            Component::embedded().expect("this release"),
            next.expect("the next release"),
        ]
    })
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Release {
    This,
    /// The next, which writes records of this format.
    Next(u32),
}

fn engine(store: &Arc<MemoryStore>, release: Release) -> Sessions {
    let (component, format) = match release {
        Release::This => (&components()[0], 1),
        Release::Next(format) => (&components()[1], format),
    };
    Sessions::builder_with(component.clone())
        .policy(|policy| policy.record_format = format)
        .signing_key("k", [7; 32])
        .build(Arc::clone(store))
        .expect("an engine")
}

fn store() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new())
}

/// A session as it has to be found.
struct Known {
    /// Stands last in its record.
    number: usize,
    token: String,
    subject: &'static str,
    count: u64,
}

/// Random choices that are the same in every run.
struct Choices(u64);

impl Choices {
    fn up_to(&mut self, bound: usize) -> usize {
        // Knuth's constants of a linear congruential generator.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

async fn log_in(engine: &Sessions, subject: &'static str, number: usize) -> Known {
    let session = engine.create();
    session.set("number", &number).expect("set");
    session.set("count", &0).expect("set");
    let grant = session.authenticate(subject).await;
    Known {
        number,
        token: grant.expect("logged in").token.expect("a token"),
        subject,
        count: 0,
    }
}

async fn open(engine: &Sessions, known: &Known) -> Session {
    let session = engine.open(&known.token).await.expect("it opens");
    assert_eq!(session.get::<u64>("count").expect("read"), Some(known.count));
    assert_eq!(
        session.details().expect("known").subject.as_deref(),
        Some(known.subject)
    );
    session
}

/// Each step on a session that another release may have written last, by one of the engines.
async fn work(store: &Arc<MemoryStore>, engines: &[(Release, Sessions)], steps: usize) -> Vec<Known> {
    let (mut choices, mut all) = (Choices(20_261_129), Vec::<Known>::new());
    for step in 0..steps {
        let (release, engine) = &engines[choices.up_to(engines.len())];
        if all.len() < 4 {
            all.push(log_in(engine, SUBJECTS[step % SUBJECTS.len()], step).await);
            continue;
        }
        let which = choices.up_to(all.len());
        let known = &mut all[which];
        let session = open(engine, known).await;
        session.set("count", &(known.count + 1)).expect("set");
        match choices.up_to(8) {
            0 => {
                session.destroy().await.expect("ended");
                let ended = all.swap_remove(which);
                for (_, engine) in engines {
                    let opened = engine.open(&ended.token).await;
                    assert!(matches!(opened, Err(SessionError::Missing)), "{opened:?}");
                }
                continue;
            }
            1 => {
                // None is handed out within the grace of the last.
                let grant = session.rotate().await.expect("renewed");
                known.token = grant.token.unwrap_or_else(|| known.token.clone());
            }
            2 => {
                let kept = KeepFields::Everything;
                let grant = session.authenticate_keeping(known.subject, &kept).await;
                known.token = grant.expect("logged in again").token.expect("a token");
            }
            _ => {
                session.save().await.expect("saved");
            }
        }
        known.count += 1;
        let format = match release {
            Release::This => 1,
            Release::Next(format) => *format,
        };
        assert_eq!(
            format_of(store, known).await,
            format,
            "{release:?} has written it"
        );
    }
    all
}

/// The format of the session's record.
async fn format_of(store: &MemoryStore, known: &Known) -> u32 {
    let page = store.list_owned(Timestamp::now(), known.subject, "", 100).await;
    let end = format!(r#""number":{}}}}}"#, known.number);
    for row in page.expect("listed").rows {
        let entry = store.get(Timestamp::now(), &row.key, true).await.expect("there");
        if entry.value.ends_with(&end) {
            let format = entry
                .value
                .strip_prefix(r#"{"format":"#)
                .and_then(|rest| rest.get(..1));
            return format.expect("a format").parse().expect("a number");
        }
    }
    panic!("the session has no record")
}

async fn each_sees_all(engines: &[(Release, Sessions)], all: &[Known]) {
    for (release, engine) in engines {
        for known in all {
            open(engine, known).await;
        }
        for subject in SUBJECTS {
            let page = engine
                .list(subject, tessera::PageRequest::default())
                .await
                .expect("listed");
            let expected = all.iter().filter(|known| known.subject == subject).count();
            assert_eq!(page.items.len(), expected, "{release:?} lists {subject}");
        }
    }
}

#[tokio::test]
async fn a_release_and_its_successor_serve_every_session_while_both_write_the_older_format() {
    let store = store();
    let engines = [Release::This, Release::Next(1)].map(|release| (release, engine(&store, release)));
    let all = work(&store, &engines, 300).await;
    each_sees_all(&engines, &all).await;
}

#[tokio::test]
async fn once_none_of_the_older_release_is_left_servers_change_the_format_one_after_the_other() {
    let store = store();
    let both = [Release::Next(1), Release::Next(2)].map(|release| (release, engine(&store, release)));
    let all = work(&store, &both, 300).await;
    each_sees_all(&both, &all).await;
}

#[tokio::test]
async fn a_format_of_the_next_release_is_refused_by_this_one_and_nothing_is_lost_by_it() {
    let store = store();
    let (this, next) = (engine(&store, Release::This), engine(&store, Release::Next(2)));
    let old = log_in(&this, "alice", 1).await;
    let new = log_in(&next, "alice", 2).await;
    let refused = this.open(&new.token).await.expect_err("refused");
    assert!(
        matches!(&refused, SessionError::Corrupt { .. }) && refused.to_string().contains("format 2"),
        "{refused}"
    );
    // What it cannot read it leaves alone, and lists what it can.
    assert_eq!(
        this.list("alice", tessera::PageRequest::default())
            .await
            .expect("listed")
            .items
            .len(),
        1
    );
    open(&this, &old).await;
    let session = open(&next, &old).await;
    session.set("count", &1).expect("set");
    session.save().await.expect("saved");
    open(&next, &new).await;
    // So a setting that is changed too early ends nothing through the older release, and everything through the next.
    assert_eq!(this.revoke_all("alice").await.expect("answered"), 0);
    assert_eq!(next.revoke_all("alice").await.expect("revoked"), 2);
    for token in [&old.token, &new.token] {
        assert!(matches!(next.open(token).await, Err(SessionError::Missing)));
    }
}

#[test]
fn a_format_that_a_release_does_not_know_is_refused_as_a_setting() {
    for (format, fits) in [(0, false), (1, true), (2, false), (u32::MAX, false)] {
        let built = Sessions::builder()
            .policy(|policy| policy.record_format = format)
            .signing_key("k", [7; 32])
            .build(MemoryStore::new());
        match built {
            Ok(_) => assert!(fits, "{format}"),
            Err(error) => assert!(!fits && error.to_string().contains("record-format"), "{error}"),
        }
    }
}
