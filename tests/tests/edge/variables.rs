//! The Worker's variables: as TOML and JSON may have them, and by which names.

use serde_json::{Value, json};
use tessera_tests::edge::{SERVICE_KEY, SIGNING_KEY, Worker};

use crate::{nothing, start};

/// What the Worker says of its configuration.
fn refusal(variables: &Value) -> String {
    let worker = start(variables);
    let answer = worker.send("GET", "/v1/session", &[], None).expect("an answer");
    answer.refused(500, "not-configured");
    answer.json()["detail"].as_str().unwrap_or_default().to_owned()
}

/// Its log once it has answered a request.
fn log(worker: &Worker) -> String {
    let log = worker.send("GET", "/v1/session", &[], None).expect("an answer");
    log.refused(401, "token-absent");
    // A line comes after the others.
    worker.ask("POST", "/test/say/enough", None).expect("a line");
    worker.log_with("enough")
}

#[test]
fn numbers_booleans_and_lists_are_taken_where_they_mean_something() {
    use base64::Engine as _;
    let secret = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(SIGNING_KEY.1);
    let worker = start(&json!({
        "TESSERA_KEYS": {"keys": [{"id": SIGNING_KEY.0, "secret": secret}]},
        "TESSERA_SESSIONS_PER_SUBJECT": 1,
        "TESSERA_DEMO": true,
        "TESSERA_PUBLIC_FIELDS": ["device", "city"],
        "TESSERA_AUTH_HEADERS": ["role=X-Role", " team=X-Team "],
    }));
    let body = json!({"subject": "alice", "fields": {"role": "admin", "team": "red", "city": "Bonn"}});
    let body = body.to_string();
    let create = || {
        worker
            .client()
            .call("POST", "/v1/sessions", SERVICE_KEY, Some(&body))
            .token()
    };
    let (first, second) = (create(), create());
    worker
        .client()
        .call("GET", "/v1/session", &first, None)
        .refused(401, "missing");
    let auth = worker.client().call("GET", "/auth", &second, None);
    assert_eq!(
        (auth.header("x-role"), auth.header("x-team")),
        (Some("admin"), Some("red")),
        "{auth:?}"
    );
    let listed = worker
        .client()
        .call("GET", "/v1/subjects/alice/sessions", SERVICE_KEY, None);
    assert_eq!(listed.ok()["sessions"][0]["fields"], json!({"city": "Bonn"}));
    assert_eq!(worker.send("GET", "/", &[], None).expect("an answer").status, 200);
    let worker =
        start(&json!({"TESSERA_DEMO": false, "TESSERA_PUBLIC_FIELDS": [], "TESSERA_MAXIMUM_FIELDS": "8"}));
    assert_eq!(worker.send("GET", "/", &[], None).expect("an answer").status, 404);
}

#[test]
fn a_value_of_a_kind_that_means_nothing_is_refused_by_name() {
    for (name, value) in [
        ("TESSERA_SESSIONS_PER_SUBJECT", json!(1.5)),
        ("TESSERA_SESSIONS_PER_SUBJECT", json!(-1)),
        ("TESSERA_SESSIONS_PER_SUBJECT", json!(true)),
        ("TESSERA_SESSIONS_PER_SUBJECT", json!("one")),
        ("TESSERA_IDLE_TIMEOUT", json!(30)),
        ("TESSERA_IDLE_TIMEOUT", json!("30")),
        ("TESSERA_IDLE_TIMEOUT", json!({"minutes": 30})),
        ("TESSERA_DEMO", json!("yes")),
        ("TESSERA_DEMO", json!(1)),
        ("TESSERA_PUBLIC_FIELDS", json!(["device", 1])),
        ("TESSERA_PUBLIC_FIELDS", json!(5)),
        ("TESSERA_AUTH_HEADERS", json!([["role", "X-Role"]])),
        ("TESSERA_ISSUER", json!(["https://login.example"])),
        ("TESSERA_TOKEN_FORMAT", json!(false)),
        ("TESSERA_PRESET", json!("aal4")),
        ("TESSERA_PRESET", json!(2)),
        ("TESSERA_STORE", json!(["durable"])),
        ("TESSERA_STORE_TIMEOUT", json!(10_000)),
        ("TESSERA_LOG", json!("loud")),
        ("TESSERA_LOG", json!(3)),
        ("TESSERA_SERVICE_KEY", json!({"key": SERVICE_KEY})),
        ("TESSERA_KEYS", json!(["SECRET"])),
        ("TESSERA_KEYS", json!({"keys": "SECRET"})),
    ] {
        let mut variables = json!({});
        variables[name] = value.clone();
        let said = refusal(&variables);
        assert!(said.contains(name), "{name} = {value} is answered {said}");
        assert!(!said.contains("SECRET") && !said.contains(SERVICE_KEY), "{said}");
    }
}

#[test]
fn an_empty_variable_is_not_set_and_white_space_around_a_value_does_not_count() {
    use base64::Engine as _;
    let secret = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(SIGNING_KEY.1);
    let keys = json!({"keys": [{"id": SIGNING_KEY.0, "secret": secret}]});
    let worker = start(&json!({
        "TESSERA_KEYS": format!("\n{keys}\n"),
        "TESSERA_SERVICE_KEY": format!(" {SERVICE_KEY}\n"),
        "TESSERA_STORE": " durable\n",
        "TESSERA_DEMO": "on\n",
        "TESSERA_LOG": " WARN ",
        "TESSERA_IDLE_TIMEOUT": "\t30m ",
        "TESSERA_MAXIMUM_FIELDS": " 8 ",
        "TESSERA_ISSUER": "  ",
        "TESSERA_PRESET": "",
        "TESSERA_PUBLIC_FIELDS": " ",
        "TESSERA_AUTH_HEADERS": "",
        "TESSERA_STORE_TIMEOUT": "",
    }));
    worker.client().create(SERVICE_KEY, Some("alice"));
    assert_eq!(worker.send("GET", "/", &[], None).expect("an answer").status, 200);
    for name in ["TESSERA_KEYS", "TESSERA_SERVICE_KEY"] {
        let mut variables = json!({});
        variables[name] = json!(" \n");
        let said = refusal(&variables);
        assert!(said.contains(name) && said.contains("not set"), "{said}");
    }
}

#[test]
fn a_misspelt_variable_is_a_warning_with_the_nearest_name() {
    let worker = start(&json!({
        "TESSERA_SESSION_PER_SUBJECT": "1",
        "TESSERA_IDLE_TIME_OUT": "SECRET",
        "TESSERA_PUBLIC_FIELD": ["device"],
        "TESSERA_SERVICEKEY": "SECRET",
        "TESSERA_BEYOND_ANY_LIKENESS": "",
        "TESSERA_LISTEN": "127.0.0.1:1",
        "MY_OWN": "1",
    }));
    let log = log(&worker);
    for said in [
        "unknown variable TESSERA_SESSION_PER_SUBJECT; the nearest name is TESSERA_SESSIONS_PER_SUBJECT",
        "unknown variable TESSERA_IDLE_TIME_OUT; the nearest name is TESSERA_IDLE_TIMEOUT",
        "unknown variable TESSERA_PUBLIC_FIELD; the nearest name is TESSERA_PUBLIC_FIELDS",
        "unknown variable TESSERA_SERVICEKEY; the nearest name is TESSERA_SERVICE_KEY",
        "unknown variable TESSERA_BEYOND_ANY_LIKENESS\n",
        "TESSERA_LISTEN applies to `tessera serve` only",
    ] {
        assert_eq!(log.matches(said).count(), 1, "{said}: {log}");
    }
    assert!(!log.contains("SECRET") && !log.contains("MY_OWN"), "{log}");
}

#[test]
fn names_that_are_right_are_no_warning() {
    let log = log(&start(
        &json!({"TESSERA_STORE": "durable", "TESSERA_MAX_STALE": "5s"}),
    ));
    assert!(!log.contains("variable"), "{log}");
    // The bindings are among the names of the environment.
    assert!(!log.contains("TESSERA_"), "{log}");
}

/// The names of the variables of `tessera serve`, made of its flags.
fn variables_of_serve() -> Vec<String> {
    let program = tessera_tests::program::program();
    let help = std::process::Command::new(program)
        .args(["serve", "--help"])
        .output();
    let help = String::from_utf8(help.expect("the program runs").stdout).expect("a text");
    let flags = help.lines().filter_map(|line| {
        let (_, flag) = line
            .trim_start()
            .split_once("--")
            .filter(|(before, _)| matches!(*before, "" | "-h, " | "-V, "))?;
        let name = flag.split([' ', '.', '=', '[']).next()?;
        (!matches!(name, "help" | "version")).then(|| name.replace('-', "_").to_uppercase())
    });
    // What may be given several times on the command line is a list in one variable.
    let names = flags.map(|name| match name.as_str() {
        "AUTH_HEADER" | "AUTH_TRANSPORT" | "PROTECTED_FIELD" | "PUBLIC_FIELD" | "TOKEN_FIELD"
        | "TRANSPORT" => {
            format!("TESSERA_{name}S")
        }
        _ => format!("TESSERA_{name}"),
    });
    names.collect()
}

#[test]
fn every_flag_of_tessera_serve_is_a_variable_here_or_is_said_to_be_for_it_alone() {
    let names = variables_of_serve();
    assert!(names.len() > 20, "{names:?}");
    let mut variables = nothing();
    for name in &names {
        variables[name] = json!("");
    }
    let log = log(&start(&variables));
    assert!(!log.contains("unknown variable"), "{log}");
    let alone: Vec<&String> = names
        .iter()
        .filter(|name| log.contains(&format!("the variable {name} applies to `tessera serve` only")))
        .collect();
    // Addresses, files, connections and the process.
    let unlike = [
        "DATA",
        "DURABILITY",
        "FILE",
        "KEEP_ALIVE_TIMEOUT",
        "LISTEN",
        "CONNECTIONS",
        "REQUEST_TIMEOUT",
        "SHUTDOWN_TIMEOUT",
    ];
    for name in alone {
        assert!(
            unlike.iter().any(|part| name.ends_with(part)),
            "{name} has a meaning in a Worker"
        );
    }
}
