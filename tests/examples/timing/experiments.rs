//! The experiments: refusals of tokens by the component, and controls that show the sensitivity of the measurement.

use std::hint::black_box;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tessera::store::MemoryStore;
use tessera::{SessionError, Sessions, TokenFault};

use crate::inputs::{MAC_BYTES, Random, Signed, nearly, with_other, with_other_tail};
use crate::measure::{Row, Verdict, measure, row};

pub(crate) type Failure = Box<dyn std::error::Error>;

/// The number of tokens from which the damaged ones are made.
const TOKENS: usize = 64;

/// Creates an instance, and tokens that were never verified.
fn tokens() -> Result<(Sessions, Vec<String>), Failure> {
    let store = MemoryStore::builder()
        .sweep_interval(std::time::Duration::ZERO)
        .build();
    let sessions = Sessions::builder()
        .signing_key("timing", [7; 32])
        .instances(1)
        .build(store)?;
    let mut tokens = Vec::new();
    for _ in 0..TOKENS {
        let session = sessions.create();
        let saved = at_once(session.save()).ok_or("the store in memory was not ready")??;
        tokens.push(saved.token.ok_or("a first save issued no token")?);
    }
    Ok((sessions, tokens))
}

/// Polls a future once.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

fn split(tokens: &[String]) -> Result<Vec<Signed>, Failure> {
    let split: Option<Vec<Signed>> = tokens.iter().map(|token| Signed::split(token)).collect();
    Ok(split.ok_or("a token does not end in its mac")?)
}

/// Makes one refusal. Any other result is an error of this program.
fn refuse(sessions: &Sessions, token: &str) {
    let answer = sessions.verify(token, None);
    assert!(matches!(
        black_box(answer),
        Err(SessionError::InvalidToken(TokenFault::WrongMac))
    ));
}

/// A comparison that leaks, because it stops at the first difference. Code that handles a secret must not do this.
#[inline(never)]
fn leaky(a: &[u8; MAC_BYTES], b: &[u8; MAC_BYTES]) -> bool {
    for (a, b) in a.iter().zip(b) {
        if black_box(a) != black_box(b) {
            return false;
        }
    }
    true
}

/// The controls: an obvious leak, a leak hidden behind a refusal, and no leak.
pub(crate) fn controls() -> Result<Vec<Row>, Failure> {
    let (sessions, tokens) = tokens()?;
    let tokens = split(&tokens)?;
    let secret = tokens[0].mac;
    let bare = measure(
        200_000,
        2,
        |class, random| nearly(&secret, [31, 0][class], random),
        |mac| {
            for _ in 0..8 {
                assert!(!leaky(black_box(mac), black_box(&secret)));
            }
        },
    );
    let hidden = measure(
        200_000,
        2,
        |class, random| {
            let mac = nearly(&secret, [31, 0][class], random);
            (mac, tokens[0].with(&nearly(&secret, 0, random)))
        },
        |(mac, token)| {
            refuse(&sessions, token);
            assert!(!leaky(black_box(mac), black_box(&secret)));
        },
    );
    let same = measure(
        200_000,
        2,
        |_, random| {
            let token = &tokens[random.below(TOKENS)];
            token.with(&nearly(&token.mac, 0, random))
        },
        |token| refuse(&sessions, token),
    );
    let classes = ["31 of 32", "0 of 32"];
    Ok(vec![
        row(
            "eight comparisons that stop early",
            classes,
            &bare,
            [0, 1],
            Verdict::MustLeak,
        ),
        row(
            "a refusal, and one comparison that stops early",
            classes,
            &hidden,
            [0, 1],
            Verdict::MustLeak,
        ),
        row(
            "a refusal of random MACs",
            ["random", "random"],
            &same,
            [0, 1],
            Verdict::MustNot,
        ),
    ])
}

/// Tokens with the same length, header and payload, whose macs are correct in their first bytes.
pub(crate) fn macs() -> Result<Vec<Row>, Failure> {
    const RIGHT: [usize; 5] = [0, 1, 8, 16, 31];
    let (sessions, tokens) = tokens()?;
    let tokens = split(&tokens)?;
    let make = |right: usize, random: &mut Random| {
        let token = &tokens[random.below(TOKENS)];
        token.with(&nearly(&token.mac, right, random))
    };
    let two = measure(
        400_000,
        2,
        |class, random| make([31, 0][class], random),
        |token| refuse(&sessions, token),
    );
    let five = measure(
        500_000,
        RIGHT.len(),
        |class, random| make(RIGHT[class], random),
        |token| refuse(&sessions, token),
    );
    let what = "verify: the token's MAC";
    let mut rows = vec![row(what, ["31 right", "random"], &two, [0, 1], Verdict::Secret)];
    for (class, name) in [(1, "1 right"), (2, "8 right"), (3, "16 right"), (4, "31 right")] {
        rows.push(row(what, [name, "random"], &five, [class, 0], Verdict::Secret));
    }
    Ok(rows)
}

/// CSRF tokens, each with a different mask.
pub(crate) fn csrf_tokens() -> Result<Vec<Row>, Failure> {
    let (sessions, tokens) = tokens()?;
    let session = at_once(sessions.open(&tokens[0])).ok_or("the store in memory was not ready")??;
    let bytes = BASE64_URL_SAFE_NO_PAD
        .decode(session.csrf_token()?)
        .map_err(|error| error.to_string())?;
    let right: [u8; MAC_BYTES] = std::array::from_fn(|at| bytes[at] ^ bytes[MAC_BYTES + at]);
    let samples = measure(
        300_000,
        2,
        |class, random| {
            let (mask, mac) = (random.bytes(), nearly(&right, [31, 0][class], random));
            let masked: [u8; MAC_BYTES] = std::array::from_fn(|at| mask[at] ^ mac[at]);
            BASE64_URL_SAFE_NO_PAD.encode([mask, masked].concat())
        },
        |token| {
            let answer = session.check_csrf_token(token);
            assert!(matches!(black_box(answer), Err(SessionError::InvalidCsrfToken)));
        },
    );
    let what = "check_csrf_token: the MAC under its mask";
    Ok(vec![row(
        what,
        ["31 right", "random"],
        &samples,
        [0, 1],
        Verdict::Secret,
    )])
}

/// Texts that differ in one character from a text in the memo.
///
/// The last four characters of a text determine its place in the memo, so a comparison takes place only if they are equal.
/// Two classes differ early and late before these characters. The third differs in them, and finds its place free or taken.
pub(crate) fn memo() -> Result<Vec<Row>, Failure> {
    let (sessions, tokens) = tokens()?;
    for token in &tokens {
        sessions.verify(token, None)?;
    }
    let payload = tokens[0].rfind('.').map_or(0, |dot| dot - 51);
    let samples = measure(
        450_000,
        3,
        |class, random| {
            let token = &tokens[random.below(TOKENS)];
            match class {
                0 => with_other(token, payload, random),
                1 => with_other(token, token.len() - 5, random),
                _ => with_other_tail(token, random),
            }
        },
        |token| refuse(&sessions, token),
    );
    let ends = ["payload's first", "last but four"];
    let places = ["same tail", "other tail"];
    Ok(vec![
        row(
            "verify: a noted token but for one character",
            ends,
            &samples,
            [0, 1],
            Verdict::Secret,
        ),
        row(
            "verify: whether a token with such a tail is noted",
            places,
            &samples,
            [1, 2],
            Verdict::Told,
        ),
    ])
}
