//! The Worker and `tessera serve` are sent the same requests, and have to answer alike.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tessera_tests::edge::{SERVICE_KEY, SIGNING_KEY};
use tessera_tests::http_client::{Answer, Client, bearer, request};

/// What says how an answer is to be taken; the others are the server's own.
const HEADERS: [&str; 12] = [
    "content-type",
    "cache-control",
    "www-authenticate",
    "retry-after",
    "set-cookie",
    "vary",
    "x-session-subject",
    "x-role",
    "location",
    "content-security-policy",
    "x-content-type-options",
    "referrer-policy",
];

pub(crate) struct Host {
    child: Child,
    pub(crate) address: String,
    _data: TempDir,
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `tessera serve` with the Worker's keys, and these flags.
pub(crate) fn serve(flags: &[&str]) -> Host {
    use base64::Engine as _;
    let data = TempDir::new().expect("a directory");
    let secret = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(SIGNING_KEY.1);
    let keys = json!({"keys": [{"id": SIGNING_KEY.0, "secret": secret}]});
    let key_file = data.path().join("keys.json");
    std::fs::write(&key_file, keys.to_string()).expect("a key file");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o600)).expect("for us alone");
    }
    let program = tessera_tests::program::program();
    let mut child = Command::new(program)
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(flags)
        .arg("--data")
        .arg(data.path())
        .env("TESSERA_SERVICE_KEY", SERVICE_KEY)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let line = lines
        .map_while(Result::ok)
        .find(|line| line.contains("listening"))
        .expect("it listens");
    let address = line.split_once("http://").expect("a URL").1.trim().to_owned();
    Host {
        child,
        address,
        _data: data,
    }
}

/// What of an answer is the contract: its status, headers and body, without what is different in every run.
fn told(answer: &Answer) -> (u16, Vec<(String, String)>, Value) {
    let body = serde_json::from_str(&answer.text).unwrap_or_else(|_| Value::from(steady_page(&answer.text)));
    let headers = HEADERS.iter().flat_map(|name| {
        answer
            .all(name)
            .map(move |value| ((*name).to_owned(), steady_header(name, value)))
    });
    (answer.status, headers.collect(), steady(body))
}

/// Tokens, references and moments are others in every run.
fn steady(body: Value) -> Value {
    match body {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| {
                let value = match name.as_str() {
                    "token" | "public_id" | "connection" | "session" | "id" | "after"
                        if value.is_string() =>
                    {
                        Value::from("…")
                    }
                    _ if name.ends_with("_at") && value.is_number() => Value::from(0),
                    _ => steady(value),
                };
                (name, value)
            })
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(list) => list.into_iter().map(steady).collect(),
        plain => plain,
    }
}

/// A cookie's token and how long it is kept, to the second.
fn steady_header(name: &str, value: &str) -> String {
    if name != "set-cookie" {
        return value.to_owned();
    }
    let (pair, attributes) = value.split_once(';').unwrap_or((value, ""));
    let name = pair.split('=').next().unwrap_or_default();
    format!("{name}=…;{}", blank(attributes, "Max-Age=", ";"))
}

/// The same in a page.
fn steady_page(text: &str) -> String {
    let changing = [
        (r#"name="csrf_token" value=""#, "\""),
        (r#"name="public_id" value=""#, "\""),
        ("<dt>Public id</dt><dd><code>", "</code>"),
        (r#"id="token"><code>"#, "</code>"),
        ("data-at=\"", "</span>"),
        ("data-left=\"", "</span>"),
    ];
    // The Worker has no server-sent events, by which the demonstration receives messages.
    let page = match text.split_once(r#"<section class="card stream""#) {
        Some((before, section)) => {
            let behind = section.split_once("</section>").map_or("", |(_, behind)| behind);
            format!("{before}{behind}")
        }
        None => text.to_owned(),
    };
    changing
        .into_iter()
        .fold(page, |page, (before, after)| blank(&page, before, after))
}

/// Takes out what stands between two texts, wherever it does.
fn blank(text: &str, before: &str, after: &str) -> String {
    let mut parts = text.split(before);
    let mut blanked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.find(after).map_or("", |at| &part[at..]);
        blanked.extend([before, "…", rest]);
    }
    blanked
}

/// The same requests for both, in step.
pub(crate) struct Both {
    pub(crate) edge: Client,
    pub(crate) host: Client,
    pub(crate) asked: usize,
}

impl Both {
    /// Sends each its own headers; answers what both told.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: [&str; 2],
        headers: [&[(&str, &str)]; 2],
        body: Option<&str>,
    ) -> [Answer; 2] {
        self.send_each(method, path, headers, [body, body])
    }

    /// The same with a body for each.
    pub(crate) fn send_each(
        &mut self,
        method: &str,
        path: [&str; 2],
        headers: [&[(&str, &str)]; 2],
        body: [Option<&str>; 2],
    ) -> [Answer; 2] {
        let mut ask = |client: usize| {
            let client_of = if client == 0 {
                &mut self.edge
            } else {
                &mut self.host
            };
            let request = request(method, path[client], headers[client], body[client]);
            // A server may close the connection of a request whose body it did not read.
            let answer = client_of
                .try_send(&request)
                .or_else(|_| client_of.try_send(&request));
            answer.unwrap_or_else(|error| {
                panic!(
                    "{method} {}, {}: {error}",
                    path[client],
                    ["the Worker", "the host"][client]
                )
            })
        };
        let (edge, host) = (ask(0), ask(1));
        assert_eq!(
            told(&edge),
            told(&host),
            "{method} {} {body:?}: the Worker, and `tessera serve`",
            path[0]
        );
        self.asked += 1;
        [edge, host]
    }

    pub(crate) fn service(&mut self, method: &str, path: &str, body: Option<&str>) -> [Answer; 2] {
        let key = bearer(SERVICE_KEY);
        let headers: &[(&str, &str)] = &[("Authorization", &key)];
        self.send(method, [path, path], [headers, headers], body)
    }

    pub(crate) fn holder(
        &mut self,
        method: &str,
        path: &str,
        tokens: &[String; 2],
        body: Option<&str>,
    ) -> [Answer; 2] {
        let credentials = [bearer(&tokens[0]), bearer(&tokens[1])];
        let headers = credentials
            .each_ref()
            .map(|bearer| [("Authorization", bearer.as_str())]);
        self.send(method, [path, path], [&headers[0], &headers[1]], body)
    }
}
