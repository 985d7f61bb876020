//! Whatever is sent is answered as documented, and says no secret: bodies, content types, credentials and paths of all sorts.

#[path = "bodies/content.rs"]
mod content;
#[path = "bodies/requests.rs"]
mod requests;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use crate::client::{Answer, Client, bearer};
use crate::serve;
use crate::server::Server;
use requests::{Credentials, Sent};

const REQUESTS: u32 = 4_000;
/// Every status that the service has a word for, but those of a store that fails or a client that dawdles.
const DOCUMENTED: [u16; 12] = [200, 201, 204, 400, 401, 403, 404, 405, 409, 413, 415, 422];

/// What is looked at of an answer. The rest has to be JSON, but its numbers may be beyond what a float holds.
#[derive(Default, serde::Deserialize)]
struct Members {
    token: Option<String>,
}

/// A server, and what was handed out by it.
struct Speaker {
    client: Client,
    address: String,
    key: String,
    /// Of the session that is spoken of; made anew when it is gone.
    token: String,
    /// Every token there ever was: none stands in an error, used up or not.
    tokens: Vec<String>,
    told: BTreeMap<(u16, String), u32>,
}

impl Speaker {
    fn new(server: &Server) -> Self {
        let mut speaker = Self {
            client: server.client(),
            address: server.address.clone(),
            key: server.service_key(),
            token: String::new(),
            tokens: Vec::new(),
            told: BTreeMap::new(),
        };
        speaker.begin_session();
        speaker
    }

    fn begin_session(&mut self) {
        // On a connection of its own: what was sent before may have ended the other one.
        let token = Client::new(&self.address).create(&self.key, Some("alice"));
        self.hold(token);
    }

    fn hold(&mut self, token: String) {
        self.tokens.push(token.clone());
        self.token = token;
    }

    /// Sends once more where the connection was kept no longer: a body that nobody has read ends it.
    fn send(&mut self, request: &[u8]) -> Result<Answer, TestCaseError> {
        let sent = self.client.try_send(request);
        sent.or_else(|_| self.client.try_send(request))
            .map_err(|error| TestCaseError::fail(format!("no answer: {error}")))
    }

    fn judge(&mut self, sent: &Sent) -> Result<(), TestCaseError> {
        let request = sent.request(&self.token, &self.key);
        let answer = self.send(&request)?;
        let fail = |what: &str| Err(TestCaseError::fail(format!("{what}: {answer:?}")));
        if !DOCUMENTED.contains(&answer.status) {
            return fail("an undocumented status");
        }
        if answer.header("cache-control") != Some("no-store") {
            return fail("an answer that may be kept");
        }
        let said = format!("{answer:?}");
        if answer.status < 400 {
            *self.told.entry((answer.status, "fine".into())).or_default() += 1;
            let members = match answer.status {
                204 => Members::default(),
                _ => match serde_json::from_str::<Members>(&answer.text) {
                    Ok(members) => members,
                    Err(_) => return fail("an answer that is no object"),
                },
            };
            if let Some(token) = members.token {
                self.hold(token);
            }
            // A logout, or all sessions of the subject.
            if sent.ends_sessions() {
                self.begin_session();
            }
            return Ok(());
        }
        // `code` asserts the form of a problem.
        let code = answer.code();
        if said.contains(&self.key) || self.tokens.iter().any(|token| names(&said, token)) {
            return fail("an error says a secret");
        }
        if said.contains(requests::VALUE) {
            return fail("an error says a value");
        }
        let unusable = ["missing", "closed", "expired", "replaced", "reused"].contains(&code.as_str());
        if unusable && sent.credentials == Credentials::Token {
            self.begin_session();
        }
        *self.told.entry((answer.status, code)).or_default() += 1;
        Ok(())
    }
}

/// Whether a token stands in a text, whole or in the part that is secret.
fn names(text: &str, token: &str) -> bool {
    let mac = token.rsplit('.').next().unwrap_or(token);
    text.contains(mac)
}

#[test]
fn whatever_is_sent_is_answered_as_documented_and_says_no_secret() {
    let (_directory, server) = serve(&["--store", "memory:", "--demo", "off"]);
    let speaker = RefCell::new(Speaker::new(&server));
    let judged = Cell::new(0_u32);
    let config = Config {
        cases: REQUESTS.max(Config::default().cases),
        failure_persistence: None,
        ..Config::default()
    };
    // The same requests each time, so that what they reach is the same.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let ran = TestRunner::new_with_rng(config, rng).run(&requests::any_request(), |sent| {
        judged.set(judged.get() + 1);
        speaker.borrow_mut().judge(&sent)
    });
    let speaker = speaker.into_inner();
    println!("{} requests judged: {:?}", judged.get(), speaker.told);
    if let Err(refuted) = ran {
        panic!("{refuted}\n{}", server.log());
    }
    // Not all of it was refused at the door.
    for (status, code) in [
        (200, "fine"),
        (201, "fine"),
        (204, "fine"),
        (400, "json-malformed"),
        (401, "token-mac-wrong"),
        (403, "service-key-wrong"),
        (404, "not-found"),
        (405, "method-not-allowed"),
        (413, "limit-exceeded"),
        (415, "not-json"),
        (422, "invalid-member"),
        (422, "invalid-value"),
        (422, "unknown-member"),
    ] {
        assert!(
            speaker.told.contains_key(&(status, code.to_owned())),
            "{status} {code}"
        );
    }
    walk(&server, &speaker.key);
    let log = server.log();
    let failed: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert!(!log.contains("panicked") && failed.is_empty(), "{failed:?}");
    assert!(
        !log.contains(&speaker.key) && !log.contains(requests::VALUE),
        "{log}"
    );
    assert!(!speaker.tokens.iter().any(|token| names(&log, token)), "{log}");
    server.stop();
}

/// After all that, what everybody does works as ever.
fn walk(server: &Server, key: &str) {
    let mut client = server.client();
    let login = r#"{"subject":"bob","fields":{"role":"admin"}}"#;
    let token = client.call("POST", "/v1/sessions", key, Some(login)).token();
    let set = r#"{"set":{"theme":"dark"}}"#;
    let changed = client.call("PATCH", "/v1/session", &token, Some(set)).ok();
    assert_eq!(changed["fields"]["role"], "admin");
    let renewed = client.call("POST", "/v1/session/rotate", &token, None).token();
    assert_eq!(
        client.call("GET", "/v1/session", &renewed, None).ok()["fields"]["theme"],
        "dark"
    );
    let headers = [
        ("Authorization", bearer(&renewed)),
        ("X-Tessera-Service-Key", key.to_owned()),
    ];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let again = r#"{"subject":"bob","keep":"everything"}"#;
    let token = client
        .send("POST", "/v1/session/authenticate", &headers, Some(again))
        .token();
    assert_eq!(client.call("DELETE", "/v1/session", &token, None).status, 204);
    client
        .call("GET", "/v1/session", &token, None)
        .refused(401, "missing");
}
