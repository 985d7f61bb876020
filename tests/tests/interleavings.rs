//! Several clients, every order of their steps in the store, every fault at every step; and that the judge of them can say no.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::rc::Rc;

use tessera::Component;
use tessera_tests::interleave::calls::{Call, Rules, Session, Told, World};
use tessera_tests::interleave::campaign::{campaigns, explore_all};
use tessera_tests::interleave::engines::Engines;
use tessera_tests::interleave::explore::{explore_by, pick, splitmix, start};
use tessera_tests::interleave::linear::{Observed, is_explained};
use tessera_tests::interleave::plan::{Act, Event, Plan};
use tessera_tests::interleave::recall::Memory;
use tessera_tests::interleave::run::Run;

#[test]
fn no_order_of_steps_and_no_fault_loses_revives_or_misjudges_anything() {
    let component = Component::embedded().expect("the embedded component runs here");
    for campaign in campaigns().iter().filter(|campaign| !campaign.long) {
        let (report, violations) = explore_all(&campaign.plans, &component, campaign.how);
        // Not `print`, which the test harness would swallow: the numbers are to be seen.
        let _ = writeln!(
            std::io::stderr(),
            "{}: {} plans: {report}",
            campaign.name,
            campaign.plans.len()
        );
        if let Some(violation) = violations.first() {
            panic!(
                "{}: {} plans are violated, first {violation}",
                campaign.name,
                violations.len()
            );
        }
        // Twice eight tries would be as many as a call may ask; only a flood makes one of them necessary.
        let is_flood = campaign.plans.iter().any(|plan| plan.has_adversary);
        assert!(
            report.most_asked <= if is_flood { 20 } else { 12 },
            "{} questions in one call",
            report.most_asked
        );
        assert!(report.runs >= campaign.plans.len() as u64 && report.calls > report.runs);
    }
}

/// The engine keeps the rules that it is given; a judge who goes by others must say no.
#[test]
fn an_engine_that_keeps_other_rules_is_found_out() {
    let component = Component::embedded().expect("the embedded component runs here");
    let logins = Plan {
        ticks: true,
        ..Plan::new(vec![vec![Act::Enter("alice")], vec![Act::Enter("alice")]])
    };
    let renewals = Plan::new(vec![
        vec![Act::Open, Act::Rotate, Act::Open, Act::Touch],
        vec![Act::Open, Act::Save("a"), Act::Open],
    ])
    .with_events(1, &[Event::ClockJumps(10_001)]);
    type Change = fn(&mut Plan);
    let others: [(&Plan, Change, &str); 6] = [
        (&logins, |plan| plan.rules.cap = Some(3), "explains"),
        (&logins, |plan| plan.rules.evicts = false, "explains"),
        (&renewals, |plan| plan.rules.grace = 0, ""),
        (&renewals, |plan| plan.rules.grace = 1_000_000, ""),
        (&renewals, |plan| plan.rules.reuse_ends = true, ""),
        (&logins, |plan| plan.rules.cap = None, "explains"),
    ];
    for (place, (plan, change, said)) in others.into_iter().enumerate() {
        let mut judged_by = plan.clone();
        change(&mut judged_by);
        match explore_by(plan, &judged_by, &component, u64::MAX) {
            Err(violation) => assert!(violation.what.contains(said), "{place}: {violation}"),
            Ok(_) => panic!("{place}: nothing was found"),
        }
    }
}

/// What lets all runs be taken: a client is asked once, and remembered.
#[test]
fn clients_that_are_remembered_do_as_on_their_engines() {
    let component = Component::embedded().expect("the embedded component runs here");
    let mut compared = 0_u32;
    let mut seed = 7;
    for name in ["faults-3-1", "renewals-3", "clocks-3", "failover-3", "stale-3"] {
        let campaign = campaigns().into_iter().find(|campaign| campaign.name == name);
        for mut plan in campaign.expect("there is such a campaign").plans {
            plan.most_faults = 3;
            let start = start(&plan, &component).expect("the plan can be run");
            let mut engines = Engines::new(&plan, &component).expect("the plan can be run");
            let memory = Memory::new(&plan, &component, &start).expect("the plan can be run");
            let memory = Rc::new(RefCell::new(memory));
            for _ in 0..4 {
                let mut live = Run::live(&plan, &mut engines, &start);
                let mut recalled = Run::recalled(&plan, &memory, &start);
                loop {
                    assert_eq!(live.state(), recalled.state(), "{name}: {}", plan.name);
                    let choices = live.choices();
                    assert_eq!(choices, recalled.choices());
                    if choices.is_empty() {
                        break;
                    }
                    let choice = choices[pick(splitmix(&mut seed), &choices)];
                    live.take(choice);
                    recalled.take(choice);
                    compared += 1;
                }
                assert_eq!(live.all_calls(), recalled.all_calls());
                assert_eq!(live.tokens(), recalled.tokens());
            }
            assert_eq!(memory.borrow().differs, None);
        }
    }
    let _ = writeln!(std::io::stderr(), "{compared} steps compared");
}

const RULES: Rules = Rules {
    grace: 10,
    cap: None,
    evicts: true,
    reuse_ends: false,
};

fn session(fields: &[(&str, &str)]) -> Session {
    Session {
        subject: Some("alice".into()),
        fields: owned(fields),
        authenticated_at: Some(0),
        current: 1,
        previous: None,
        floor: 1,
        confirmed_at: Some(0),
        writer: None,
    }
}

fn owned(fields: &[(&str, &str)]) -> BTreeMap<String, String> {
    fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn world(session: Session) -> World {
    World::from([("s".to_owned(), session)])
}

/// A call that was asked and answered in these steps.
fn observed(call: Call, began: usize, ended: usize, told: Told) -> Observed {
    let mut observed = Observed::new(call, 1);
    (observed.began, observed.ended, observed.told) = (Some(began), Some(ended), Some(told));
    observed.asked = true;
    observed
}

fn open(handle: usize, at: usize, fields: &[(&str, &str)]) -> Observed {
    let told = Told::Opened {
        subject: Some("alice".into()),
        fields: owned(fields),
    };
    observed(
        Call::Open {
            handle,
            key: "s".into(),
            generation: 1,
        },
        at,
        at,
        told,
    )
}

fn save(handle: usize, field: &str, began: usize, ended: usize) -> Observed {
    let call = Call::Save {
        handle,
        key: "s".into(),
        fields: owned(&[(field, "new")]),
    };
    observed(call, began, ended, Told::Done)
}

#[test]
fn an_update_that_was_acknowledged_and_is_gone_is_not_explained() {
    let calls = [
        open(0, 1, &[]),
        open(1, 2, &[]),
        save(0, "a", 3, 3),
        save(1, "b", 4, 4),
    ];
    let both = world(session(&[("a", "new"), ("b", "new")]));
    let start = world(session(&[]));
    assert!(is_explained(&RULES, &start, &calls, &both));
    assert!(!is_explained(
        &RULES,
        &start,
        &calls,
        &world(session(&[("b", "new")]))
    ));
}

#[test]
fn a_session_that_is_there_after_its_logout_is_not_explained() {
    let start = world(session(&[]));
    let logout = observed(
        Call::Destroy {
            handle: 1,
            key: "s".into(),
        },
        3,
        4,
        Told::Done,
    );
    let calls = [open(0, 1, &[]), open(1, 2, &[]), logout, save(0, "a", 5, 6)];
    assert!(!is_explained(
        &RULES,
        &start,
        &calls,
        &world(session(&[("a", "new")]))
    ));
    assert!(!is_explained(&RULES, &start, &calls, &World::new()));
    // Had the save come first, or at the same time, nothing would be wrong with it.
    let mut early = calls.to_vec();
    early[3] = save(0, "a", 3, 6);
    assert!(is_explained(&RULES, &start, &early, &World::new()));
}

#[test]
fn an_answer_from_before_an_acknowledged_save_is_not_explained() {
    let start = world(session(&[]));
    let end = world(session(&[("a", "new")]));
    let calls = |seen: &[(&str, &str)], at| [open(0, 1, &[]), save(0, "a", 2, 3), open(1, at, seen)];
    assert!(is_explained(&RULES, &start, &calls(&[("a", "new")], 4), &end));
    assert!(!is_explained(&RULES, &start, &calls(&[], 4), &end));
    assert!(is_explained(&RULES, &start, &calls(&[], 2), &end));
}

#[test]
fn a_write_by_a_token_from_before_a_login_is_not_explained() {
    let start = world(session(&[]));
    let login = Call::Login {
        handle: 1,
        key: "s".into(),
        subject: "bob".into(),
        fields: BTreeMap::new(),
    };
    let login = observed(login, 3, 3, Told::Token(2));
    let calls = [open(0, 1, &[]), open(1, 2, &[]), login, save(0, "a", 4, 4)];
    let bobs = Session {
        subject: Some("bob".into()),
        current: 2,
        floor: 2,
        ..session(&[])
    };
    let bobs = Session {
        confirmed_at: Some(1),
        authenticated_at: Some(1),
        ..bobs
    };
    let written = Session {
        fields: owned(&[("a", "new")]),
        ..bobs.clone()
    };
    assert!(!is_explained(&RULES, &start, &calls, &world(written)));
    let mut refused = calls.to_vec();
    refused[3].told = Some(Told::Replaced);
    assert!(is_explained(&RULES, &start, &refused, &world(bobs)));
}

#[test]
fn a_call_of_unknown_outcome_may_have_been_done_or_not_and_nothing_else() {
    let start = world(session(&[]));
    let mut calls = [open(0, 1, &[]), save(0, "a", 2, 3)];
    calls[1].told = Some(Told::Unknown);
    assert!(is_explained(&RULES, &start, &calls, &start));
    assert!(is_explained(
        &RULES,
        &start,
        &calls,
        &world(session(&[("a", "new")]))
    ));
    assert!(!is_explained(
        &RULES,
        &start,
        &calls,
        &world(session(&[("b", "new")]))
    ));
    calls[1].told = Some(Told::Unavailable);
    assert!(!is_explained(
        &RULES,
        &start,
        &calls,
        &world(session(&[("a", "new")]))
    ));
}
