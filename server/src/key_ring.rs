//! The key ring: its sources, and how its keys are added, promoted and retired.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tessera::{SigningKey, Timestamp};
use zeroize::{Zeroize, Zeroizing};

use crate::failure::Failure;
use crate::files::{self, Created};
use crate::{moment, secrets};

/// The environment variable that replaces the key file. Its value is the text of a key file.
pub(crate) const KEYS_VARIABLE: &str = "TESSERA_KEYS";
const SECRET_BYTES: usize = 32;
/// Maximum number of keys, as in the engine.
const MAXIMUM_KEYS: usize = 64;
/// How long a running service may keep signing after the file has changed: it reads the file every few seconds, and clocks
/// differ.
const SIGNS_ON: Duration = Duration::from_secs(60);

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
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signed_until: Option<u64>,
}

impl Drop for StoredKey {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// A key of the ring.
pub(crate) struct RingKey {
    pub(crate) key: SigningKey,
    /// When another key replaced this one as the signing key, if that is known.
    pub(crate) signed_until: Option<Timestamp>,
}

/// The keys that sign and verify tokens: the first signs, all verify.
pub(crate) struct KeyRing(Vec<RingKey>);

/// The source of a key ring.
#[derive(Clone, Debug)]
pub(crate) enum KeySource {
    /// The environment.
    Variable,
    /// A key file.
    File(PathBuf),
}

impl KeySource {
    /// Selects the environment, or else the given file, or else the file in the data directory.
    pub(crate) fn choose(file: Option<PathBuf>, data: &Path) -> Result<Self, Failure> {
        match (variable().is_some(), file) {
            (true, Some(_)) => Err(Failure::new(format!(
                "{KEYS_VARIABLE} and a key file are both given: use only one of them"
            ))),
            (true, None) => Ok(Self::Variable),
            (false, Some(path)) => Ok(Self::File(path)),
            (false, None) => Ok(Self::File(data.join("keys.json"))),
        }
    }

    /// The name of the source in messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Variable => KEYS_VARIABLE.to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// Reads the ring, and prints a warning if others may be able to read it.
    pub(crate) fn read(&self) -> Result<KeyRing, Failure> {
        self.read_by(files::Secret::with_warning_shown)
    }

    /// Reads the ring again, without a warning.
    pub(crate) fn read_again(&self) -> Result<KeyRing, Failure> {
        self.read_by(|secret| secret.text)
    }

    fn read_by(&self, text_of: impl FnOnce(files::Secret) -> Zeroizing<String>) -> Result<KeyRing, Failure> {
        let text = match self {
            Self::Variable => variable(),
            Self::File(path) => files::read_secret(path)?.map(text_of),
        };
        let text = text.ok_or_else(|| Failure::new(format!("there is no file {}", self.name())))?;
        KeyRing::parse(&text, &self.name())
    }

    /// Reads the ring, or creates the file with a new key. Also returns whether the file was created.
    pub(crate) fn read_or_make(&self) -> Result<(KeyRing, bool), Failure> {
        let Self::File(path) = self else {
            return Ok((self.read()?, false));
        };
        let new = || KeyRing::with(new_key(None)?).text();
        let (text, created) = files::read_or_create_secret(path, new)?;
        Ok((KeyRing::parse(&text, &self.name())?, created == Created::Now))
    }
}

/// The value of the variable, unless it is blank. A value that is not Unicode is replaced by one that the parser refuses.
fn variable() -> Option<Zeroizing<String>> {
    let text = Zeroizing::new(
        std::env::var_os(KEYS_VARIABLE)?
            .into_string()
            .unwrap_or("?".into()),
    );
    (!text.trim().is_empty()).then_some(text)
}

/// Creates a key with 32 random bytes. The default id contains the date.
pub(crate) fn new_key(id: Option<String>) -> Result<SigningKey, Failure> {
    let id = match id {
        Some(id) => id,
        None => new_id()?,
    };
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !(1..=32).contains(&id.len()) || !id.bytes().all(is_fit) {
        return Err(Failure::new("a key id is 1 to 32 letters, digits, `_` and `-`"));
    }
    Ok(SigningKey::new(id, secrets::random::<SECRET_BYTES>()?.to_vec()))
}

/// Creates an id: the date, as in `261231`, and three random characters. It is short because every token contains it.
fn new_id() -> Result<String, Failure> {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let (year, month, day) = moment::date(Timestamp::now());
    let mut id = format!("{:02}{month:02}{day:02}", year % 100);
    id.extend(
        secrets::random::<3>()?
            .iter()
            .map(|byte| char::from(LETTERS[usize::from(byte % 32)])),
    );
    Ok(id)
}

impl KeyRing {
    /// Creates a ring of one key.
    pub(crate) fn with(key: SigningKey) -> Self {
        Self(vec![RingKey {
            key,
            signed_until: None,
        }])
    }

    /// Parses the text of a key file. `name` is its source, for messages.
    fn parse(text: &str, name: &str) -> Result<Self, Failure> {
        let unfit = |why: String| Failure::new(format!("{name} is not a key file: {why}"));
        // serde's own message may quote the file.
        let file: KeyFile = serde_json::from_str(text)
            .map_err(|error| unfit(format!("see line {}, column {}", error.line(), error.column())))?;
        let read = file.keys.iter().map(|stored| {
            let secret = URL_SAFE_NO_PAD.decode(&stored.secret);
            let millis = |seconds: u64| Timestamp::from_millis(seconds.saturating_mul(1000));
            secret.map(|secret| RingKey {
                key: SigningKey::new(stored.id.clone(), secret),
                signed_until: stored.signed_until.map(millis),
            })
        });
        let keys: Result<Vec<RingKey>, _> = read.collect();
        let keys = keys.map_err(|_| unfit("a secret is not base64url without padding".into()))?;
        if keys.is_empty() {
            return Err(unfit("it contains no key".into()));
        }
        Ok(Self(keys))
    }

    /// The text of a key file.
    pub(crate) fn text(&self) -> Result<Zeroizing<String>, Failure> {
        let stored = |ring: &RingKey| StoredKey {
            id: ring.key.id().to_owned(),
            secret: URL_SAFE_NO_PAD.encode(ring.key.secret()),
            // Rounded up, so that the time is never earlier than the actual one.
            signed_until: ring.signed_until.map(|moment| moment.as_millis().div_ceil(1000)),
        };
        let file = KeyFile {
            keys: self.0.iter().map(stored).collect(),
        };
        let mut text =
            serde_json::to_string_pretty(&file).map_err(Failure::during("cannot write the keys"))?;
        text.push('\n');
        Ok(Zeroizing::new(text))
    }

    pub(crate) fn keys(&self) -> &[RingKey] {
        &self.0
    }

    /// The keys in the form that the engine takes.
    pub(crate) fn to_keys(&self) -> Vec<SigningKey> {
        self.0.iter().map(|ring| ring.key.clone()).collect()
    }

    /// Whether two rings have the same keys in the same order.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let key = |ring: &RingKey| {
            (
                ring.key.id().to_owned(),
                Zeroizing::new(ring.key.secret().to_vec()),
            )
        };
        self.0.iter().map(key).eq(other.0.iter().map(key))
    }

    /// Describes the ring to operators: which key signs, and which keys only verify.
    pub(crate) fn describe(&self) -> String {
        let mut ids = self.0.iter().map(|ring| ring.key.id());
        let signing = ids.next().unwrap_or_default();
        let rest: Vec<&str> = ids.collect();
        match rest[..] {
            [] => format!("{signing} signs"),
            _ => format!("{signing} signs; {} verify too", rest.join(", ")),
        }
    }

    /// Adds a key that verifies and does not sign.
    pub(crate) fn add(&mut self, key: SigningKey) -> Result<(), Failure> {
        if self.position(key.id()).is_ok() {
            return Err(Failure::new(format!("it already has a key {}", key.id())));
        }
        if self.0.len() >= MAXIMUM_KEYS {
            return Err(Failure::new(format!(
                "it has the maximum of {MAXIMUM_KEYS} keys: retire one first"
            )));
        }
        self.0.push(RingKey {
            key,
            signed_until: None,
        });
        Ok(())
    }

    /// Makes a key the signing key, and records when the previous one stopped signing.
    pub(crate) fn promote(&mut self, id: &str, now: Timestamp) -> Result<(), Failure> {
        let position = self.position(id)?;
        if position == 0 {
            return Err(Failure::new(format!("{id} is the signing key already")));
        }
        if let Some(previous) = self.0.first_mut() {
            previous.signed_until = Some(now);
        }
        let mut promoted = self.0.remove(position);
        promoted.signed_until = None;
        self.0.insert(0, promoted);
        Ok(())
    }

    /// Removes a key once no token that it signed can be valid.
    ///
    /// `lifetime` is the maximum lifetime of a session; `None` removes the key whatever it has signed.
    pub(crate) fn retire(
        &mut self,
        id: &str,
        lifetime: Option<Duration>,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let position = self.position(id)?;
        if position == 0 {
            return Err(Failure::new(format!(
                "{id} is the signing key: promote another key first"
            )));
        }
        if let Some(lifetime) = lifetime {
            let signed_until = self.0[position].signed_until.ok_or_else(|| {
                Failure::new(format!(
                    "the file does not record when {id} last signed: --force removes it, and ends the sessions whose tokens it signed"
                ))
            })?;
            let end = signed_until.saturating_add(lifetime).saturating_add(SIGNS_ON);
            if now < end {
                return Err(Failure::new(format!(
                    "tokens that {id} signed live until {}: --force removes it now, and ends their sessions",
                    moment::show(end)
                )));
            }
        }
        self.0.remove(position);
        Ok(())
    }

    fn position(&self, id: &str) -> Result<usize, Failure> {
        let position = self.0.iter().position(|ring| ring.key.id() == id);
        position.ok_or_else(|| Failure::new(format!("it has no key {id}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn ring() -> KeyRing {
        KeyRing::with(SigningKey::new("old", [1; 32]))
    }

    #[test]
    fn a_key_verifies_then_signs_then_goes_when_nothing_that_it_signed_can_live() {
        let mut ring = ring();
        ring.add(SigningKey::new("new", [2; 32])).expect("it is added");
        assert_eq!(ring.describe(), "old signs; new verify too");
        assert!(ring.retire("old", Some(DAY), NOW).is_err(), "it signs");
        ring.promote("new", NOW).expect("it is promoted");
        assert_eq!(ring.describe(), "new signs; old verify too");

        let kept = KeyRing::parse(&ring.text().expect("text"), "here").expect("its own text");
        assert!(kept.is_same(&ring));
        let (mut ring, end) = (kept, NOW.saturating_add(DAY).saturating_add(SIGNS_ON));
        let early = ring.retire("old", Some(DAY), end.saturating_sub(Duration::from_millis(1)));
        assert!(early.is_err_and(|error| error.to_string().contains("live until")));
        ring.retire("old", Some(DAY), end).expect("it is over");
        assert_eq!(ring.describe(), "new signs");
    }

    #[test]
    fn a_key_of_unknown_use_goes_by_force_alone() {
        let mut ring = ring();
        ring.add(SigningKey::new("other", [2; 32])).expect("it is added");
        assert!(ring.retire("other", Some(DAY), NOW).is_err());
        ring.retire("other", None, NOW).expect("by force");
        assert!(ring.retire("other", None, NOW).is_err(), "it is gone");
    }

    #[test]
    fn a_ring_takes_as_many_keys_as_the_engine_and_no_more() {
        let mut ring = ring();
        for number in 1..MAXIMUM_KEYS {
            ring.add(SigningKey::new(format!("k{number}"), [2; 32]))
                .expect("it fits");
        }
        assert!(ring.add(SigningKey::new("one-more", [2; 32])).is_err());
        let built = ring
            .to_keys()
            .into_iter()
            .fold(tessera::Sessions::builder(), |builder, key| builder.key(key));
        assert!(built.build(tessera::store::MemoryStore::new()).is_ok());
    }

    #[test]
    fn no_key_is_there_twice_and_none_is_promoted_that_signs() {
        let mut ring = ring();
        assert!(ring.add(SigningKey::new("old", [2; 32])).is_err());
        assert!(ring.promote("old", NOW).is_err());
        assert!(ring.promote("none", NOW).is_err());
    }
}
