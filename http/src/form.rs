//! Recognises texts that have the form of a Tessera token, whether or not the token is valid.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// The header of a Tessera JWT is at most this long, in bytes; the engine refuses a longer one.
const MAXIMUM_HEADER_BYTES: usize = 256;
/// The `typ` of a Tessera JWT (RFC 8725, section 3.11).
const TYPE: &str = "tessera+jwt";

#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    typ: std::borrow::Cow<'a, str>,
}

/// Whether the text may be meant as a Tessera token, even a damaged, forged or expired one, or one of another deployment.
/// Any other text is the credential of another system. Reads at most the first few hundred bytes.
pub(crate) fn is_ours(text: &str) -> bool {
    is_compact(text.as_bytes()) || is_jwt(text)
}

/// The prefix `ts1.`, or that of a later version.
fn is_compact(text: &[u8]) -> bool {
    matches!(text, [b't', b's', digit, b'.', ..] if digit.is_ascii_digit())
}

/// A JWT with the `typ` of Tessera in its header.
fn is_jwt(text: &str) -> bool {
    let start = text.get(..text.len().min(MAXIMUM_HEADER_BYTES * 4 / 3 + 1));
    let Some((header, _)) = start.and_then(|start| start.split_once('.')) else {
        return false;
    };
    let Ok(header) = URL_SAFE_NO_PAD.decode(header) else {
        return false;
    };
    serde_json::from_slice(&header).is_ok_and(|header: Header<'_>| header.typ == TYPE)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::is_ours;

    fn jwt(header: &str) -> String {
        format!("{}.e30.c2ln", URL_SAFE_NO_PAD.encode(header))
    }

    #[test]
    fn what_is_meant_as_a_token_of_ours_is_ours_however_bad() {
        for text in [
            "ts1.k.payload.mac",
            "ts1.",
            "ts2.k.payload.mac",
            &jwt(r#"{"alg":"HS256","typ":"tessera+jwt","kid":"k"}"#),
            &jwt(r#"{"typ":"tessera+jwt","alg":"none"}"#),
            &jwt(r#"{"typ":"tessera\u002bjwt"}"#),
        ] {
            assert!(is_ours(text), "{text}");
        }
    }

    #[test]
    fn a_credential_of_another_system_is_none_of_ours() {
        let long = format!(r#"{{"typ":"tessera+jwt","x":"{}"}}"#, "x".repeat(300));
        for text in [
            "",
            "null",
            "undefined",
            "ts1",
            "TS1.k.payload.mac",
            "0123456789abcdef",
            "ghp_abcdefghijklmnopqrstuvwxyz",
            "..",
            &jwt(r#"{"alg":"RS256","typ":"JWT","kid":"k"}"#),
            &jwt(r#"{"alg":"HS256"}"#),
            &jwt("[]"),
            &jwt(&long),
            &"é".repeat(400),
            &"x".repeat(1 << 20),
        ] {
            assert!(!is_ours(text), "{text:.80}");
        }
    }
}
