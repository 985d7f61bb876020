//! The grammar of a number (RFC 8259, section 6).

/// Scans a number of any size from `at` on. Returns the position at which scanning ended, and the error at this position.
pub(super) fn scan(text: &[u8], mut at: usize) -> (usize, Result<(), &'static str>) {
    let ended = read(text, &mut at);
    (at, ended)
}

fn read(text: &[u8], at: &mut usize) -> Result<(), &'static str> {
    if text.get(*at) == Some(&b'-') {
        *at += 1;
    }
    match text.get(*at) {
        Some(b'0') => *at += 1,
        Some(b'1'..=b'9') => digits(text, at)?,
        _ => return Err("expected a digit"),
    }
    if text.get(*at) == Some(&b'.') {
        *at += 1;
        digits(text, at)?;
    }
    if let Some(b'e' | b'E') = text.get(*at) {
        *at += 1;
        if let Some(b'+' | b'-') = text.get(*at) {
            *at += 1;
        }
        digits(text, at)?;
    }
    match text.get(*at) {
        Some(b'0'..=b'9') => Err("a number has a leading zero"),
        _ => Ok(()),
    }
}

fn digits(text: &[u8], at: &mut usize) -> Result<(), &'static str> {
    let start = *at;
    while let Some(b'0'..=b'9') = text.get(*at) {
        *at += 1;
    }
    if *at == start {
        Err("expected a digit")
    } else {
        Ok(())
    }
}
