//! The engine's scanner and values against serde_json and the standard library.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tessera_contract::Value;
use tessera_fuzz::model::Held;
use tessera_fuzz::naive;
use tessera_guest::form;
use tessera_guest::json::{self, Names, Scanner};

fuzz_target!(|data: &[u8]| {
    let Some(text) = tessera_fuzz::text(data) else {
        return;
    };
    // Any text at all is a string to write.
    let mut written = String::new();
    json::push_string(text, &mut written);
    assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
    assert_eq!(Scanner::new(&written).text().unwrap(), text);

    let unique = naive::read(text, true);
    let checked = json::check(text);
    assert_eq!(
        checked.ok(),
        unique.as_ref().map(|reading| reading.value),
        "{checked:?}"
    );
    let trusted = naive::read(text, false);
    let mut scanner = Scanner::new(text);
    let span = scanner
        .value(Names::Trusted)
        .and_then(|span| scanner.end().map(|()| span));
    assert_eq!(
        span.ok().map(|span| &text[span]),
        trusted.as_ref().map(|reading| reading.value)
    );
    for scalar in trusted.iter().flat_map(|reading| &reading.scalars) {
        check_scalar(scalar);
    }

    if let Some(reading) = unique {
        check_stored(reading.value);
    }
    let as_json = |text: &str| form::encode(&Value::Json(text.into())).ok();
    let canonical = naive::json(text);
    match (as_json(text), &canonical) {
        (Some(stored), Some(canonical)) => {
            let Some(Value::Json(content)) = form::decode(&stored) else {
                panic!("JSON comes back as another kind of value");
            };
            assert_eq!(naive::canonical(&content).as_ref(), Some(canonical));
            // Whatever form the value comes in, there is one text of it.
            for same in [content.as_str(), canonical] {
                assert_eq!(as_json(same).as_ref(), Some(&stored));
            }
            assert_eq!(form::canonical(&stored).as_ref(), Ok(&stored));
        }
        (None, None) => {}
        (stored, _) => panic!("{stored:?} but {canonical:?}"),
    }
    check_outside(text);
});

/// A text from outside is the value that a naive reading takes it for, or is refused.
fn check_outside(text: &str) {
    let Ok(stored) = form::canonical(text) else {
        return assert_eq!(Held::outside(text), None);
    };
    let value = form::decode(&stored).unwrap();
    assert_eq!(Held::new(&value), Held::outside(text));
    assert_eq!(form::encode(&value).as_ref(), Ok(&stored));
    assert_eq!(form::canonical(&stored).as_ref(), Ok(&stored));
}

fn check_scalar(scalar: &str) {
    if scalar.starts_with('"') {
        let theirs: String = serde_json::from_str(scalar).unwrap();
        assert_eq!(Scanner::new(scalar).text().unwrap(), theirs);
        assert_eq!(json::unescape(&scalar[1..scalar.len() - 1]), theirs);
        return;
    }
    let unsigned = serde_json::from_str::<u64>(scalar).ok();
    assert_eq!(Scanner::new(scalar).unsigned().ok(), unsigned);
    if naive::is_number(scalar) {
        let exact = scalar.parse().ok().filter(|float: &f64| float.is_finite());
        let ours = json::read_float(scalar);
        assert_eq!(ours.map(f64::to_bits), naive::float(scalar).map(f64::to_bits));
        assert_eq!(
            exact.map(f64::to_bits),
            serde_json::from_str::<f64>(scalar).ok().map(f64::to_bits)
        );
    }
}

/// A value as it might stand in a record: what is understood of it is written back the same in meaning.
fn check_stored(stored: &str) {
    let Some(value) = form::decode(stored) else { return };
    match form::encode(&value) {
        Ok(written) => {
            let again = form::decode(&written).unwrap();
            assert_eq!(Held::new(&value), Held::new(&again));
        }
        Err(_) => assert_eq!(Held::new(&value), None),
    }
    match value {
        Value::Null => assert_eq!(stored, "null"),
        Value::Boolean(flag) => assert_eq!(stored, flag.to_string()),
        Value::Integer(number) if !stored.starts_with('{') => {
            assert_eq!(serde_json::from_str::<i64>(stored).unwrap_or(0), number);
        }
        Value::Float(number) => assert_eq!(
            serde_json::from_str::<f64>(stored).unwrap().to_bits(),
            number.to_bits()
        ),
        Value::Text(text) => assert_eq!(serde_json::from_str::<String>(stored).unwrap(), text),
        Value::Integer(_) | Value::Bytes(_) | Value::Json(_) => {}
    }
}
