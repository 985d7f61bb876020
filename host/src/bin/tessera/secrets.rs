//! The key ring and the service key: read, made at first start, never printed but once.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tessera::http::api::ServiceKey;
use tessera::{SigningKey, Timestamp};
use zeroize::{Zeroize, Zeroizing};

use crate::{Failure, files, moment};

/// Where the service key is taken from before any file.
pub(crate) const SERVICE_KEY_VARIABLE: &str = "TESSERA_SERVICE_KEY";
const SECRET_BYTES: usize = 32;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    keys: Vec<StoredKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    id: String,
    /// Base64url without padding.
    secret: String,
}

impl Drop for StoredKey {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// Makes a key with 32 random bytes, and an id that says the day where none is given.
pub(crate) fn new_key(id: Option<String>) -> Result<SigningKey, Failure> {
    let id = match id {
        Some(id) => id,
        None => new_id()?,
    };
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !(1..=32).contains(&id.len()) || !id.bytes().all(is_fit) {
        return Err(Failure::new("a key id is 1 to 32 letters, digits, `_` and `-`"));
    }
    Ok(SigningKey::new(id, random::<SECRET_BYTES>()?.to_vec()))
}

/// `261231` and three letters: short, because it stands in every token.
fn new_id() -> Result<String, Failure> {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let (year, month, day) = moment::date(Timestamp::now());
    let mut id = format!("{:02}{month:02}{day:02}", year % 100);
    id.extend(
        random::<3>()?
            .iter()
            .map(|byte| char::from(LETTERS[usize::from(byte % 32)])),
    );
    Ok(id)
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, Failure> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes).map_err(Failure::during("the operating system gives no random bytes"))?;
    Ok(bytes)
}

/// Writes keys as the key file has them.
pub(crate) fn write_keys(keys: &[SigningKey]) -> Result<Zeroizing<String>, Failure> {
    let stored = |key: &SigningKey| StoredKey {
        id: key.id().to_owned(),
        secret: URL_SAFE_NO_PAD.encode(key.secret()),
    };
    let file = KeyFile {
        keys: keys.iter().map(stored).collect(),
    };
    let mut text = serde_json::to_string_pretty(&file).map_err(Failure::during("cannot write the keys"))?;
    text.push('\n');
    Ok(Zeroizing::new(text))
}

/// Reads a key file; `None` if there is none.
pub(crate) fn read_keys(path: &Path) -> Result<Option<Vec<SigningKey>>, Failure> {
    let Some(text) = files::read_secret(path)? else {
        return Ok(None);
    };
    let unfit = |what: String| Failure::new(format!("{} is not a key file: {what}", path.display()));
    // serde's own message may quote the file.
    let file: KeyFile = serde_json::from_str(&text)
        .map_err(|error| unfit(format!("see line {}, column {}", error.line(), error.column())))?;
    let read = file.keys.iter().map(|key| {
        let secret = URL_SAFE_NO_PAD.decode(&key.secret);
        secret.map(|secret| SigningKey::new(key.id.clone(), secret))
    });
    let keys: Result<Vec<SigningKey>, _> = read.collect();
    let keys = keys.map_err(|_| unfit("a secret is not base64url without padding".into()))?;
    if keys.is_empty() {
        return Err(unfit("it holds no key".into()));
    }
    Ok(Some(keys))
}

/// Reads the key ring, or makes one with a new key; answers whether it was made.
pub(crate) fn keys_or_new(path: &Path) -> Result<(Vec<SigningKey>, bool), Failure> {
    if let Some(keys) = read_keys(path)? {
        return Ok((keys, false));
    }
    let keys = vec![new_key(None)?];
    files::create_secret(path, &write_keys(&keys)?)?;
    Ok((keys, true))
}

/// Where a service key came from.
pub(crate) enum Origin {
    /// The environment.
    Variable,
    /// A file that was there.
    File(PathBuf),
    /// A file that was made now, with this key.
    Made(PathBuf, Zeroizing<String>),
}

/// Takes the service key from the environment or the file; makes the file if there is neither.
pub(crate) fn service_key(path: &Path) -> Result<(ServiceKey, Origin), Failure> {
    if let Some(text) = std::env::var_os(SERVICE_KEY_VARIABLE) {
        // What is not Unicode is not visible ASCII either, and refused as an empty key is.
        let text = Zeroizing::new(text.into_string().unwrap_or_default());
        return Ok((checked(&text, SERVICE_KEY_VARIABLE)?, Origin::Variable));
    }
    if let Some(text) = files::read_secret(path)? {
        return Ok((
            checked(&text, &path.display().to_string())?,
            Origin::File(path.to_owned()),
        ));
    }
    let text = Zeroizing::new(format!(
        "tsk_{}",
        URL_SAFE_NO_PAD.encode(*random::<SECRET_BYTES>()?)
    ));
    files::create_secret(path, &Zeroizing::new(format!("{}\n", *text)))?;
    let key = checked(&text, &path.display().to_string())?;
    Ok((key, Origin::Made(path.to_owned(), text)))
}

fn checked(text: &str, place: &str) -> Result<ServiceKey, Failure> {
    ServiceKey::new(text).map_err(Failure::during(format!("the service key in {place} is refused")))
}
