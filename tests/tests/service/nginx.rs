//! A real nginx with the configuration that `http/proxies/nginx.conf` gives as an example.

use std::fs;
use std::io::{BufRead as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use tessera_tests::servers::{Nginx, free_port};

use crate::client::{Client, bearer};
use crate::serve;
use crate::server::Server;

/// Answers each request with the headers that it came with.
fn upstream() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || echo(stream));
        }
    });
    address
}

fn echo(stream: TcpStream) {
    let mut reader = std::io::BufReader::new(stream);
    let mut head = String::new();
    while reader.read_line(&mut head).is_ok_and(|read| read > 2) {}
    let head = head.to_ascii_lowercase();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{head}",
        head.len()
    );
    let _ = reader.get_mut().write_all(answer.as_bytes());
}

/// A file of `http/proxies` with the addresses of this test: its own as the pair says, the server's and an application's.
pub(crate) fn example(file: &str, server: &Server, own: (&str, &str)) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../http/proxies")
        .join(file);
    let mut example = fs::read_to_string(path).expect("the example");
    let application = upstream();
    let proxied = [
        (1, own),
        (1, ("127.0.0.1:8787", &*server.address)),
        // In a comment as well, and for the login page.
        (3, ("127.0.0.1:3000", &*application)),
    ];
    for (count, (given, actual)) in proxied {
        assert_eq!(example.matches(given).count(), count, "{given}");
        example = example.replace(given, actual);
    }
    example
}

/// The example with other addresses in it, in front of a server.
fn start(directory: &Path, server: &Server) -> (Nginx, String) {
    start_with(directory, server, |example| example)
}

/// The same with changes of the test's own.
fn start_with(directory: &Path, server: &Server, change: impl FnOnce(String) -> String) -> (Nginx, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let example = example("nginx.conf", server, ("127.0.0.1:8080", &address));
    let nginx = Nginx::start(directory, &change(example), &address);
    (nginx, address)
}

#[test]
fn nginx_passes_who_is_logged_in_and_no_other() {
    let (directory, server) = serve(&crate::auth::FLAGS);
    let (_nginx, address) = start(directory.path(), &server);
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
    // What a client claims of itself does not arrive, be it logged in or not.
    let claims = [
        ("Cookie", cookie.as_str()),
        ("X-Session-Subject", "root"),
        ("X-Role", "god"),
    ];
    let passed = client.send("POST", "/", &claims, Some("{}"));
    assert_eq!(passed.status, 200);
    assert!(
        !passed.text.contains("root") && !passed.text.contains("god"),
        "{passed:?}"
    );
    let plain = tessera.create(&key, Some("bob"));
    let claims = [("Cookie", format!("tessera={plain}")), ("X-Role", "god".into())];
    let claims = claims.each_ref().map(|(name, value)| (*name, value.as_str()));
    let passed = client.send("GET", "/", &claims, None);
    assert!(
        passed.status == 200 && !passed.text.contains("x-role"),
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
    tessera.call("DELETE", "/v1/session", &token, None);
    assert_eq!(client.send("GET", "/", &[("Cookie", &cookie)], None).status, 401);
    // Where Tessera is down nobody passes.
    server.stop();
    let refused = client.send("GET", "/", &[("Cookie", &cookie)], None);
    assert_eq!(refused.status, 500, "{refused:?}");
}

/// A browser that loads a page is sent to the login page, and nobody else is; the login page needs no session.
pub(crate) fn sends_pages_to_the_login(address: &str) {
    let mut client = Client::new(address);
    let html = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    let mode = |mode| ("Sec-Fetch-Mode", mode);
    for headers in [vec![mode("navigate"), html], vec![html], vec![mode("navigate")]] {
        let sent = client.send("GET", "/shop?a=b", &headers, None);
        assert_eq!(sent.status, 303, "{headers:?}: {sent:?}");
        assert_eq!(
            sent.header("location"),
            Some("/login?return_to=/shop?a=b"),
            "{sent:?}"
        );
        let refused = client.send("POST", "/shop", &headers, Some("{}"));
        assert_eq!(refused.status, 401, "{headers:?}: {refused:?}");
    }
    for headers in [
        vec![],
        vec![("Accept", "*/*")],
        vec![mode("cors"), html],
        vec![mode("no-cors")],
    ] {
        let refused = client.send("GET", "/shop", &headers, None);
        assert_eq!(
            (refused.status, refused.header("location")),
            (401, None),
            "{headers:?}"
        );
        assert!(refused.header("www-authenticate").is_some(), "{refused:?}");
    }
    let claims = [
        ("X-Session-Subject", "root"),
        ("X-Session-Id", "root"),
        ("X-Role", "god"),
    ];
    for path in [
        "/login?return_to=/shop?a=b",
        "/admin/..%2flogin?return_to=/shop?a=b",
    ] {
        for method in ["GET", "POST"] {
            let page = client.send(method, path, &claims, (method == "POST").then_some("{}"));
            assert_eq!(page.status, 200, "{path}: {page:?}");
            let line = format!("{} /login?return_to=/shop?a=b http", method.to_ascii_lowercase());
            assert!(page.text.contains(&line), "{path}: {page:?}");
            assert!(
                !page.text.contains("root") && !page.text.contains("god"),
                "{path}: {page:?}"
            );
        }
    }
    for path in ["/login/x", "/loginx", "/login%2fx", "/login/../shop"] {
        assert_eq!(client.send("GET", path, &[], None).status, 401, "{path}");
    }
}

#[test]
fn nginx_sends_pages_to_the_login_and_programs_a_401() {
    let (directory, server) = serve(&crate::auth::FLAGS);
    let (_nginx, address) = start(directory.path(), &server);
    sends_pages_to_the_login(&address);
    server.stop();
}

#[test]
fn a_token_that_is_made_anew_reaches_the_client_through_nginx_and_is_kept_by_no_cache() {
    let flags = [
        "--token-format",
        "jwt",
        "--issuer",
        "i",
        "--audience",
        "a",
        "--token-lifetime",
        "2s",
    ];
    let (directory, server) = serve(&flags);
    let (_nginx, address) = start(directory.path(), &server);
    let token = server.client().create(&server.service_key(), Some("alice"));
    let mut client = Client::new(&address);
    let headers = [
        ("Cookie", format!("__Host-tessera={token}")),
        ("Authorization", bearer(&token)),
    ];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    for header in headers {
        let passed = client.send("GET", "/", &[header], None);
        assert_eq!(
            (passed.status, passed.header("set-cookie")),
            (200, None),
            "{passed:?}"
        );
        assert_eq!(
            (passed.header("x-session-token"), passed.header("cache-control")),
            (None, None)
        );
    }
    thread::sleep(Duration::from_millis(1100));
    let [cookie, program] = headers.map(|header| client.send("GET", "/", &[header], None));
    let set = cookie.header("set-cookie").expect("a new token");
    assert!(
        set.starts_with("__Host-tessera=") && !set.contains(&token),
        "{set}"
    );
    assert!(
        program
            .header("x-session-token")
            .is_some_and(|renewed| renewed != token),
        "{program:?}"
    );
    for passed in [cookie, program] {
        assert_eq!(passed.header("cache-control"), Some("no-store"), "{passed:?}");
    }
    server.stop();
}

#[test]
fn options_passes_nginx_where_that_is_asked_for_and_nothing_passes_by_saying_it_is_one() {
    let flags = [
        "--auth-header",
        "role=X-Role",
        "--auth-options",
        "pass",
        "--auth-method-header",
        "X-Forwarded-Method",
    ];
    let (directory, server) = serve(&flags);
    let (_nginx, address) = start(directory.path(), &server);
    let mut client = Client::new(&address);
    let claims = [("X-Session-Subject", "root"), ("X-Role", "god")];
    let passed = client.send("OPTIONS", "/shop", &claims, None);
    assert_eq!(passed.status, 200, "{passed:?}");
    assert!(passed.text.contains("options /shop http"), "{passed:?}");
    // The application reads that nobody is logged in.
    assert!(
        !passed.text.contains("root") && !passed.text.contains("god"),
        "{passed:?}"
    );
    let claims = [("X-Forwarded-Method", "OPTIONS")];
    for method in ["GET", "POST"] {
        assert_eq!(
            client.send(method, "/shop", &claims, None).status,
            401,
            "{method}"
        );
    }
    server.stop();
}

#[test]
fn nginx_with_a_cache_shows_nobody_the_page_of_another_subject() {
    let (directory, server) = serve(&crate::auth::FLAGS);
    let (_nginx, address) = start_with(directory.path(), &server, |example| {
        let key = "# proxy_cache_key ";
        assert_eq!(example.matches(key).count(), 1);
        let cache = "proxy_cache pages;\nproxy_cache_valid any 1h;\n\
                     add_header X-Cache $upstream_cache_status always;\nproxy_cache_key ";
        format!(
            "proxy_cache_path cache keys_zone=pages:1m;\n{}",
            example.replace(key, cache)
        )
    });
    let key = server.service_key();
    let cookies = ["alice", "bob"].map(|subject| {
        let token = server.client().create(&key, Some(subject));
        (subject, format!("__Host-tessera={token}"))
    });
    let mut client = Client::new(&address);
    for kept in ["MISS", "HIT"] {
        for (subject, cookie) in &cookies {
            let page = client.send("GET", "/me", &[("Cookie", cookie)], None);
            assert_eq!(page.header("x-cache"), Some(kept), "{page:?}");
            let own = format!("x-session-subject: {subject}\r\n");
            assert!(page.text.contains(&own), "{page:?}");
        }
        assert_eq!(client.send("GET", "/me", &[], None).status, 401);
    }
    server.stop();
}

pub(crate) const JWT_FLAGS: [&str; 10] = [
    "--token-format",
    "jwt",
    "--issuer",
    "i",
    "--audience",
    "a",
    "--token-lifetime",
    "2s",
    "--auth-header",
    "role=X-Role",
];

/// Past half of its life a token is made anew, in whichever cookie it came.
pub(crate) fn renews_cookies(address: &str, token: &str) {
    let mut client = Client::new(address);
    for (name, attributes) in [
        ("__Host-tessera", "Secure; HttpOnly; SameSite=Lax"),
        // The browser speaks plain http to the proxy.
        ("tessera", "HttpOnly; SameSite=Lax"),
    ] {
        let cookie = format!("{name}={token}");
        let passed = client.send("GET", "/", &[("Cookie", &cookie)], None);
        assert_eq!(passed.status, 200, "{passed:?}");
        let set = passed.header("set-cookie").expect("a new token");
        let (renewed, written) = set.split_once("; ").expect("attributes");
        let kept: Vec<&str> = written
            .split("; ")
            .filter(|one| !one.starts_with("Max-Age="))
            .collect();
        assert_eq!(kept.join("; "), format!("Path=/; {attributes}"));
        assert!(
            renewed.starts_with(&format!("{name}=")) && renewed != cookie,
            "{set}"
        );
        assert_eq!(passed.header("cache-control"), Some("no-store"));
        let again = client.send("GET", "/", &[("Cookie", renewed)], None);
        assert_eq!(again.status, 200, "{again:?}");
    }
}

#[test]
fn nginx_hands_renewed_cookies_to_the_browser() {
    let (directory, server) = serve(&JWT_FLAGS);
    let (_nginx, address) = start(directory.path(), &server);
    let token = server.client().create(&server.service_key(), Some("alice"));
    thread::sleep(Duration::from_millis(1100));
    renews_cookies(&address, &token);
    server.stop();
}

/// As many bytes as the answer may hold.
#[test]
fn nginx_takes_the_longest_headers_of_an_answer() {
    let (directory, server) = serve(&crate::auth::FLAGS);
    let (_nginx, address) = start(directory.path(), &server);
    let long = "x".repeat(4096);
    let body =
        format!(r#"{{"subject":"alice","fields":{{"role":"{long}","name":"{long}","plan":"{long}"}}}}"#);
    let key = server.service_key();
    let token = server
        .client()
        .call("POST", "/v1/sessions", &key, Some(&body))
        .token();
    let cookie = format!("__Host-tessera={token}");
    let passed = Client::new(&address).send("GET", "/", &[("Cookie", &cookie)], None);
    assert!(
        passed.status == 200 && passed.text.contains(&format!("x-role: {long}")),
        "{}",
        passed.status
    );
    server.stop();
}
