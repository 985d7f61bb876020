//! `tessera token`: decodes and verifies tokens.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Subcommand;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tessera::store::MemoryStore;
use tessera::{Sessions, Timestamp};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::key_ring::KeySource;
use crate::output::say;
use crate::policy::TokenFlags;
use crate::store::DATA_DIRECTORY;
use crate::{duration, moment};

#[derive(Subcommand)]
pub(crate) enum Token {
    /// Decode a token without verifying it; the session id is shown only as its public id.
    Inspect {
        /// The token; `-` reads it from standard input, which no list of processes shows
        token: String,
    },
    /// Verify a token's MAC, dates, issuer and audience. The end of its session is known only to the store, and not
    /// detected.
    Verify {
        /// The token; `-` reads it from standard input, which no list of processes shows
        token: String,
        /// The key file [default: ./tessera-data/keys.json]
        #[arg(long, value_name = "PATH", env = "TESSERA_KEY_FILE")]
        key_file: Option<PathBuf>,
        /// Refuse a token that was issued longer ago than this
        #[arg(long, value_name = "TIME", value_parser = duration::parse)]
        max_age: Option<Duration>,
        #[command(flatten)]
        tokens: TokenFlags,
    },
}

/// Maximum length of the input: longer than any token with white space around it.
const MAXIMUM_INPUT_BYTES: u64 = 16 * 1024;

impl Token {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Inspect { token } => inspect(&read(token)?),
            Self::Verify {
                token,
                key_file,
                max_age,
                tokens,
            } => {
                let keys = KeySource::choose(key_file, Path::new(DATA_DIRECTORY))?;
                verify(&read(token)?, &keys, max_age, tokens)
            }
        }
    }
}

/// Reads a token from the argument or, for `-`, from standard input.
pub(crate) fn read(argument: String) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(argument);
    if *text == "-" {
        text.clear();
        let read = std::io::stdin()
            .take(MAXIMUM_INPUT_BYTES)
            .read_to_string(&mut text);
        read.map_err(Failure::during("cannot read the token from standard input"))?;
    }
    Ok(Zeroizing::new(text.trim().to_owned()))
}

fn inspect(token: &str) -> Result<(), Failure> {
    let said =
        decode(token).ok_or_else(|| Failure::new("this is neither a compact token nor a JWT of Tessera"))?;
    let text = serde_json::to_string_pretty(&said)
        .map_err(Failure::during("cannot serialise the token's content"))?;
    say(&format!("{text}\n"))?;
    crate::output::complain("not verified: anyone can write such a token; see `tessera token verify`");
    Ok(())
}

fn decode(token: &str) -> Option<Value> {
    let segments: Vec<&str> = token.split('.').collect();
    match segments[..] {
        ["ts1", key, payload, _mac] => decode_compact(key, payload),
        [header, payload, _mac] => decode_jwt(header, payload),
        _ => None,
    }
}

/// The payload: session id (16 bytes), generation (4), raised (6), issued (6), absolute end (6).
fn decode_compact(key: &str, payload: &str) -> Option<Value> {
    let payload: [u8; 38] = URL_SAFE_NO_PAD.decode(payload).ok()?.try_into().ok()?;
    let number = |from: usize, to: usize| {
        payload[from..to]
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    };
    let show = |from, to| moment::show(Timestamp::from_millis(number(from, to)));
    Some(json!({
        "format": "compact",
        "key": key,
        "public_id": public_id(&payload[..16]),
        "generation": number(16, 20),
        "raised": show(20, 26),
        "issued": show(26, 32),
        "ends": show(32, 38),
    }))
}

fn decode_jwt(header: &str, payload: &str) -> Option<Value> {
    let decode =
        |segment| serde_json::from_slice::<Map<String, Value>>(&URL_SAFE_NO_PAD.decode(segment).ok()?).ok();
    let (header, mut claims) = (decode(header)?, decode(payload)?);
    // The session id is half of a login, so it is shown as the hash that logs contain.
    if let Some(id) = claims.remove("sid") {
        let id = id.as_str().and_then(|id| URL_SAFE_NO_PAD.decode(id).ok())?;
        claims.insert("public_id".into(), public_id(&id).into());
    }
    for (claim, name) in [("iat", "issued"), ("exp", "expires")] {
        if let Some(seconds) = claims.get(claim).and_then(Value::as_u64) {
            claims.insert(
                name.into(),
                moment::show(Timestamp::from_millis(seconds.saturating_mul(1000))).into(),
            );
        }
    }
    Some(json!({ "format": "jwt", "header": header, "claims": claims }))
}

/// The public id of a session, for logs and pages: the engine's hash of the constant part of its id.
pub(crate) fn public_id(id: &[u8]) -> String {
    const STAYS: usize = 9;
    let digest = Sha256::new()
        .chain_update(b"tessera reference\0")
        .chain_update(id.get(..STAYS).unwrap_or(id))
        .finalize();
    URL_SAFE_NO_PAD.encode(&digest[..16])
}

fn verify(
    token: &str,
    keys: &KeySource,
    max_age: Option<Duration>,
    flags: TokenFlags,
) -> Result<(), Failure> {
    let keys = keys.read()?;
    let builder = Sessions::builder();
    let builder = keys
        .to_keys()
        .into_iter()
        .fold(flags.apply(builder.instances(1)), |builder, key| builder.key(key));
    let sessions = builder
        .build(MemoryStore::new())
        .map_err(Failure::during("cannot configure the engine"))?;
    let claims = sessions
        .verify(token, max_age)
        .map_err(Failure::during("verification failed"))?;
    let said = json!({
        "public_id": claims.public_id,
        "generation": claims.generation,
        "issued": moment::show(claims.issued_at),
        "expires": moment::show(claims.expires_at),
        "subject": claims.subject,
        "data": claims.data.into_iter().map(|(name, text)| (name, Value::from(text))).collect::<Map<_, _>>(),
    });
    let text = serde_json::to_string_pretty(&said)
        .map_err(Failure::during("cannot serialise the token's content"))?;
    say(&format!("{text}\n"))
}
