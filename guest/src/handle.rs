//! Handles: the texts that identify open sessions between calls.
//!
//! A handle identifies the session, the token that opened it, and the version of the record that was read. A call reads
//! everything else from the record.
//! A handle is not authenticated and its holder can write the session, so that it must not leave the process.
//!
//! The handle of a session is `h1.` and, in base64url: the engine's tag (8 bytes), session id (16), public id (16), generation
//! counter (4), the generation's timestamp (6), the token's time of issue (6), the token's expiry (6), version (8). All numbers
//! are big-endian. The handle of a draft is `d1.` and the tag.
//! The public id can be derived from the session id. A handle contains it because the hash costs more than all other parts.

use sha2::{Digest, Sha256};

use crate::encoding;
use crate::error::{Error, Kind};
use crate::generation::Generation;
use crate::id::{PublicId, SessionId};
use crate::policy::{Policy, TokenFormat};

const SAVED: &str = "h1.";
const DRAFT: &str = "d1.";
const TAG_BYTES: usize = 8;
const SAVED_BYTES: usize = 70;

/// Distinguishes the handles of engines that issue other tokens or use other keys in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag([u8; TAG_BYTES]);

impl Tag {
    /// Computes the tag of a policy from its issuer, audience, token format and key prefix.
    pub fn of(policy: &Policy) -> Self {
        let format = match policy.token_format {
            TokenFormat::Compact => "compact",
            TokenFormat::Jwt => "jwt",
        };
        let mut hash = Sha256::new().chain_update(b"tessera handle\0");
        for part in [&policy.issuer, &policy.audience, format, &policy.key_prefix] {
            // Lengths first, so that no two policies have the same bytes.
            hash.update((part.len() as u32).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&hash.finalize()[..TAG_BYTES]);
        Self(tag)
    }
}

/// The content of the handle of a saved session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Saved {
    /// The id of the session.
    pub id: SessionId,
    /// The token that opened the session.
    pub shown: Shown,
    /// The version of the record that was read.
    pub version: u64,
}

/// The data of the token that opened a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The generation of the presented token, or of the token that an authentication has issued.
    pub generation: Generation,
    /// When the token was issued; 0 where no token was presented.
    pub issued_at: u64,
    /// The token is refused from this moment on; 0 where no token was presented.
    pub token_expires_at: u64,
    /// The session's public id.
    pub public_id: PublicId,
}

// An id is part of a credential and must not reach a log.
impl core::fmt::Debug for Saved {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Saved(..)")
    }
}

/// The content of a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handle {
    /// A session that was never saved.
    Draft,
    /// A saved session.
    Saved(Saved),
}

/// Writes the low bytes of a number. A number that does not fit becomes the greatest that does.
fn put(number: u64, onto: &mut [u8]) {
    let bytes = number.to_be_bytes();
    let (leading, kept) = bytes.split_at(bytes.len() - onto.len());
    if leading.iter().all(|byte| *byte == 0) {
        onto.copy_from_slice(kept);
    } else {
        onto.fill(0xff);
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl Handle {
    /// Returns the text of the handle.
    pub fn write(&self, tag: Tag) -> String {
        let Self::Saved(saved) = self else {
            let mut text = DRAFT.to_owned();
            encoding::encode_onto(&tag.0, &mut text);
            return text;
        };
        let mut bytes = [0; SAVED_BYTES];
        bytes[..8].copy_from_slice(&tag.0);
        bytes[8..24].copy_from_slice(&saved.id.0);
        bytes[24..40].copy_from_slice(&saved.shown.public_id.0);
        put(saved.shown.generation.counter.into(), &mut bytes[40..44]);
        put(saved.shown.generation.raised_at, &mut bytes[44..50]);
        put(saved.shown.issued_at, &mut bytes[50..56]);
        put(saved.shown.token_expires_at, &mut bytes[56..62]);
        put(saved.version, &mut bytes[62..70]);
        let mut text = String::with_capacity(SAVED.len() + 94);
        text.push_str(SAVED);
        encoding::encode_onto(&bytes, &mut text);
        text
    }

    /// Parses a handle of the engine with this tag.
    ///
    /// # Errors
    /// `InvalidArgument` for a handle that is damaged, too long, or from another engine.
    pub fn read(text: &str, tag: Tag) -> Result<Self, Error> {
        read(text, tag).ok_or_else(|| {
            let reason = "is damaged, or its engine has another issuer, audience, token format or key prefix";
            Error::about(Kind::InvalidArgument, "handle", reason)
        })
    }
}

fn read(text: &str, tag: Tag) -> Option<Handle> {
    if let Some(draft) = text.strip_prefix(DRAFT) {
        let shown: [u8; TAG_BYTES] = encoding::decode_exact(draft)?;
        return (shown == tag.0).then_some(Handle::Draft);
    }
    let bytes: [u8; SAVED_BYTES] = encoding::decode_exact(text.strip_prefix(SAVED)?)?;
    if bytes[..8] != tag.0 {
        return None;
    }
    let (mut id, mut public_id) = ([0; 16], [0; PublicId::BYTES]);
    id.copy_from_slice(&bytes[8..24]);
    public_id.copy_from_slice(&bytes[24..40]);
    let shown = Shown {
        generation: Generation {
            counter: number(&bytes[40..44]) as u32,
            raised_at: number(&bytes[44..50]),
        },
        issued_at: number(&bytes[50..56]),
        token_expires_at: number(&bytes[56..62]),
        public_id: PublicId(public_id),
    };
    Some(Handle::Saved(Saved {
        id: SessionId(id),
        shown,
        version: number(&bytes[62..70]),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> Handle {
        Handle::Saved(Saved {
            id: SessionId([9; 16]),
            shown: Shown {
                generation: Generation {
                    counter: 7,
                    raised_at: 1_767_225_600_001,
                },
                issued_at: 1_767_225_600_002,
                token_expires_at: crate::call::MAXIMUM_TIMESTAMP_MS,
                public_id: SessionId([9; 16]).public_id(),
            },
            version: u64::MAX - 1,
        })
    }

    #[test]
    fn a_handle_is_read_back_by_its_own_engine_alone() {
        let tag = Tag::of(&Policy::default());
        for handle in [Handle::Draft, saved()] {
            let text = handle.write(tag);
            assert_eq!(Handle::read(&text, tag).unwrap(), handle);
            let changes: [fn(&mut Policy); 4] = [
                |policy| policy.issuer = "i".into(),
                |policy| policy.audience = "i".into(),
                |policy| policy.token_format = TokenFormat::Jwt,
                |policy| policy.key_prefix = "p:".into(),
            ];
            for change in changes {
                let mut policy = Policy::default();
                change(&mut policy);
                assert!(
                    Handle::read(&text, Tag::of(&policy)).is_err_and(|error| error.is(Kind::InvalidArgument))
                );
            }
            // Other policy fields do not change the tag.
            let other = Policy {
                idle_timeout_ms: 9_999,
                ..Policy::default()
            };
            assert!(Handle::read(&text, Tag::of(&other)).is_ok());
        }
    }

    /// Gateways can issue JWTs with dates beyond the range of the engine's clock.
    #[test]
    fn a_moment_too_late_to_be_written_stays_a_late_one() {
        let (tag, Handle::Saved(saved)) = (Tag::of(&Policy::default()), saved()) else {
            panic!("it was saved");
        };
        let until = |token_expires_at| {
            let shown = Shown {
                token_expires_at,
                ..saved.shown
            };
            Handle::Saved(Saved { shown, ..saved })
        };
        let read = Handle::read(&until((1 << 48) + 5).write(tag), tag).unwrap();
        assert_eq!(read, until(crate::call::MAXIMUM_TIMESTAMP_MS));
    }

    #[test]
    fn a_damaged_handle_is_refused_without_a_word_of_it() {
        let tag = Tag::of(&Policy::default());
        for handle in [Handle::Draft, saved()] {
            let text = handle.write(tag);
            for length in 0..text.len() {
                assert!(Handle::read(&text[..length], tag).is_err(), "{length}");
            }
            for longer in [format!("{text}A"), format!("{text}="), format!(" {text}")] {
                let error = Handle::read(&longer, tag).unwrap_err();
                assert!(!format!("{error:?}").contains(&text[3..]));
            }
        }
        assert!(!format!("{:?}", saved()).contains('9'));
    }
}
