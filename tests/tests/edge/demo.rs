//! The demonstration in the Worker: the pages of `tessera serve`, and nobody's login anywhere else.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use tessera_tests::edge::SERVICE_KEY;
use tessera_tests::http_client::{Answer, Client};

use crate::both::{Both, serve};
use crate::{nothing, start, tell};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const COOKIE: &str = "__Host-tessera-demo";

/// A browser at each of the two.
struct Visitor {
    both: Both,
    /// `name=token`, of each.
    cookies: Option<[String; 2]>,
}

impl Visitor {
    fn send(&mut self, method: &str, path: &str, forms: [Option<&str>; 2]) -> [Answer; 2] {
        let cookies = self.cookies.clone().unwrap_or_default();
        let headers = cookies.each_ref().map(|cookie| {
            let mut headers = vec![FORM];
            if !cookie.is_empty() {
                headers.push(("Cookie", cookie));
            }
            headers
        });
        let answers = self
            .both
            .send_each(method, [path; 2], [&headers[0], &headers[1]], forms);
        let set = answers.each_ref().map(|answer| {
            let set = answer.header("set-cookie").filter(|set| set.starts_with(COOKIE));
            set.and_then(|set| set.split(';').next()).map(str::to_owned)
        });
        if let [Some(edge), Some(host)] = set {
            self.cookies = Some([edge, host]);
        }
        answers
    }

    fn get(&mut self, path: &str) -> [Answer; 2] {
        self.send("GET", path, [None, None])
    }

    /// Sends a form with the token that stands in the page of each, and whatever else differs.
    fn post(&mut self, path: &str, rest: impl Fn(&str) -> String) -> [Answer; 2] {
        let forms = self.get("/").map(|page| {
            let token = hidden(&page.text, "csrf_token").expect("a form");
            format!("csrf_token={token}&{}", rest(&page.text))
        });
        self.send("POST", path, [Some(&forms[0]), Some(&forms[1])])
    }

    fn sign_in(&mut self, name: &str) {
        let form = format!("name={name}");
        let [edge, _] = self.send("POST", "/login", [Some(&form), Some(&form)]);
        assert_eq!(
            (edge.status, edge.header("location")),
            (303, Some("/")),
            "{edge:?}"
        );
    }
}

/// The value of the first hidden field of a name.
fn hidden(page: &str, name: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!(r#"name="{name}" value=""#))?;
    Some(rest.split('"').next()?.to_owned())
}

fn on() -> serde_json::Value {
    json!({"TESSERA_DEMO": "on"})
}

#[test]
fn its_pages_are_those_of_tessera_serve() {
    let (worker, host) = (start(&on()), serve(&["--demo", "on"]));
    let visitor = || Visitor {
        both: Both {
            edge: worker.client(),
            host: Client::new(&host.address),
            asked: 0,
        },
        cookies: None,
    };
    let (mut here, mut there) = (visitor(), visitor());
    for path in [
        "/",
        "/style.css",
        "/script.js",
        "/icon.svg",
        "/old",
        "/login",
        "/nowhere",
    ] {
        here.get(path);
    }
    for form in [
        "",
        "name=",
        "name=%20",
        "name=a%00b",
        &format!("name={}", "x".repeat(41)),
    ] {
        here.send("POST", "/login", [Some(form), Some(form)]);
    }
    here.sign_in("alice");
    there.sign_in("alice");
    let [page, _] = here.get("/");
    assert!(page.text.contains("<code>demo:alice</code>"), "{}", page.text);
    assert!(page.text.contains("Log out everywhere else"), "{}", page.text);

    here.post("/fields", |_| "field=city&text=%3Cb%3ERome%3C%2Fb%3E".into());
    here.post("/fields", |_| "field=note&text=later&slowly=yes".into());
    here.post("/fields", |_| format!("field=city&text={}", "x".repeat(81)));
    here.post("/fields", |_| "field=agent&text=other".into());
    let [page, _] = here.get("/");
    assert!(
        page.text.contains("&lt;b&gt;Rome") && page.text.contains("later"),
        "{}",
        page.text
    );
    // A form that another site has made.
    here.send("POST", "/renew", [Some(""), Some("")]);
    here.send(
        "POST",
        "/logout",
        [Some("csrf_token=AAAA"), Some("csrf_token=AAAA")],
    );
    here.post("/renew", |_| String::new());
    here.get("/");

    let ended = here.post("/devices/end", |page| {
        format!("public_id={}", hidden(page, "public_id").expect("another device"))
    });
    assert_eq!(ended[0].status, 303, "{ended:?}");
    let [page, _] = there.get("/");
    assert!(
        page.text.contains("You are not signed in any more."),
        "{}",
        page.text
    );
    there.sign_in("alice");
    here.post("/devices/end-others", |_| String::new());
    there.get("/");

    let cookies = here.cookies.clone().expect("signed in");
    here.post("/logout", |_| String::new());
    here.cookies = Some(cookies.each_ref().map(|cookie| {
        let (_, token) = cookie.split_once('=').expect("a pair");
        format!("tessera-demo-old={token}")
    }));
    let [page, _] = here.get("/old");
    assert!(page.text.contains(">missing</code>"), "{}", page.text);
    here.cookies = Some(cookies);
    here.get("/");
    tell(&format!(
        "demonstration: {} requests answered alike",
        here.both.asked + there.both.asked
    ));
}

#[test]
fn who_signs_in_there_is_nobody_to_the_service_and_the_other_way_round() {
    for store in ["durable", "combined"] {
        let worker = start(&json!({"TESSERA_DEMO": "on", "TESSERA_STORE": store}));
        let mut client = worker.client();
        let answer = client.send("POST", "/login", &[FORM], Some("name=alice"));
        let cookie = answer
            .header("set-cookie")
            .expect("signed in")
            .split(';')
            .next()
            .expect("a pair");
        let (_, token) = cookie.split_once('=').expect("a pair");
        let mut ask = |path: &str, headers: &[(&str, &str)]| client.send("GET", path, headers, None);
        let bearer = format!("Bearer {token}");
        ask("/v1/session", &[("Authorization", &bearer)]).refused(401, "token-key-unknown");
        for name in ["tessera", "__Host-tessera", COOKIE] {
            let cookie = format!("{name}={token}");
            assert_eq!(ask("/auth", &[("Cookie", &cookie)]).status, 401, "{name}");
        }
        for subject in ["alice", "demo:alice"] {
            let path = format!("/v1/subjects/{subject}/sessions");
            let listed = client.call("GET", &path, SERVICE_KEY, None).ok();
            assert_eq!(listed["sessions"], json!([]), "{listed}");
        }
        let real = client.create(SERVICE_KEY, Some("demo:alice"));
        let cookie = format!("{COOKIE}={real}");
        let page = client.send("GET", "/", &[("Cookie", &cookie)], None);
        assert!(
            page.text.contains("You are not signed in any more."),
            "{}",
            page.text
        );
        // Whoever takes another key's name does not come by its key.
        let renamed = real.replacen("2026-01", "demo", 1);
        let cookie = format!("{COOKIE}={renamed}");
        let page = client.send("GET", "/", &[("Cookie", &cookie)], None);
        assert!(page.text.contains("token-mac-wrong"), "{}", page.text);
    }
}

#[test]
fn it_is_off_unless_it_is_asked_for() {
    for variables in [nothing(), json!({"TESSERA_DEMO": "off"})] {
        let worker = start(&variables);
        let mut client = worker.client();
        for path in ["/", "/style.css", "/old"] {
            client.send("GET", path, &[], None).refused(404, "not-found");
        }
        client
            .send("POST", "/login", &[FORM], Some("name=a"))
            .refused(404, "not-found");
    }
    let worker = start(&json!({"TESSERA_DEMO": "yes"}));
    let answer = worker.client().send("GET", "/", &[], None);
    answer.refused(500, "not-configured");
    assert!(answer.text.contains("TESSERA_DEMO"), "{answer:?}");
}

#[test]
fn a_browser_goes_through_it() {
    let worker = start(&on());
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    let shots = tempfile::TempDir::new().expect("a directory");
    let output = Command::new("node")
        .arg(scripts.join("demo.mjs"))
        .arg(format!("http://{}/", worker.address()))
        .arg(shots.path())
        .stdin(Stdio::null())
        .output()
        .expect("node is installed by `cargo xtask test`");
    let (said, failed) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}{failed}\n{}", worker.log());
}
