//! Where a token or an id must not stand: in a URL, and in what is logged.

use std::fs;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};
use tessera::http::SessionLayer;
use tracing_subscriber::filter::LevelFilter;

use crate::client::{Answer, Client};
use crate::independent::base64url;
use crate::program;
use crate::server::Server;
use crate::site::{SECRET, Site, handed_out, passes};
use crate::tokens::{bytes, id, id_of_jwt, with_another_mac};

/// All that a token gives away, in each way in which somebody may write it down.
fn secrets_of(token: &str) -> Vec<String> {
    let is_compact = token.starts_with("ts1.");
    let id = if is_compact { id(token) } else { id_of_jwt(token) };
    let mut secrets = ways_to_write(&id);
    secrets.push(token.to_owned());
    // In a token's payload the id's last character holds bits of what follows it.
    secrets.push(base64url(&id)[..21].to_owned());
    let parts: Vec<&str> = token.split('.').collect();
    secrets.extend(parts[parts.len() - 2..].iter().map(|part| (*part).to_owned()));
    secrets.extend(ways_to_write(&bytes(token, parts.len() - 1)));
    secrets
}

fn ways_to_write(bytes: &[u8]) -> Vec<String> {
    let hex = |upper| {
        let digits = bytes.iter().map(|byte| match upper {
            true => format!("{byte:02X}"),
            false => format!("{byte:02x}"),
        });
        digits.collect::<String>()
    };
    let listed = format!("{bytes:?}");
    vec![
        base64url(bytes),
        hex(false),
        hex(true),
        listed.trim_matches(['[', ']']).to_owned(),
    ]
}

#[track_caller]
fn holds_none_of(text: &str, secrets: &[String]) {
    for secret in secrets {
        assert!(secret.len() > 15, "long enough to be no chance: {secret}");
        assert!(!text.contains(secret.as_str()), "{secret} stands in:\n{text}");
    }
}

/// All of an answer but where the token belongs.
fn all_but_the_cookie(answer: &Answer) -> String {
    let headers = answer.headers.iter();
    let headers = headers.filter(|(name, _)| !name.eq_ignore_ascii_case("set-cookie"));
    format!("{:?}\n{}", headers.collect::<Vec<_>>(), answer.text)
}

/// ASVS 5.0, 14.2.1; ASVS 4, 3.1.1: no token in a URL. Cheat Sheet, "Used vs. Accepted Session ID Exchange Mechanisms": one that
/// comes in a URL is not accepted.
#[test]
fn a_token_in_a_url_opens_nothing() {
    let site = Site::new();
    let mut browser = site.browser();
    let token = browser.login("alice");
    for path in [
        format!("/me?__Host-tessera={token}"),
        format!("/me?token={token}"),
        format!("/me?access_token={token}"),
        format!("/me?x-session-token={token}&session={token}"),
        format!("/me?{token}"),
    ] {
        browser.call("GET", &path, None).refused(401, "token-absent");
    }
    assert_eq!(browser.call("GET", &format!("/me;{token}"), None).status, 404);

    let (_directory, server) = program(&[]);
    let (mut client, key) = (server.client(), server.service_key());
    let token = client.create(&key, Some("alice"));
    for path in [
        format!("/v1/session?token={token}"),
        format!("/v1/session?access_token={token}"),
        format!("/auth?__Host-tessera={token}&token={token}"),
        format!("/auth/{token}"),
    ] {
        client.send("GET", &path, &[], None).refused(401, "token-absent");
    }
    let path = format!("/v1/subjects/alice/sessions?key={key}");
    assert_eq!(client.send("GET", &path, &[], None).status, 401);
    server.stop();
}

/// The same requirements, of the URLs that an application makes: neither where it sends somebody (`Location`) nor anything else
/// in an answer but `Set-Cookie` holds a token or the id in it.
#[test]
fn no_id_stands_in_a_location_or_a_page() {
    let layer = |sessions| SessionLayer::new(sessions).login_path("/sign-in?next=me");
    let site = Site::guarded(|sessions| sessions, layer, |router| router);
    let mut browser = site.browser();
    let visitor = handed_out(&browser.call("POST", "/set/a/b", None));
    let alice = handed_out(&browser.post("/login/alice", &visitor));
    let renewed = handed_out(&browser.post("/rotate", &alice));
    let forged = with_another_mac(&alice, 3);
    let mut secrets = secrets_of(&alice);
    secrets.extend(
        [&visitor, &renewed, &forged]
            .into_iter()
            .flat_map(|token| secrets_of(token)),
    );
    let mut redirected = 0;
    for token in [&visitor, &alice, &renewed, &forged] {
        for (method, path) in [
            ("GET", "/me"),
            ("GET", "/get/a"),
            ("GET", "/maybe"),
            ("GET", "/arrival"),
            ("GET", "/devices"),
            ("GET", "/messages"),
            ("GET", "/recent"),
            ("GET", "/csrf"),
            ("POST", "/flash/done"),
            ("POST", "/set/a/b"),
            ("POST", "/fail/a/b"),
            ("POST", "/rotate"),
            ("POST", "/revoke-others"),
            ("POST", "/login-and-fail/alice"),
            ("POST", "/logout"),
            ("GET", "/me"),
        ] {
            // As a browser asks for a page.
            let page = [("Accept", "text/html")];
            let answer = browser.call_with(method, path, Some(token), &page);
            holds_none_of(&all_but_the_cookie(&answer), &secrets);
            if let Some(location) = answer.header("location") {
                let login = "/sign-in?next=me&return_to=%2Fme";
                assert_eq!((answer.status, location), (303, login));
                redirected += 1;
            }
        }
    }
    assert!(redirected >= 4, "who is not logged in is led to the login");
}

/// What the layers of this process log, of all tests.
fn captured() -> Arc<Mutex<Vec<u8>>> {
    static LOG: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    let log = LOG.get_or_init(|| {
        let log = Arc::<Mutex<Vec<u8>>>::default();
        let sink = Arc::clone(&log);
        tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(move || Sink(Arc::clone(&sink)))
            .init();
        log
    });
    Arc::clone(log)
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// ASVS 5.0, 16.2.5: session tokens are logged hashed or masked, if at all. Cheat Sheet, "Logging Sessions Life Cycle": a hash of
/// the id, and never the id.
///
/// In an application: every level is captured while all is done that the layer logs something of.
#[test]
fn no_id_token_or_key_stands_in_the_log_of_an_application() {
    let log = captured();
    let site = Site::with(|sessions| {
        sessions.policy(|policy| policy.renew_interval = Some(Duration::from_secs(60)))
    });
    let mut browser = site.browser();
    let old = browser.login("alice");
    assert!(passes(&browser.post("/set/a/a-stored-value-of-alice", &old)));
    let csrf = browser.get("/csrf", &old).text;
    site.wait(Duration::from_secs(61));
    let new = handed_out(&browser.get("/me", &old));
    assert_eq!(browser.subject(&new).as_deref(), Some("alice"));
    site.wait(Duration::from_secs(30));
    browser.get("/me", &old).refused(401, "reused");
    let forged = with_another_mac(&new, 9);
    browser.get("/me", &forged).refused(401, "token-mac-wrong");
    for (operation, method, path) in [
        ("get", "GET", "/me"),
        // A renewal that is due, and spared.
        ("replace", "GET", "/me"),
        ("replace", "POST", "/set/a/b"),
    ] {
        site.wait(Duration::from_secs(61));
        site.fixture.fail(operation, "unavailable");
        browser.call(method, path, Some(&new));
    }
    // Whatever still waits to fail.
    site.fixture.questions();
    let logout = browser.post("/logout", &new);
    assert!(passes(&logout), "{logout:?}");

    let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    for said in ["it may be stolen", "unavailable", "was not renewed"] {
        assert!(log.contains(said), "{said} is not said in:\n{log}");
    }
    let mut secrets = ways_to_write(&SECRET);
    secrets.extend(["a-stored-value-of-alice".to_owned(), csrf]);
    secrets.extend(
        [&old, &new, &forged]
            .into_iter()
            .flat_map(|token| secrets_of(token)),
    );
    holds_none_of(&log, &secrets);
}

/// The same of the real program, started with `--log trace`: every route is asked, in order and not, and then the log is read.
#[test]
fn no_id_token_or_key_stands_in_the_log_of_the_service() {
    const VALUE: &str = "a-stored-value-of-alice";
    for form in [
        &[][..],
        &["--token-format", "jwt", "--issuer", "i", "--audience", "a"],
    ] {
        let flags = [&["--log", "trace", "--auth-header", "role=X-Role"], form].concat();
        let (_directory, server) = program(&flags);
        let tokens = do_everything(&server, VALUE);
        let log = server.log();
        for said in [
            "/v1/session/rotate",
            "/v1/session/authenticate",
            "/auth",
            "status=503",
        ] {
            assert!(log.contains(said), "{said} is not said in:\n{log}");
        }
        let mut secrets = vec![VALUE.to_owned(), server.service_key()];
        secrets.extend(keys_of(&server));
        secrets.extend(tokens.iter().flat_map(|token| secrets_of(token)));
        holds_none_of(&log, &secrets);
        // Neither when it ends, nor when it starts again.
        let data = server.data.clone();
        server.stop();
        let server = Server::start(&data, &flags);
        holds_none_of(&server.log(), &secrets);
        holds_none_of(&server.printed, &secrets);
        server.stop();
    }
}

/// The secrets of the key file.
fn keys_of(server: &Server) -> Vec<String> {
    let text = fs::read_to_string(server.data.join("keys.json")).expect("keys");
    let file: Value = serde_json::from_str(&text).expect("JSON");
    let keys = file["keys"].as_array().expect("keys").iter();
    keys.map(|key| key["secret"].as_str().expect("a secret").to_owned())
        .collect()
}

/// Asks every route, rightly and wrongly; all tokens that were handed out.
fn do_everything(server: &Server, value: &str) -> Vec<String> {
    let (mut client, key) = (server.client(), server.service_key());
    let login = json!({ "subject": "alice", "fields": { "role": value } }).to_string();
    let create = |client: &mut Client| client.call("POST", "/v1/sessions", &key, Some(&login)).token();
    let (first, other) = (create(&mut client), create(&mut client));
    let renewed = client.call("POST", "/v1/session/rotate", &first, None).token();
    let change = json!({ "set": { "name": value } }).to_string();
    client.call("PATCH", "/v1/session", &renewed, Some(&change)).ok();
    let headers = [
        ("Authorization", format!("Bearer {renewed}")),
        ("X-Tessera-Service-Key", key.clone()),
    ];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let step_up = r#"{"subject":"alice","keep":"everything"}"#;
    let admin = client
        .send("POST", "/v1/session/authenticate", &headers, Some(step_up))
        .token();
    let tokens = vec![first, other, renewed, admin];
    for token in &tokens {
        let forged = with_another_mac(token, 5);
        let cookie = format!("__Host-tessera={token}");
        client.call("GET", "/v1/session", token, None);
        client.call("GET", "/v1/session", &forged, None);
        client.call("GET", "/auth", token, None);
        client.send("GET", "/auth", &[("Cookie", &cookie)], None);
        client.send(
            "DELETE",
            "/v1/session",
            &[("Cookie", &cookie), ("Sec-Fetch-Site", "cross-site")],
            None,
        );
        client.call("POST", "/v1/sessions", token, Some(&login));
        // Where it does not belong.
        client.call("GET", &format!("/v1/session?token={token}"), token, None);
        client.call("GET", &format!("/v1/{token}"), token, None);
        client.call("GET", &format!("/auth/{token}?token={token}"), token, None);
        client.call(
            "DELETE",
            &format!("/v1/subjects/{token}/sessions/{token}"),
            &key,
            None,
        );
        let stray = json!({ "set": { token.as_str(): token } }).to_string();
        client.call("PATCH", "/v1/session", token, Some(&stray));
        for body in [
            json!({ "token": token }),
            json!({ "token": forged }),
            json!({ token.as_str(): 1 }),
        ] {
            client.send("POST", "/v1/verify", &[], Some(&body.to_string()));
        }
        client.send("POST", "/v1/verify", &[], Some(&format!("{{\"token\":\"{token}")));
    }
    let admin = &tokens[3];
    let listed = client.call("GET", "/v1/subjects/alice/sessions", &key, None).ok();
    let public_id = listed["sessions"][0]["public_id"]
        .as_str()
        .expect("a public id")
        .to_owned();
    outage(server, || {
        for (method, path) in [
            ("GET", "/v1/session"),
            ("DELETE", "/v1/session"),
            ("GET", "/auth"),
        ] {
            assert_eq!(server.client().call(method, path, admin, None).status, 503);
        }
        server.client().call("GET", "/healthz", admin, None);
    });
    let path = format!("/v1/subjects/alice/sessions/{public_id}");
    assert_eq!(client.call("DELETE", &path, &key, None).status, 204);
    client.call("DELETE", "/v1/session", admin, None);
    client.call("DELETE", "/v1/session", admin, None);
    client
        .call("DELETE", "/v1/subjects/alice/sessions", &key, None)
        .ok();
    tokens
}

/// Something while the store fails.
fn outage(server: &Server, during: impl FnOnce()) {
    let file = rusqlite::Connection::open(server.data.join("sessions.db")).expect("the file opens");
    file.busy_timeout(Duration::from_secs(5)).expect("a timeout");
    let rename = |statement| file.execute_batch(statement).expect("another schema");
    rename("ALTER TABLE records RENAME TO gone");
    during();
    rename("ALTER TABLE gone RENAME TO records");
}
