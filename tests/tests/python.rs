//! Services in Rust and in Python over one store: one session, nothing lost, nothing back.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};
use tessera::store::StoreUrl;
use tessera::{SessionError, Sessions};
use tessera_tests::conformance::{Kind, Servers};
use tessera_tests::python::python;

/// A service in Python.
struct Python {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Python {
    fn start(url: &str) -> Self {
        let mut command = python(Path::new("tests/shared.py"));
        let command = command.arg(url).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a service in Python");
        let orders = child.stdin.take().expect("its input");
        let answers = BufReader::new(child.stdout.take().expect("its output"));
        Self {
            child,
            orders,
            answers,
        }
    }

    fn order(&mut self, order: &Value) {
        writeln!(self.orders, "{order}").expect("an order");
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        serde_json::from_str(&line).expect("JSON")
    }

    fn ask(&mut self, order: &Value) -> Value {
        self.order(order);
        self.answer()
    }

    fn token(&mut self, order: &Value) -> String {
        self.ask(order)["ok"].as_str().expect("a token").to_owned()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

async fn rust(url: &str) -> Sessions {
    let url: StoreUrl = url.parse().expect("a URL");
    let store = url.open().await.expect("a store");
    let builder = Sessions::builder().signing_key("k", [b'-'; 32]);
    builder.build(store).expect("sessions")
}

const SHARED: [Kind; 4] = [Kind::Sqlite, Kind::Redis, Kind::Postgres, Kind::MariaDb];

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_from_rust_to_python_and_back_over_every_store() {
    let servers = Servers::default();
    for kind in SHARED {
        let url = servers.url(kind).expect("a store");
        let (sessions, mut python) = (rust(&url).await, Python::start(&url));
        // A login in Rust, a save in Python, a renewal in Rust, a logout in Python.
        let session = sessions.create();
        session.set("a", &1).expect("a field");
        let token = session.authenticate("alice").await.expect("a login").token;
        let token = token.expect("a token");
        let saved = python.ask(&json!({"do": "save", "token": token, "fields": {"b": [2, "ü"]}}));
        assert_eq!(saved, json!({"ok": {"a": 1, "b": [2, "ü"]}}), "{}", kind.name());
        let renewed = sessions.open(&token).await.expect("the session").rotate().await;
        let renewed = renewed.expect("a grant").token.expect("a token");
        let read = python.ask(&json!({"do": "read", "token": renewed}));
        let wanted = json!({"ok": {"fields": {"a": 1, "b": [2, "ü"]}, "subject": "alice"}});
        assert_eq!(read, wanted, "{}", kind.name());
        assert_eq!(
            python.ask(&json!({"do": "logout", "token": renewed})),
            json!({"ok": null})
        );
        let gone = sessions.open(&renewed).await;
        assert!(matches!(gone, Err(SessionError::Missing)), "{gone:?}");
        // And the other way round.
        let token = python.token(&json!({"do": "login", "subject": "bob", "fields": {"f": 1.5, "n": null}}));
        let session = sessions.open(&token).await.expect("the session");
        assert_eq!(session.get::<f64>("f").expect("a field"), Some(1.5));
        assert_eq!(session.subject().expect("a subject").as_deref(), Some("bob"));
        session.set("r", "rust").expect("a field");
        session.save().await.expect("a save");
        let renewed = python.token(&json!({"do": "rotate", "token": token}));
        let session = sessions.open(&renewed).await.expect("the session");
        assert_eq!(
            session.get::<String>("r").expect("a field").as_deref(),
            Some("rust")
        );
        session.destroy().await.expect("a logout");
        assert_eq!(
            python.ask(&json!({"do": "save", "token": renewed, "fields": {"late": true}})),
            json!({"error": "missing"}),
            "{}",
            kind.name()
        );
    }
}

/// Saves one field after the other until the session has ended; returns those that were acknowledged.
async fn race(sessions: Sessions, token: String, task: usize, count: usize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0..count {
        // A session has at most 256 fields.
        let name = format!("rust.{task}.{}", number % 25);
        loop {
            let saved = async {
                let session = sessions.open(&token).await?;
                session.set(&name, &number)?;
                session.save().await
            };
            match saved.await {
                Ok(_) => break acknowledged.push(name),
                Err(SessionError::Contended) => {}
                Err(error) if error.is_not_logged_in() => return acknowledged,
                Err(error) => unreachable!("{error}"),
            }
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_saves_of_rust_and_python_are_all_kept_and_none_undoes_a_logout() {
    let servers = Servers::default();
    for kind in [Kind::Redis, Kind::Postgres] {
        let url = servers.url(kind).expect("a store");
        let (sessions, mut python) = (rust(&url).await, Python::start(&url));
        for ends in [false, true] {
            let token = sessions
                .create()
                .authenticate("alice")
                .await
                .expect("a login")
                .token;
            let token = token.expect("a token");
            let count = if ends { 10_000 } else { 25 };
            python.order(&json!({"do": "race", "token": token, "count": count}));
            let tasks: Vec<_> = (0..3)
                .map(|task| tokio::spawn(race(sessions.clone(), token.clone(), task, count)))
                .collect();
            if ends {
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                let session = sessions.open(&token).await.expect("the session");
                session.destroy().await.expect("a logout");
            }
            let mut acknowledged = Vec::new();
            for task in tasks {
                acknowledged.extend(task.await.expect("a task"));
            }
            let (python, of_rust) = (python.answer(), acknowledged.len());
            for name in python["ok"].as_array().expect("a list") {
                acknowledged.push(name.as_str().expect("a name").to_owned());
            }
            assert!(
                of_rust > 0 && acknowledged.len() > of_rust,
                "{}: {acknowledged:?}",
                kind.name()
            );
            let found = sessions.open(&token).await;
            if ends {
                assert!(matches!(found, Err(SessionError::Missing)), "{found:?}");
                continue;
            }
            let session = found.expect("the session");
            let entries = session.entries().expect("the fields");
            let mut names: Vec<String> = entries.into_iter().map(|(name, _)| name).collect();
            acknowledged.sort_unstable();
            names.sort_unstable();
            assert_eq!(names, acknowledged, "{}", kind.name());
        }
    }
}
