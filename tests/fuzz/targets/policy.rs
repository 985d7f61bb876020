//! A policy that is accepted makes an engine whose sessions live as it says; no number in it makes one panic.
//!
//! An input is lines of `field=value`, the names as in `wit/policy.wit`, beside `now`, `pass` (how far the clock goes
//! between two calls), `subject` and `secret-bytes`.

#![no_main]

use std::rc::Rc;

use libfuzzer_sys::fuzz_target;
use tessera_fuzz::world::World;
use tessera_guest::call::Call;
use tessera_guest::engine::Engine;
use tessera_guest::error::{Error, Kind};
use tessera_guest::keys::SigningKey;
use tessera_guest::owner;
use tessera_guest::policy::{CapRule, FieldRule, Policy, ReuseRule, TokenFormat};
use tessera_guest::session::{Session, Status};
use tessera_guest::snapshot::Survivors;
use tessera_guest::value::Value;

struct Input {
    policy: Policy,
    now: u64,
    pass: u64,
    subject: String,
    secret_bytes: usize,
}

fuzz_target!(|data: &[u8]| {
    let Some(text) = tessera_fuzz::text(data) else {
        return;
    };
    let input = read(text);
    let world = World::at(input.now);
    let key = SigningKey {
        id: "k".into(),
        secret: vec![9; input.secret_bytes.min(2000)],
    };
    let key_fits = (32..=1024).contains(&key.secret.len());
    match Engine::configure(&Call::new(&world), input.policy.clone(), &[key]) {
        Ok(engine) => {
            assert!(input.policy.check().is_ok() && key_fits);
            // A session may be refused, and no refusal is one of those that say that the engine is wrong.
            if let Err(error) = live(&world, &engine, &input) {
                assert!(
                    !matches!(error.kind(), Kind::Corrupt | Kind::Pending),
                    "{error:?}"
                );
            }
        }
        Err(error) if error.is(Kind::InvalidKey) => assert!(!key_fits),
        Err(error) => assert!(error.is(Kind::InvalidPolicy), "{error:?}"),
    }
});

fn read(text: &str) -> Input {
    let mut input = Input {
        policy: Policy::default(),
        now: 1_767_225_600_000,
        pass: 1000,
        subject: "alice".into(),
        secret_bytes: 32,
    };
    for line in text.split('\n') {
        if let Some((field, value)) = line.split_once('=') {
            let number: u64 = value.parse().unwrap_or(0);
            set(&mut input, field, value, number);
        }
    }
    input
}

fn set(input: &mut Input, field: &str, value: &str, number: u64) {
    let policy = &mut input.policy;
    match field {
        "idle-timeout-ms" => policy.idle_timeout_ms = number,
        "absolute-timeout-ms" => policy.absolute_timeout_ms = number,
        "touch-interval-ms" => policy.touch_interval_ms = number,
        "renew-interval-ms" => policy.renew_interval_ms = Some(number),
        "rotation-grace-ms" => policy.rotation_grace_ms = number,
        "token-lifetime-ms" => policy.token_lifetime_ms = number,
        "sessions-per-owner" => policy.sessions_per_owner = Some(number as u32),
        "cap-rule" => policy.cap_rule = CapRule::Refuse,
        "field-rule" => policy.field_rule = FieldRule::Conflict,
        "reuse-rule" => policy.reuse_rule = ReuseRule::EndSession,
        "token-format" => policy.token_format = TokenFormat::Jwt,
        "issuer" => policy.issuer = value.into(),
        "audience" => policy.audience = value.into(),
        "clock-skew-ms" => policy.clock_skew_ms = number,
        "maximum-token-bytes" => policy.maximum_token_bytes = number as u32,
        "maximum-name-bytes" => policy.maximum_name_bytes = number as u32,
        "maximum-value-bytes" => policy.maximum_value_bytes = number as u32,
        "maximum-record-bytes" => policy.maximum_record_bytes = number as u32,
        "maximum-fields" => policy.maximum_fields = number as u32,
        "key-prefix" => policy.key_prefix = value.into(),
        "public-fields" => policy.public_fields.push(value.into()),
        "token-fields" => policy.token_fields.push(value.into()),
        "now" => input.now = number,
        "pass" => input.pass = number,
        "subject" => input.subject = value.into(),
        "secret-bytes" => input.secret_bytes = number as usize,
        _ => {}
    }
}

/// One session from its first save to its end, the clock going on between the calls.
fn live(world: &World, engine: &Rc<Engine>, input: &Input) -> Result<(), Error> {
    let (policy, subject) = (&input.policy, input.subject.as_str());
    let call = || Call::new(world);
    let pass = || world.now.set(world.now.get().saturating_add(input.pass));
    // The fields that tokens and lists show are there where they can be.
    let draft = engine.create();
    for name in policy.public_fields.iter().chain(&policy.token_fields) {
        match draft.set(name, &Value::Text(name.repeat(2))) {
            Err(error) => assert!(error.is(Kind::LimitExceeded)),
            Ok(()) => assert_eq!(draft.get(name)?, Value::Text(name.repeat(2))),
        }
    }
    let shown = draft.entries()?;
    let mut grant = match draft.save(&call()) {
        Err(error) if error.is(Kind::SubjectRequired) => {
            assert_eq!(policy.token_format, TokenFormat::Jwt);
            draft.authenticate(&call(), subject, &Survivors::Everything)?
        }
        saved => saved?,
    };
    let began = world.now.get();
    assert_eq!(grant.ends_at, began + policy.absolute_timeout_ms);
    assert_eq!(grant.expires_at, began + policy.idle_timeout_ms);
    let first = grant.token.take().unwrap();
    assert!(first.len() <= policy.maximum_token_bytes as usize);

    // A token whose end was cut to its format's last moment, or to a whole second, may be dead from the start.
    let session = engine.open(&call(), &first)?;
    assert_eq!(session.entries()?, shown);
    assert_eq!(check(&session, began), Status::Live);
    pass();
    session.touch(&call())?;
    check(&session, world.now.get());
    // Nothing came before the first token, so nothing keeps it from being renewed.
    let rotated = session.rotate(&call())?.token.unwrap();
    pass();
    let session = engine.open(&call(), &rotated)?;
    session.touch(&call())?;
    session.set("z", &Value::Integer(1))?;
    session.save(&call())?;
    session.reissue(&call())?;
    let granted = session.authenticate(&call(), subject, &Survivors::Nothing)?;
    check(&session, world.now.get());
    let token = granted.token.unwrap();
    engine.verify(&call(), &token, Some(input.pass))?;
    let listed = owner::list(engine, &call(), subject, None, None)?;
    assert_eq!((listed.items.len(), listed.next), (1, None));
    let csrf = session.csrf_token(&call())?;
    session.check_csrf_token(&csrf)?;
    pass();
    let session = engine.open(&call(), &token)?;
    session.check_csrf_token(&csrf)?;
    session.destroy(&call())?;
    assert!(engine.open(&call(), &token).is_err());
    assert!(world.is_empty());
    Ok(())
}

fn check(session: &Session, now: u64) -> Status {
    let details = session.details(now);
    assert!(details.expires_at <= details.ends_at);
    details.status
}
