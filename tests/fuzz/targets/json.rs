//! The engine's scanner and values against serde_json and the standard library.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tessera_fuzz::naive;
use tessera_guest::json::{self, Names, Scanner};
use tessera_guest::value::{self, Value};

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

    let as_json = Value::Json(text.into());
    match (value::encode(&as_json), unique) {
        (Ok(stored), Some(reading)) => {
            assert_eq!(value::decode(&stored).unwrap(), Value::Json(reading.value.into()));
            check_stored(reading.value);
        }
        (Err(_), None) => {}
        (encoded, _) => panic!("{encoded:?}"),
    }
});

fn check_scalar(scalar: &str) {
    if scalar.starts_with('"') {
        let theirs: String = serde_json::from_str(scalar).unwrap();
        assert_eq!(Scanner::new(scalar).text().unwrap(), theirs);
        assert_eq!(json::unescape(&scalar[1..scalar.len() - 1]), theirs);
        return;
    }
    let unsigned = serde_json::from_str::<u64>(scalar).ok();
    assert_eq!(Scanner::new(scalar).unsigned().ok(), unsigned);
    // Words parse as floats too ("nan" is none of JSON's).
    if scalar.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        let mantissa = scalar.split(['e', 'E']).next().map_or(0, str::len);
        let exact = scalar.parse().ok().filter(|float: &f64| float.is_finite());
        let expected = exact.filter(|_| mantissa <= 800);
        let ours = json::read_float(scalar);
        assert_eq!(ours.map(f64::to_bits), expected.map(f64::to_bits));
        assert_eq!(
            exact.map(f64::to_bits),
            serde_json::from_str::<f64>(scalar).ok().map(f64::to_bits)
        );
    }
}

/// A value as it might stand in a record: what is understood of it is written back the same in meaning.
fn check_stored(stored: &str) {
    let Ok(value) = value::decode(stored) else { return };
    let again = value::decode(&value::encode(&value).unwrap()).unwrap();
    match (&value, &again) {
        (Value::Float(a), Value::Float(b)) => assert_eq!(a.to_bits(), b.to_bits()),
        _ => assert_eq!(value, again),
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
