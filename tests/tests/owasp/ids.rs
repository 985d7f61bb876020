//! What a session id is made of, and what becomes of one that is not ours.

use std::collections::HashSet;
use std::error::Error;
use std::sync::{Arc, Mutex};

use sha2::{Digest as _, Sha256};
use tessera::store::{StoreError, StoreOp, StoreReply, StoreService as _};
use tessera::{Clock as _, Random, TokenFormat};

use crate::independent::base64url;
use crate::site::{Site, handed_out, passes, sets_a_cookie};
use crate::tokens::{bytes, compact, id, id_of_jwt, with_another_mac};

const VISITORS: usize = 300;

/// A source whose every draw is another, and is written down.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<Vec<u8>>>>);

impl Random for Written {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut draws = self.0.lock().unwrap();
        let drawn = Sha256::digest(draws.len().to_be_bytes());
        bytes.copy_from_slice(&drawn[..bytes.len()]);
        draws.push(bytes.to_vec());
        Ok(())
    }
}

impl Written {
    fn draws(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap().clone()
    }
}

/// A source that always gives the same.
struct Repeating;

impl Random for Repeating {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        bytes.fill(0x5a);
        Ok(())
    }
}

/// ASVS 5.0, 7.2.3: tokens from a secure generator, with at least 128 bits of entropy. Cheat Sheet, "Session ID Length" and
/// "Session ID Entropy". NIST, section 5.1, item 2 of the requirements on session secrets.
///
/// What no sample can prove is shown by how an id comes about: 16 bytes that the random source gave for this session and for
/// nothing else, unchanged. The source is the operating system's unless a service brings another.
#[test]
fn a_session_id_is_128_bits_of_randomness_used_for_nothing_else() {
    for (format, read) in [
        (TokenFormat::Compact, id as fn(&str) -> [u8; 16]),
        (TokenFormat::Jwt, id_of_jwt),
    ] {
        let source = Written::default();
        let given = source.clone();
        let site = Site::with(|sessions| {
            let sessions = sessions.random(given);
            sessions.policy(|policy| {
                policy.token_format = format;
                (policy.issuer, policy.audience) = ("i".into(), "a".into());
            })
        });
        let mut browser = site.browser();
        let before = source.draws().len();
        let ids: Vec<[u8; 16]> = (0..VISITORS).map(|_| read(&browser.login("alice"))).collect();
        let draws = source.draws().split_off(before);
        assert_eq!(draws.len(), VISITORS, "one draw for each session");
        for (id, draw) in ids.iter().zip(&draws) {
            assert_eq!(id, &draw[..16]);
        }
    }
}

/// The same statement, of the source that is there by default: no two ids are the same, and no bit of them stands still.
#[test]
fn the_operating_system_s_ids_are_all_different_in_every_bit() {
    let site = Site::new();
    let mut browser = site.browser();
    let ids: HashSet<[u8; 16]> = (0..VISITORS).map(|_| id(&browser.login("alice"))).collect();
    assert_eq!(ids.len(), VISITORS);
    for bit in 0..128 {
        let set = ids.iter().filter(|id| id[bit / 8] >> (bit % 8) & 1 == 1).count();
        assert!((1..VISITORS).contains(&set), "bit {bit} is the same in all");
    }
}

/// Cheat Sheet, "Session ID Content (or Value)": meaningless, the meaning is kept at the server. NIST, section 5.1.1, item 7:
/// an opaque string, and no personal information in clear.
///
/// Given the same random bytes and the same moment, two sessions of two users with different fields have the same token, to
/// the last bit: neither who it is nor what is stored goes into it. Of the time, only the moments that stand beside the id do.
#[test]
fn a_session_id_has_no_meaning() {
    let login = |path: &str, later: u64| {
        let site = Site::with(|sessions| sessions.random(Repeating));
        site.wait_millis(later);
        handed_out(&site.browser().call("POST", path, None))
    };
    let alice = login("/login-with/alice/role/admin", 0);
    assert_eq!(alice, login("/login-with/bob/basket/42-a-long-text", 0));
    let later = login("/login-with/alice/role/admin", 3_600_000);
    assert_eq!(id(&later), id(&alice));
    assert_eq!(id(&alice), [0x5a; 16], "nothing is mixed into it");
    // All that stands in the token: the id, and three moments and a counter of six and four bytes.
    assert_eq!(bytes(&alice, 2).len(), 16 + 4 + 3 * 6);
    assert_eq!(alice.split('.').count(), 4);
}

/// Cheat Sheet, "Session ID Generation and Verification: Permissive and Strict Session Management": an id that the service has
/// not made is never accepted, and a new one is made in its place. "Manage Session ID as Any Other User Input".
///
/// The last but one even has a right mac, made with the service's own key: also that opens nothing, for nothing is stored.
#[test]
fn an_unknown_or_malformed_id_never_becomes_a_session() {
    let site = Site::of(TokenFormat::Compact);
    let mut browser = site.browser();
    let live = browser.login("alice");
    let mut payload = bytes(&live, 2);
    payload[..16].fill(0x11);
    let unknown = compact(&base64url(&payload));
    let offered = [
        ("", "token-malformed"),
        ("deadbeef", "token-malformed"),
        ("../../etc/passwd", "token-malformed"),
        ("' OR 1=1 --", "token-malformed"),
        ("<script>alert(1)</script>", "token-malformed"),
        ("ts1.k..", "token-malformed"),
        (&live[..live.len() - 1], "token-malformed"),
        (&live.replacen("ts1.", "ts2.", 1), "token-malformed"),
        (&live.replacen(".k.", ".other.", 1), "token-key-unknown"),
        (&with_another_mac(&live, 0), "token-mac-wrong"),
        (&"x".repeat(5000), "token-too-long"),
        (&unknown, "missing"),
        (&base64url(&[0x11; 16]), "token-malformed"),
    ];
    for (token, reason) in offered {
        assert_eq!(browser.get("/arrival", token).text, reason, "{token}");
        browser.get("/me", token).refused(401, reason);
        assert_eq!(browser.get("/maybe", token).text, "nobody");
        assert!(
            !sets_a_cookie(&browser.get("/get/a", token)),
            "nothing is stored for it"
        );
        // Whoever changes something under it gets a session all the same: another one, of an id that is ours.
        let made = browser.post("/set/a/b", token);
        assert!(passes(&made), "{made:?}");
        let made = handed_out(&made);
        assert!(made != token && id(&made) != [0x11; 16]);
        assert_eq!(browser.get("/get/a", &made).text, "b");
        assert_eq!(
            browser.get("/arrival", token).text,
            reason,
            "it opens nothing now either"
        );
    }
    let key = format!("tessera:{}", base64url(&[0x11; 16]));
    let get = StoreOp::Get {
        key: key.into(),
        fresh: true,
    };
    let stored = site.block_on(site.fixture.store.call(site.fixture.clock.now(), &get));
    assert!(
        matches!(stored, StoreReply::Entry(Err(StoreError::Missing))),
        "{stored:?}"
    );
    assert_eq!(browser.subject(&live).as_deref(), Some("alice"));
}
