//! A policy that is accepted makes an engine whose sessions live as it says; no number in it makes one panic.
//!
//! An input is lines of `field=value`, the names as in `wit/policy.wit`, beside `now`, `pass` (how far the clock goes
//! between two calls), `subject` and `secret-bytes`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tessera_contract::form::Unfit;
use tessera_contract::state::StateError;
use tessera_contract::{Status, Timestamp, Value};
use tessera_fuzz::host::{Host, Refused, Session};
use tessera_fuzz::fixture::Fixture;
use tessera_guest::call::Call;
use tessera_guest::error::Kind;
use tessera_guest::keys::SigningKey;
use tessera_guest::subject;
use tessera_guest::policy::{CapRule, FieldRule, Policy, ReuseRule, TokenFormat};
use tessera_guest::snapshot::KeepFields;

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
    let fixture = Fixture::at(input.now);
    let key = SigningKey {
        id: "k".into(),
        secret: vec![9; input.secret_bytes.min(2000)],
    };
    let key_fits = (32..=1024).contains(&key.secret.len());
    match Host::new(fixture, input.policy.clone(), &[key]) {
        Ok(host) => {
            assert!(input.policy.check().is_ok() && key_fits);
            // A session may be refused, and no refusal is one of those that say that the engine is wrong.
            match live(&host, &input) {
                Ok(()) => {}
                Err(Refused::Engine(error)) => assert!(
                    !matches!(
                        error.kind(),
                        Kind::Corrupt | Kind::Pending | Kind::InvalidArgument
                    ) || error.is(Kind::InvalidArgument) && is_unfit(&input.subject),
                    "{error:?}"
                ),
                Err(Refused::Here(error)) => panic!("{error:?}"),
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
        "sessions-per-subject" => policy.sessions_per_subject = Some(number as u32),
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

fn is_unfit(subject: &str) -> bool {
    subject.is_empty() || subject.len() > 255 || subject.chars().any(char::is_control)
}

/// One session from its first save to its end, the clock going on between the calls.
fn live(host: &Host, input: &Input) -> Result<(), Refused> {
    let Host { fixture, engine, .. } = host;
    let (policy, subject) = (&input.policy, input.subject.as_str());
    let call = || Call::new(fixture);
    let pass = || fixture.now.set(fixture.now.get().saturating_add(input.pass));
    // The fields that tokens and lists show are there where they can be.
    let mut draft = host.draft();
    for name in policy.public_fields.iter().chain(&policy.token_fields) {
        let value = Value::Text(name.repeat(2));
        match draft.set(host, name, &value) {
            Err(error) => assert!(matches!(error, StateError::Unfit(Unfit::Limit(..)))),
            Ok(()) => assert_eq!(draft.state.get(name)?, Some(value)),
        }
    }
    let shown = draft.state.entries()?;
    let mut grant = match draft.save(host) {
        Err(error) if error.is(Kind::SubjectRequired) => {
            assert_eq!(policy.token_format, TokenFormat::Jwt);
            draft.authenticate(host, subject, &KeepFields::Everything)?
        }
        saved => saved?,
    };
    let began = fixture.now.get();
    assert_eq!(grant.ends_at, began + policy.absolute_timeout_ms);
    assert_eq!(grant.expires_at, began + policy.idle_timeout_ms);
    let first = grant.token.take().unwrap();
    assert!(first.len() <= policy.maximum_token_bytes as usize);

    // A token whose end was cut to its format's last moment, or to a whole second, may be dead from the start.
    let mut session = host.open(&first)?;
    assert_eq!(session.state.entries()?, shown);
    check(&mut session, host)?;
    pass();
    session.touch(host)?;
    check(&mut session, host)?;
    // Nothing came before the first token, so nothing keeps it from being renewed.
    let rotated = session.rotate(host)?.token.unwrap();
    pass();
    let mut session = host.open(&rotated)?;
    session.touch(host)?;
    session.set(host, "z", &Value::Integer(1)).ok();
    session.save(host)?;
    session.reissue(host)?;
    let granted = session.authenticate(host, subject, &KeepFields::Nothing)?;
    check(&mut session, host)?;
    let token = granted.token.unwrap();
    engine.verify(&call(), &token, Some(input.pass))?;
    let listed = subject::list(engine, &call(), subject, None, None)?;
    assert_eq!((listed.items.len(), listed.next), (1, None));
    let csrf = session.csrf_token(host)?;
    session.check_csrf_token(host, &csrf)?;
    pass();
    let mut session = host.open(&token)?;
    session.check_csrf_token(host, &csrf)?;
    session.destroy(host)?;
    assert!(session.state.details()?.status == Status::Closed);
    assert!(host.open(&token).is_err());
    assert!(fixture.is_empty());
    Ok(())
}

/// What was answered stands in what is known by now, as far as it still holds.
fn check(session: &mut Session, host: &Host) -> Result<(), Refused> {
    let opened = session.state.saved()?;
    let holds = opened.holds_at(Timestamp::from_millis(host.fixture.now.get()));
    let before = session.state.details()?;
    assert!(before.expires_at <= before.ends_at);
    assert_eq!(before.status, Status::Live);
    let after = session.inspect(host)?;
    if holds {
        assert_eq!(before, after);
    }
    Ok(())
}
