//! Texts from a client beside its token: tokens against cross-site request forgery, and cursors of lists.
//!
//! The first character says what the rest is: `c` a token, `x` a place and a byte to change in a true one,
//! anything else a cursor.

#![no_main]

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use tessera_fuzz::host::Host;
use tessera_fuzz::fixture::Fixture;
use tessera_guest::call::Call;
use tessera_guest::csrf;
use tessera_guest::engine::Engine;
use tessera_guest::error::Kind;
use tessera_guest::generation::Generation;
use tessera_guest::keys::{KeyRing, SigningKey};
use tessera_guest::subject;
use tessera_guest::policy::Policy;
use tessera_guest::snapshot::KeepFields;
use tessera_guest::id::SessionId;

const ID: SessionId = SessionId([3; 16]);
const FLOOR: Generation = Generation {
    counter: 7,
    raised_at: 1_767_225_600_000,
};

fuzz_target!(|data: &[u8]| {
    let Some(text) = tessera_fuzz::text(data) else {
        return;
    };
    let mut rest = text.chars();
    match rest.next() {
        Some('c') => arbitrary(rest.as_str()),
        Some('x') => changed(rest.as_str().as_bytes()),
        _ => cursors(text),
    }
});

fn keys() -> [SigningKey; 2] {
    [("new", 1), ("old", 2)].map(|(id, byte)| SigningKey {
        id: id.into(),
        secret: vec![byte; 32],
    })
}

fn ring(keys: &[SigningKey]) -> KeyRing {
    KeyRing::new(keys, "", "").unwrap()
}

/// What is under the mask of a true token; every token that is accepted has it under its own.
fn unmasked(token: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .filter(|bytes| bytes.len() == 64)?;
    Some((0..32).map(|index| bytes[index] ^ bytes[index + 32]).collect())
}

fn arbitrary(token: &str) {
    let accepted = csrf::check(&ring(&keys()), ID, FLOOR, token).is_ok();
    let true_ones = keys().map(|key| {
        let token = csrf::make(&ring(&[key]), ID, FLOOR, [0; 32]).unwrap();
        unmasked(&token)
    });
    let shown = unmasked(token);
    assert_eq!(accepted, shown.is_some() && true_ones.contains(&shown));
    // The very mac, under the mask that the text holds.
    if let Some(shown) = shown {
        let mask: Vec<u8> = (0_u8..).zip(&shown).map(|(index, byte)| byte ^ index).collect();
        let token = csrf::make(&ring(&keys()), ID, FLOOR, mask.try_into().unwrap()).unwrap();
        csrf::check(&ring(&keys()), ID, FLOOR, &token).unwrap();
    }
}

fn changed(bytes: &[u8]) {
    let [place, byte, mask @ ..] = bytes else { return };
    let mut full = [0; 32];
    full.iter_mut().zip(mask).for_each(|(to, from)| *to = *from);
    let (both, [_, old]) = (ring(&keys()), keys());
    let token = csrf::make(&both, ID, FLOOR, full).unwrap();
    csrf::check(&both, ID, FLOOR, &token).unwrap();
    // A page that was served before the keys changed.
    let before = csrf::make(&ring(&[old]), ID, FLOOR, full).unwrap();
    csrf::check(&both, ID, FLOOR, &before).unwrap();

    let mut forged = token.clone().into_bytes();
    let place = usize::from(*place) % forged.len();
    forged[place] = byte & 0x7f;
    let forged = String::from_utf8(forged).unwrap();
    assert_eq!(csrf::check(&both, ID, FLOOR, &forged).is_ok(), forged == token);
    let other = SessionId([3 ^ (1 << (place % 8)); 16]);
    csrf::check(&both, other, FLOOR, &token).unwrap_err();
    for (counter, raised_at) in [(8, FLOOR.raised_at), (7, FLOOR.raised_at ^ 1 << (place % 48))] {
        csrf::check(&both, ID, Generation { counter, raised_at }, &token).unwrap_err();
    }
}

/// A foreign cursor is refused or goes on somewhere; one that goes on comes to an end, and ends nobody else's session.
fn cursors(cursor: &str) {
    let host = Host::new(Fixture::at(FLOOR.raised_at), Policy::default(), &keys()).unwrap();
    for subject in ["alice", "alice", "alice", "bob"] {
        let mut draft = host.draft();
        draft.authenticate(&host, subject, &KeepFields::Nothing).unwrap();
    }
    let Host { fixture, engine, .. } = host;
    fixture.page.set(2);
    let listed = subject::list(&engine, &Call::new(&fixture), "alice", None, Some(cursor));
    match listed {
        Ok(page) => assert!(page.items.len() <= 2),
        Err(error) => assert!(error.is(Kind::InvalidArgument) && cursor.len() > 4096),
    }
    let mut at = Some(cursor.to_owned());
    let mut ended = 0;
    for _ in 0..32 {
        let Some(cursor) = at.take() else { break };
        match revoke(&engine, &fixture, &cursor) {
            Some((more, next)) => (ended, at) = (ended + more, next),
            None => assert_eq!(ended, 0),
        }
    }
    assert_eq!(at, None, "a revocation goes on for ever");
    assert_eq!(fixture.len(), 4 - ended as usize);
    let bob = subject::list(&engine, &Call::new(&fixture), "bob", None, None).unwrap();
    assert_eq!(bob.items.len(), 1);
}

fn revoke(engine: &Rc<Engine>, fixture: &Fixture, cursor: &str) -> Option<(u32, Option<String>)> {
    match subject::revoke_all(engine, &Call::new(fixture), "alice", None, Some(cursor)) {
        Ok(progress) => Some((progress.ended, progress.next)),
        Err(error) => {
            assert!(error.is(Kind::InvalidArgument));
            None
        }
    }
}
