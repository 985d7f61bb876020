//! Saves that start from an outdated seed.

#![expect(clippy::unwrap_used, reason = "what a test prepares with goes well")]

mod fixture;

use tessera_guest::call::Call;
use tessera_guest::error::Kind;
use tessera_guest::policy::{FieldRule, Policy};
use tessera_guest::session::{self, Writing};
use tessera_guest::view::Written;

use fixture::Fixture;

const NOW: u64 = 1_767_225_600_000;

/// A session that was opened with `a` = 1, whose saves meet concurrent ones.
struct Stage {
    fixture: Fixture,
    policy: Policy,
    handle: String,
    key: String,
}

impl Stage {
    fn new(field_rule: FieldRule) -> Self {
        let policy = Policy {
            field_rule,
            maximum_fields: 2,
            ..Policy::default()
        };
        let fixture = Fixture::at(NOW);
        let engine = fixture.engine(&policy);
        let first = fixture
            .write(
                &session::draft(&engine),
                r#"{"set":{"a":1}}"#,
                1,
                0,
                |call, writing| session::save(&engine, call, writing),
            )
            .unwrap();
        Self {
            fixture,
            policy,
            handle: first.opened.handle,
            key: first.opened.key,
        }
    }

    fn save(&self, changes: &str, name: u8, attempt: u32, base: Option<&str>) -> Result<Written, Kind> {
        let engine = self.fixture.engine(&self.policy);
        let writing = Writing {
            handle: &self.handle,
            changes,
            writer: &[name; 22],
            attempt,
            base,
        };
        session::save(&engine, &Call::new(&self.fixture), writing).map_err(|error| error.kind())
    }

    /// Saves changes by another writer, which starts from the stored record.
    fn saved_by_others(&self, changes: &str, attempt: u32) {
        self.fixture.seed.take();
        let engine = self.fixture.engine(&Policy {
            field_rule: FieldRule::LaterWins,
            ..self.policy.clone()
        });
        self.fixture
            .write(&self.handle, changes, 9, attempt, |call, writing| {
                session::save(&engine, call, writing)
            })
            .unwrap();
    }

    /// Makes the stored entry the seed.
    fn see(&self) {
        let entry = self.fixture.entry(&self.key);
        *self.fixture.seed.borrow_mut() = Some((self.key.clone(), entry));
        self.fixture.asked.take();
    }

    fn fields(&self) -> String {
        let value = self.fixture.entry(&self.key).value;
        let at = value.find("\"fields\":").unwrap();
        value[at + 9..value.len() - 1].to_owned()
    }
}

#[test]
fn a_conflict_that_is_over_is_none() {
    let stage = Stage::new(FieldRule::Conflict);
    let (mine, base) = (r#"{"set":{"a":3}}"#, Some(r#"{"a":1}"#));
    stage.saved_by_others(r#"{"set":{"a":2}}"#, 0);
    stage.see();
    assert_eq!(stage.save(mine, 1, 1, base), Err(Kind::Conflict));
    // The newest record was read once.
    assert_eq!(stage.fixture.asked.take(), ["get fresh"]);

    stage.see();
    let seed = stage.fixture.seed.take();
    stage.saved_by_others(r#"{"set":{"a":1}}"#, 1);
    *stage.fixture.seed.borrow_mut() = seed;
    stage.fixture.asked.take();
    assert!(stage.save(mine, 1, 2, base).is_ok());
    assert_eq!(stage.fixture.asked.take(), ["get fresh", "replace"]);
    assert_eq!(stage.fields(), r#"{"a":3}"#);
}

#[test]
fn a_record_that_is_full_no_more_is_written() {
    let stage = Stage::new(FieldRule::LaterWins);
    let mine = r#"{"set":{"b":3}}"#;
    stage.saved_by_others(r#"{"set":{"c":2}}"#, 0);
    stage.see();
    assert_eq!(stage.save(mine, 1, 1, None), Err(Kind::LimitExceeded));
    stage.see();
    let seed = stage.fixture.seed.take();
    stage.saved_by_others(r#"{"remove":["c"]}"#, 1);
    *stage.fixture.seed.borrow_mut() = seed;
    assert!(stage.save(mine, 1, 2, None).is_ok());
    assert_eq!(stage.fields(), r#"{"a":1,"b":3}"#);
}

#[test]
fn a_save_that_nobody_disturbs_is_one_operation() {
    let stage = Stage::new(FieldRule::Conflict);
    stage.see();
    // Changes that exceed a limit are refused by the seed, without a read.
    let refused = stage.save(r#"{"set":{"b":3,"c":1}}"#, 1, 1, None);
    assert_eq!(refused, Err(Kind::LimitExceeded));
    assert!(stage.fixture.asked.take().is_empty());
    stage.see();
    assert!(stage.save(r#"{"set":{"a":3}}"#, 1, 2, None).is_ok());
    assert_eq!(stage.fixture.asked.take(), ["replace"]);
}
