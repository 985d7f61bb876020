//! A real Caddy with the configuration that `http/proxies/Caddyfile` gives as an example.

use std::path::Path;
use std::thread;
use std::time::Duration;

use tessera_tests::servers::{Caddy, free_port};

use super::nginx::{JWT_FLAGS, example, renews_cookies, sends_pages_to_the_login};
use crate::client::Client;
use crate::serve;
use crate::server::Server;

/// The example with other addresses in it, in front of a server.
fn start(directory: &Path, server: &Server) -> (Caddy, String) {
    let port = free_port();
    let example = example("Caddyfile", server, ("http://:8080", &format!("http://:{port}")));
    let address = format!("127.0.0.1:{port}");
    (Caddy::start(directory, &example, &address), address)
}

#[test]
fn caddy_passes_who_is_logged_in_and_no_other() {
    let (directory, server) = serve(&crate::auth::FLAGS);
    let (_caddy, address) = start(directory.path(), &server);
    let (mut tessera, key) = (server.client(), server.service_key());
    let body = r#"{"subject":"alice","fields":{"role":"admin"}}"#;
    let token = tessera.call("POST", "/v1/sessions", &key, Some(body)).token();
    let cookie = format!("__Host-tessera={token}");
    let mut client = Client::new(&address);

    let passed = client.send("GET", "/shop?a=b", &[("Cookie", &cookie)], None);
    assert_eq!(passed.status, 200, "{passed:?}");
    for line in [
        "get /shop?a=b http",
        "x-session-subject: alice\r\n",
        "x-role: admin\r\n",
        "x-session-id: ",
    ] {
        assert!(passed.text.contains(line), "{line}: {passed:?}");
    }
    // Without the field its header is empty: no placeholder of Caddy, and nothing that the client claims.
    let plain = tessera.create(&key, Some("bob"));
    let cookies = format!("tessera={plain}");
    let claims = [
        ("Cookie", cookies.as_str()),
        ("X-Role", "god"),
        ("X-Session-Subject", "root"),
    ];
    let passed = client.send("POST", "/", &claims, Some("{}"));
    assert_eq!(passed.status, 200, "{passed:?}");
    assert!(passed.text.contains("x-session-subject: bob\r\n"), "{passed:?}");
    let roles: Vec<&str> = passed
        .text
        .lines()
        .filter(|line| line.starts_with("x-role"))
        .collect();
    assert!(
        roles.iter().all(|line| *line == "x-role:" || *line == "x-role: "),
        "{roles:?}"
    );
    assert!(
        !passed.text.contains("god") && !passed.text.contains("root"),
        "{passed:?}"
    );

    for headers in [
        vec![],
        vec![("X-Session-Subject", "alice")],
        vec![("Cookie", "__Host-tessera=nonsense")],
    ] {
        let refused = client.send("GET", "/", &headers, None);
        assert_eq!(refused.status, 401, "{refused:?}");
    }
    server.stop();
    let refused = client.send("GET", "/", &[("Cookie", &cookie)], None);
    assert_eq!(refused.status, 502, "{refused:?}");
}

#[test]
fn caddy_sends_pages_to_the_login_and_programs_a_401() {
    let (directory, server) = serve(&crate::auth::FLAGS);
    let (_caddy, address) = start(directory.path(), &server);
    sends_pages_to_the_login(&address);
    server.stop();
}

#[test]
fn caddy_hands_renewed_cookies_to_the_browser() {
    let (directory, server) = serve(&JWT_FLAGS);
    let (_caddy, address) = start(directory.path(), &server);
    let token = server.client().create(&server.service_key(), Some("alice"));
    thread::sleep(Duration::from_millis(1100));
    renews_cookies(&address, &token);
    server.stop();
}

/// What Caddy removes because the client's `Connection` names it, and what CGI takes for the same header.
#[test]
fn a_client_of_caddy_neither_removes_nor_doubles_what_it_is_vouched_for() {
    let (directory, server) = serve(&crate::auth::FLAGS);
    let (_caddy, address) = start(directory.path(), &server);
    let (mut tessera, key) = (server.client(), server.service_key());
    let body = r#"{"subject":"alice","fields":{"role":"user"}}"#;
    let token = tessera.call("POST", "/v1/sessions", &key, Some(body)).token();
    let cookie = format!("__Host-tessera={token}");
    let mut client = Client::new(&address);
    for connection in ["X-Role, X-Session-Subject, X-Session-Id", "x-role", "keep-alive"] {
        let claims = [
            ("Cookie", cookie.as_str()),
            ("Connection", connection),
            ("X_Role", "god"),
            ("X_Session_Subject", "root"),
            ("X-Session_Subject", "root"),
            ("X_Session-Id", "root"),
        ];
        let passed = client.send("GET", "/", &claims, None);
        assert_eq!(passed.status, 200, "{passed:?}");
        for line in [
            "x-session-subject: alice\r\n",
            "x-role: user\r\n",
            "x-session-id: ",
        ] {
            assert!(passed.text.contains(line), "{connection}: {line}: {passed:?}");
        }
        assert!(
            !passed.text.contains("god") && !passed.text.contains("root"),
            "{passed:?}"
        );
    }
    server.stop();
}

#[test]
fn caddy_hands_a_renewed_token_to_a_program() {
    let (directory, server) = serve(&JWT_FLAGS);
    let (_caddy, address) = start(directory.path(), &server);
    let token = server.client().create(&server.service_key(), Some("alice"));
    thread::sleep(Duration::from_millis(1100));
    let passed = Client::new(&address).call("GET", "/", &token, None);
    assert_eq!(passed.status, 200, "{passed:?}");
    assert!(
        passed
            .header("x-session-token")
            .is_some_and(|renewed| renewed != token)
    );
    server.stop();
}

/// An application that reads a subject, whatever it is, believes that somebody is logged in.
#[test]
fn options_that_passes_caddy_is_nobodys() {
    let flags = [
        "--auth-header",
        "role=X-Role",
        "--auth-options",
        "pass",
        "--auth-method-header",
        "X-Forwarded-Method",
    ];
    let (directory, server) = serve(&flags);
    let (_caddy, address) = start(directory.path(), &server);
    let claims = [("X-Session-Subject", "root"), ("X-Role", "god")];
    let passed = Client::new(&address).send("OPTIONS", "/shop", &claims, None);
    assert!(
        passed.status == 200 && passed.text.contains("options /shop http"),
        "{passed:?}"
    );
    assert!(
        !passed.text.contains("root") && !passed.text.contains("god") && !passed.text.contains('{'),
        "{passed:?}"
    );
    server.stop();
}
