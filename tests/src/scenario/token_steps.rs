//! Steps without an engine: the clock, damaged and forged tokens, records written by hand.

use std::sync::Arc;

use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tessera::Timestamp;
use tessera::store::{Condition, Expected, Methods, Placement, Store as _, StoreService};

use super::BEGINNING_MS;
use super::compare::Match;
use super::runner::Runner;
use crate::adapter::args::{Args, as_list, as_text};
use crate::adapter::value::{base64url, from_base64url};
use crate::adapter::{Adapter, Outcome, outcome};

const MINUTE_MS: u64 = 60_000;

impl<S: StoreService, A: Adapter<S>> Runner<S, A> {
    pub(super) async fn token_step(&mut self, what: &str, args: Args) -> Result<(Outcome, Match), String> {
        let mut args = args;
        let answer = match what {
            "advance" => {
                self.clock.set(self.clock.read() + args.number("ms")?);
                Value::Null
            }
            "set-clock" => {
                let to = args.value("to")?.as_i64().ok_or("\"to\" is not a whole number")?;
                let moment = BEGINNING_MS
                    .checked_add_signed(to)
                    .ok_or("\"to\" is before 1970")?;
                self.clock.set(moment);
                Value::Null
            }
            "tamper" => {
                let (token, name, edits) = (args.text("token")?, args.text("as")?, args.list("edits")?);
                let tampered = edits.iter().try_fold(token, |token, edit| tamper(&token, edit))?;
                self.variables.insert(name, tampered);
                Value::Null
            }
            "forge" => {
                let (name, forged) = (args.text("as")?, forge(&mut args)?);
                self.variables.insert(name, forged);
                Value::Null
            }
            "compare" => {
                let texts = args.list("texts")?;
                let (Some(first), rest) = (texts.first(), texts.get(1..).unwrap_or_default()) else {
                    return Err("`compare` needs at least one text".to_owned());
                };
                Value::from(if rest.iter().all(|text| text == first) {
                    "same"
                } else {
                    "different"
                })
            }
            "measure" => return self.measure(args).map(|answer| (Ok(answer), Match::Members)),
            _ => return self.record_step(what, args).await,
        };
        args.finish()?;
        Ok((Ok(answer), Match::Members))
    }

    fn measure(&self, mut args: Args) -> Result<Value, String> {
        let text = args.text("text")?;
        let (most, start) = (
            args.optional_number("at-most-bytes")?,
            args.text_or("starts-with", "")?,
        );
        args.finish()?;
        if most.is_some_and(|most| text.len() as u64 > most) {
            return Err(format!("the text has {} bytes", text.len()));
        }
        if !text.starts_with(&start) {
            return Err(format!("the text does not start with {start:?}"));
        }
        Ok(json!({ "bytes": text.len() }))
    }

    async fn record_step(&mut self, what: &str, mut args: Args) -> Result<(Outcome, Match), String> {
        let prefix = self.key_prefix(&mut args).await?;
        let key = format!("{prefix}{}", session_id(&args.text("token")?)?);
        let (store, now) = (
            Methods(Arc::clone(self.store.inner())),
            Timestamp::from_millis(self.clock.read()),
        );
        let entry = store.get(now, &key, true).await.ok();
        let outcome = match (what, entry) {
            ("put-record", entry) => {
                let mut at = args_placement(&mut args, now)?;
                let text = new_text(&mut args, entry.as_ref().map(|entry| &*entry.value))?;
                let written = match entry {
                    Some(entry) => {
                        // A record with other generations gets another guard, as with the engine.
                        let is_other = generations(&text) != generations(&entry.value);
                        at.guard = is_other.then(|| entry.guard.wrapping_add(1));
                        let expected = Expected::Version(entry.version);
                        store.replace(now, &key, &text, expected, &at).await
                    }
                    None => store.insert(now, &key, &text, &at).await,
                };
                written.map_err(|error| format!("the record cannot be written: {error}"))?;
                Ok(Value::Null)
            }
            (_, None) => Err(outcome::error_of("missing")),
            ("delete-record", Some(entry)) => {
                let deleted = store.delete(now, &key, &Condition::Guard(entry.guard)).await;
                deleted.map_err(|error| format!("the record cannot be deleted: {error}"))?;
                Ok(Value::Null)
            }
            (_, Some(entry)) => {
                if let Some(name) = args.optional_text("text-as")? {
                    self.variables.insert(name, entry.value.to_string());
                }
                let mut record = serde_json::from_str(&entry.value).unwrap_or(Value::Null);
                if let Some(record) = record.as_object_mut() {
                    let expires_at = entry.expires_at.as_millis().checked_signed_diff(BEGINNING_MS);
                    record.insert("expires-at".to_owned(), json!(expires_at));
                    record.insert("bytes".to_owned(), json!(entry.value.len()));
                }
                Ok(record)
            }
        };
        args.optional_text("text-as")?;
        args.finish()?;
        Ok((outcome, Match::Members))
    }
}

/// The part of a record's text that determines the accepted tokens.
fn generations(text: &str) -> Option<&str> {
    let from = text.find("\"generation\":")?;
    let until = text.find("\"writes\":")?;
    text.get(from..until)
}

/// The session id in a token, in the form of the store's key.
fn session_id(token: &str) -> Result<String, String> {
    let unfit = || "the token contains no session id".to_owned();
    let segments: Vec<&str> = token.split('.').collect();
    match segments[..] {
        ["ts1", _, payload, _] => {
            let payload = from_base64url(payload)?;
            Ok(base64url(payload.get(..16).ok_or_else(unfit)?))
        }
        [_, payload, _] => {
            let claims: Value =
                serde_json::from_slice(&from_base64url(payload)?).map_err(|error| error.to_string())?;
            claims
                .get("sid")
                .and_then(Value::as_str)
                .map(str::to_owned)
                .ok_or_else(unfit)
        }
        _ => Err(unfit()),
    }
}

fn args_placement(args: &mut Args, now: Timestamp) -> Result<Placement, String> {
    let mut moment = |name: &str, default: u64| {
        let given = args.optional_number(name)?.map(|moment| BEGINNING_MS + moment);
        Ok::<_, String>(Timestamp::from_millis(given.unwrap_or(now.as_millis() + default)))
    };
    let (expires_at, ends_at) = (
        moment("expires-at", 30 * MINUTE_MS)?,
        moment("ends-at", 24 * 60 * MINUTE_MS)?,
    );
    let (owner, previous_owner) = (
        args.optional_text("owner")?,
        args.optional_text("previous-owner")?,
    );
    Ok(Placement {
        owner,
        previous_owner,
        guard: None,
        expires_at,
        ends_at,
    })
}

/// Returns the text of the step, the text of a file under `tests/`, or the record's text with edits.
fn new_text(args: &mut Args, old: Option<&str>) -> Result<String, String> {
    if let Some(text) = args.optional_text("text")? {
        return Ok(text);
    }
    if let Some(file) = args.optional_text("file")? {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
        let text = std::fs::read_to_string(path).map_err(|error| format!("{file}: {error}"))?;
        return Ok(text.trim_end().to_owned());
    }
    let old = old.ok_or("the record to edit is missing")?;
    exchange(old, &args.list("edits")?)
}

/// Replaces texts once each. A text that does not occur is an error.
fn exchange(text: &str, edits: &[Value]) -> Result<String, String> {
    edits.iter().try_fold(text.to_owned(), |text, edit| {
        let pair = as_list("edits", edit.clone())?;
        let [from, to] = &pair[..] else {
            return Err(format!("{edit} is not a pair of texts"));
        };
        let (from, to) = (as_text("edits", from)?, as_text("edits", to)?);
        if from.is_empty() {
            return Ok(to + &text);
        }
        if !text.contains(&from) {
            return Err(format!("{from:?} does not occur in the text"));
        }
        Ok(text.replacen(&from, &to, 1))
    })
}

/// Makes a JWT from another one by edits of its header and claims. Signs it again if there is a key.
fn forge(args: &mut Args) -> Result<String, String> {
    let from = args.text("from")?;
    let (header, claims) = (args.one_or_more("header"), args.one_or_more("claims"));
    let key = args.optional_text("key")?;
    let segments: Vec<&str> = from.split('.').collect();
    let [old_header, old_claims, mac] = segments[..] else {
        return Err("the token is not a JWT".to_owned());
    };
    let part = |segment: &str, edits: &[Value]| {
        let text = String::from_utf8(from_base64url(segment)?).map_err(|error| error.to_string())?;
        Ok::<_, String>(base64url(exchange(&text, edits)?.as_bytes()))
    };
    let signed = format!("{}.{}", part(old_header, &header)?, part(old_claims, &claims)?);
    let mac = match key {
        None => mac.to_owned(),
        Some(key) => mac_of(&key, &signed)?,
    };
    Ok(format!("{signed}.{mac}"))
}

/// Returns HMAC-SHA256 in base64url, under a key in base64url.
fn mac_of(key: &str, text: &str) -> Result<String, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&from_base64url(key)?).map_err(|error| error.to_string())?;
    mac.update(text.as_bytes());
    Ok(base64url(&mac.finalize().into_bytes()))
}

/// Applies one edit to a token's text. Dots separate the segments.
fn tamper(token: &str, edit: &Value) -> Result<String, String> {
    let mut args = Args::new(edit)?;
    let mut segments: Vec<String> = token.split('.').map(str::to_owned).collect();
    if let Some(text) = args.optional_text("append")? {
        return Ok(format!("{token}{text}"));
    }
    if let Some(text) = args.optional_text("prepend")? {
        return Ok(format!("{text}{token}"));
    }
    if let Some(count) = args.optional_number("keep")? {
        return token
            .get(..count as usize)
            .map(str::to_owned)
            .ok_or_else(|| "the token is shorter".to_owned());
    }
    if let Some(dropped) = args.optional_number("drop-segment")? {
        if dropped as usize >= segments.len() {
            return Err("the token has no such segment".to_owned());
        }
        segments.remove(dropped as usize);
        return Ok(segments.join("."));
    }
    if let Some(key) = args.optional_text("sign")? {
        segments.pop();
        let signed = segments.join(".");
        return Ok(format!("{signed}.{}", mac_of(&key, &signed)?));
    }
    let segment = args.number("segment")? as usize;
    let text = segments.get_mut(segment).ok_or("the token has no such segment")?;
    if let Some(place) = args.optional_number("flip")? {
        *text = flip(text, place as usize)?;
    } else if args.optional("spare-bits").is_some() {
        *text = with_spare_bits(text)?;
    } else if let Some(other) = args.optional_number("swap")? {
        segments.swap(segment, other as usize);
    } else if let Some(from) = args.optional_text("of")? {
        *text = from
            .split('.')
            .nth(segment)
            .ok_or("the other token has no such segment")?
            .to_owned();
    } else {
        *text = args.text("text")?;
    }
    args.finish()?;
    Ok(segments.join("."))
}

/// Replaces one character by another one of base64url.
fn flip(text: &str, place: usize) -> Result<String, String> {
    let mut characters: Vec<char> = text.chars().collect();
    let there = characters.get_mut(place).ok_or("the segment is shorter")?;
    *there = if *there == 'A' { 'Q' } else { 'A' };
    Ok(characters.into_iter().collect())
}

/// Returns another encoding of the same bytes, with an unused bit set at the end.
fn with_spare_bits(text: &str) -> Result<String, String> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    if text.len().is_multiple_of(4) {
        return Err("the segment has no spare bits".to_owned());
    }
    let last = text
        .chars()
        .last()
        .and_then(|last| ALPHABET.find(last))
        .ok_or("the segment is not base64url")?;
    let other = ALPHABET
        .chars()
        .nth(last | 1)
        .ok_or("the segment is not base64url")?;
    Ok(format!("{}{other}", &text[..text.len() - 1]))
}
