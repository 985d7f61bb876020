//! The demonstration at `/`: who is served it, and that nothing comes of it for the service beside it.

use crate::client::{Answer, Client, request};
use crate::serve;
use crate::server::Server;

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const COOKIE: &str = "tessera-demo";

/// A browser, as far as the page needs one.
struct Visitor {
    client: Client,
    /// `name=token`.
    cookie: Option<String>,
}

impl Visitor {
    fn new(server: &Server) -> Self {
        Self {
            client: server.client(),
            cookie: None,
        }
    }

    #[track_caller]
    fn send(&mut self, method: &str, path: &str, more: &[(&str, &str)], body: Option<&str>) -> Answer {
        let mut headers = more.to_vec();
        let cookie = self.cookie.clone().unwrap_or_default();
        if self.cookie.is_some() {
            headers.push(("Cookie", &cookie));
        }
        let answer = self.client.send(method, path, &headers, body);
        if let Some(set) = answer.header("set-cookie")
            && set.starts_with(COOKIE)
        {
            self.cookie = set.split(';').next().map(str::to_owned);
        }
        answer
    }

    #[track_caller]
    fn page(&mut self) -> String {
        let answer = self.send("GET", "/", &[], None);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text
    }

    #[track_caller]
    fn sign_in(&mut self, name: &str) {
        let answer = self.send("POST", "/login", &[FORM], Some(&format!("name={name}")));
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, Some("/")),
            "{answer:?}"
        );
    }

    /// Sends a form with the token that stands in the page.
    #[track_caller]
    fn post(&mut self, path: &str, form: &str) -> Answer {
        let page = self.page();
        let (_, token) = page.split_once(r#"name="csrf_token" value=""#).expect("a form");
        let token = token.split('"').next().expect("a token");
        self.send("POST", path, &[FORM], Some(&format!("csrf_token={token}&{form}")))
    }

    fn token(&self) -> &str {
        let cookie = self.cookie.as_deref().expect("signed in");
        cookie.split_once('=').expect("a pair").1
    }
}

#[test]
fn every_answer_takes_nothing_from_elsewhere_and_runs_no_inline_script() {
    let (_directory, server) = serve(&[]);
    let mut visitor = Visitor::new(&server);
    let mut answers: Vec<Answer> = ["/", "/style.css", "/script.js", "/icon.svg", "/old"]
        .map(|path| visitor.send("GET", path, &[], None))
        .into();
    answers.push(visitor.send("POST", "/login", &[FORM], Some("name=")));
    answers.push(visitor.send("POST", "/renew", &[FORM], Some("")));
    visitor.sign_in("alice");
    answers.push(visitor.send("GET", "/", &[], None));
    answers.push(visitor.send("POST", "/renew", &[FORM], Some("")));
    answers.push(visitor.post("/logout", ""));
    for answer in &answers {
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(
            policy.starts_with("default-src 'none';") && !policy.contains("unsafe"),
            "{policy}"
        );
        for part in ["frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let is_page = answer.header("content-type") == Some("text/html; charset=utf-8");
        assert!(
            !is_page || !(answer.text.contains("://") || answer.text.contains("style=")),
            "{answer:?}"
        );
    }
    server.stop();
}

#[test]
fn what_a_visitor_writes_is_escaped_wherever_it_is_shown() {
    let (_directory, server) = serve(&[]);
    let mut visitor = Visitor::new(&server);
    let agent = ("User-Agent", "\"><script>agent</script>");
    let name = "name=%3Cscript%3Ename%3C%2Fscript%3E";
    let answer = visitor.send("POST", "/login", &[FORM, agent], Some(name));
    assert_eq!(answer.status, 303, "{answer:?}");
    let answer = visitor.post(
        "/fields",
        "field=city&text=%22%3E%3Cscript%3Etext%3C%2Fscript%3E%26",
    );
    assert_eq!(answer.status, 303, "{answer:?}");
    let page = visitor.page();
    for shown in [
        "&lt;script&gt;name&lt;/script&gt;",
        "&quot;&gt;&lt;script&gt;text&lt;/script&gt;&amp;",
        "&quot;&gt;&lt;script&gt;agent&lt;/script&gt;",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert!(!page.contains("<script>"), "{page}");
    let planted = [("Cookie", "tessera-demo-old=<script>token</script>")];
    let old = Client::new(&server.address).send("GET", "/old", &planted, None);
    assert!(
        old.status == 200 && old.text.contains("&lt;script&gt;token") && !old.text.contains("<script>"),
        "{old:?}"
    );
    server.stop();
}

#[test]
fn a_forged_form_changes_nothing() {
    let (_directory, server) = serve(&[]);
    let (mut visitor, mut thief) = (Visitor::new(&server), Visitor::new(&server));
    visitor.sign_in("alice");
    thief.sign_in("mallory");
    let page = thief.page();
    let (_, theirs) = page.split_once(r#"name="csrf_token" value=""#).expect("a form");
    let theirs = format!("csrf_token={}&", theirs.split('"').next().expect("a token"));
    for (path, form) in [
        ("/fields", "field=city&text=Elsewhere"),
        ("/renew", ""),
        ("/devices/end-others", ""),
        ("/logout", ""),
    ] {
        visitor
            .send("POST", path, &[FORM], Some(form))
            .refused(403, "csrf-token-absent");
        visitor
            .send("POST", path, &[FORM], Some(&format!("{theirs}{form}")))
            .refused(403, "invalid-csrf-token");
    }
    visitor
        .send("GET", "/events", &[("Sec-Fetch-Site", "cross-site")], None)
        .refused(403, "cross-site");
    let mut stranger = Visitor::new(&server);
    for header in [("Origin", "http://example.com"), ("Sec-Fetch-Site", "cross-site")] {
        stranger
            .send("POST", "/login", &[FORM, header], Some("name=alice"))
            .refused(403, "cross-site");
    }
    let page = visitor.page();
    assert!(
        page.contains("Signed in as") && !page.contains("Elsewhere"),
        "{page}"
    );
    server.stop();
}

#[test]
fn a_name_or_a_text_that_is_unfit_is_refused_in_words() {
    let (_directory, server) = serve(&[]);
    let mut visitor = Visitor::new(&server);
    for name in ["", "%20%20", "a%00b", "a%0Ab", &"x".repeat(41)] {
        let answer = visitor.send("POST", "/login", &[FORM], Some(&format!("name={name}")));
        assert_eq!(
            (answer.status, answer.header("set-cookie")),
            (422, None),
            "{name}: {answer:?}"
        );
        assert!(
            answer.text.contains("A name has 1 to 40 characters"),
            "{answer:?}"
        );
    }
    visitor.sign_in(&"%C3%A9".repeat(40));
    visitor.post("/fields", &format!("field=city&text={}", "x".repeat(81)));
    let page = visitor.page();
    assert!(
        page.contains("City: at most 80 characters") && !page.contains("xxx"),
        "{page}"
    );
    assert_eq!(visitor.post("/fields", "field=agent&text=other").status, 422);
    server.stop();
}

#[test]
fn who_signs_in_there_is_nobody_to_the_service() {
    let (_directory, server) = serve(&[]);
    let (mut visitor, mut client, key) = (Visitor::new(&server), server.client(), server.service_key());
    visitor.sign_in("alice");
    assert!(visitor.page().contains("<code>demo:alice</code>"));
    let token = visitor.token().to_owned();
    // The demonstration's key is not in the service's ring.
    client
        .call("GET", "/v1/session", &token, None)
        .refused(401, "token-key-unknown");
    for name in ["tessera", "__Host-tessera", COOKIE] {
        let cookie = format!("{name}={token}");
        let answer = client.send("GET", "/auth", &[("Cookie", &cookie)], None);
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    for subject in ["alice", "demo:alice"] {
        let path = format!("/v1/subjects/{subject}/sessions");
        let listed = client.call("GET", &path, &key, None).ok();
        assert_eq!(listed["sessions"].as_array().map(Vec::len), Some(0), "{listed}");
    }
    // And the other way round.
    let real = client.create(&key, Some("demo:alice"));
    visitor.cookie = Some(format!("{COOKIE}={real}"));
    assert!(visitor.page().contains("You are not signed in any more."));
    server.stop();
}

#[test]
fn a_token_from_before_the_logout_is_refused_and_shown_with_the_reason() {
    let (_directory, server) = serve(&[]);
    let mut visitor = Visitor::new(&server);
    visitor.sign_in("alice");
    let cookie = visitor.cookie.clone().expect("signed in");
    let token = visitor.token().to_owned();
    let answer = visitor.post("/logout", "");
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("/old")),
        "{answer:?}"
    );
    let old = [("Cookie", format!("tessera-demo-old={token}"))];
    let old = old.each_ref().map(|(name, value)| (*name, value.as_str()));
    let answer = Client::new(&server.address).send("GET", "/old", &old, None);
    assert!(
        answer.text.contains(&token) && answer.text.contains(">missing</code>"),
        "{answer:?}"
    );
    visitor.cookie = Some(cookie);
    let page = visitor.page();
    assert!(page.contains("You are not signed in any more.") && page.contains(">missing</code>"));
    // A token that lives is never shown.
    visitor.cookie = None;
    visitor.sign_in("alice");
    let planted = format!("tessera-demo-old={}", visitor.token());
    let answer = Client::new(&server.address).send("GET", "/old", &[("Cookie", &planted)], None);
    assert_eq!((answer.status, answer.text.as_str()), (303, ""));
    server.stop();
}

#[test]
fn who_calls_it_by_another_name_than_this_machines_is_refused() {
    let (_directory, server) = serve(&[]);
    let mut client = server.client();
    let ask = |client: &mut Client, method: &str, path: &str, host: &str| {
        let request = String::from_utf8(request(method, path, &[FORM], Some("name=alice"))).expect("UTF-8");
        let request = request.replace("Host: localhost", &format!("Host: {host}"));
        client.try_send(request.as_bytes()).expect("an answer")
    };
    for host in [
        "example.com",
        "localhost.example.com",
        "127.0.0.1.example.com:80",
        "10.0.0.1",
        "",
    ] {
        for (method, path) in [("GET", "/"), ("POST", "/login"), ("GET", "/style.css")] {
            ask(&mut client, method, path, host).refused(403, "host-refused");
        }
        assert_eq!(ask(&mut client, "GET", "/healthz", host).status, 200, "{host}");
    }
    for host in ["localhost:8787", "127.0.0.1", "[::1]:8787"] {
        assert_eq!(ask(&mut client, "GET", "/", host).status, 200, "{host}");
    }
    // A proxy on this machine asks for others.
    for header in [
        "X-Forwarded-For",
        "X-Real-IP",
        "Via",
        "Forwarded",
        "X-Forwarded-Proto",
    ] {
        let forwarded = [(header, "192.0.2.1")];
        client
            .send("GET", "/", &forwarded, None)
            .refused(403, "host-refused");
    }
    let old = b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n";
    client
        .try_send(old)
        .expect("an answer")
        .refused(403, "host-refused");
    server.stop();
}

#[test]
fn it_is_off_where_it_is_not_wanted() {
    let (_directory, server) = serve(&[]);
    assert!(
        server
            .printed
            .contains(&format!("Open http://{}/ to see it work", server.address))
    );
    assert!(server.printed.contains("--demo off turns it off"));
    let mut client = server.client();
    client
        .send("GET", "/elsewhere", &[], None)
        .refused(404, "not-found");
    client
        .send("GET", "/login", &[], None)
        .refused(405, "method-not-allowed");
    server.stop();

    for flags in [vec!["--demo", "off"], vec!["--listen", "0.0.0.0:0"]] {
        let (_directory, server) = serve(&flags);
        assert!(!server.printed.contains("demonstration"), "{}", server.printed);
        let mut client = server.client();
        for path in ["/", "/style.css", "/old"] {
            client.send("GET", path, &[], None).refused(404, "not-found");
        }
        client
            .send("POST", "/login", &[FORM], Some("name=a"))
            .refused(404, "not-found");
        server.stop();
    }

    // Asked for, it is there for everybody, and its cookie needs TLS.
    let (_directory, server) = serve(&["--listen", "0.0.0.0:0", "--demo", "on"]);
    assert!(server.printed.contains("FROM WHEREVER"), "{}", server.printed);
    let answer = server
        .client()
        .send("POST", "/login", &[FORM], Some("name=alice"));
    let cookie = answer.header("set-cookie").expect("signed in");
    assert!(
        cookie.starts_with("__Host-tessera-demo=") && cookie.contains("; Secure"),
        "{cookie}"
    );
    server.stop();
}
