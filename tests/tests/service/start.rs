//! What is made at the first start, and what a later one does with it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;

use crate::server::{Server, program, run};
use crate::{place, serve};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn secrets_are_the_owners_alone_and_never_shown() {
    let (_directory, first) = serve(&[]);
    let data = first.data.clone();
    assert_eq!(mode(&data), 0o700);
    for file in ["keys.json", "service-key", "sessions.db"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
    let key = first.service_key();
    let keys = fs::read_to_string(data.join("keys.json")).expect("keys");
    let keys: serde_json::Value = serde_json::from_str(&keys).expect("JSON");
    let secret = keys["keys"][0]["secret"].as_str().expect("a secret").to_owned();
    assert!(
        !first.printed.contains(&key) && !first.log().contains(&key),
        "standard output may be a log"
    );
    for said in [
        "service-key",
        "keys.json",
        "sessions.db",
        "component    sha256 ",
        &first.address,
    ] {
        assert!(first.printed.contains(said), "{said}: {}", first.printed);
    }
    let token = first.client().create(&key, Some("alice"));
    first.stop();

    let second = Server::start(&data, &[]);
    assert!(
        !second.printed.contains(&key) && second.printed.contains("service-key"),
        "{}",
        second.printed
    );
    assert!(!second.printed.contains(&secret) && !second.log().contains(&secret));
    assert!(!second.log().contains(&key), "the service key is never logged");
    assert_eq!(
        second.client().call("GET", "/v1/session", &token, None).ok()["subject"],
        "alice"
    );
    second.stop();
}

#[test]
fn a_secret_open_to_everybody_is_refused_by_name() {
    let (_directory, server) = serve(&[]);
    let data = server.data.clone();
    server.stop();
    let directory = data.to_str().expect("UTF-8");
    for file in ["keys.json", "service-key"] {
        let path = data.join(file);
        set_mode(&path, 0o644);
        let (done, _, said) = run(&["serve", "--listen", "127.0.0.1:0", "--data", directory]);
        assert!(
            !done && said.contains(path.to_str().expect("UTF-8")) && said.contains("chmod 600"),
            "{said}"
        );
        set_mode(&path, 0o600);
    }
    set_mode(&data.join("keys.json"), 0o640);
    let server = Server::start(&data, &[]);
    assert!(server.log().contains("open to its group"), "{}", server.log());
    server.stop();
}

#[test]
fn a_damaged_key_file_is_refused_and_not_quoted() {
    let (_directory, data) = place();
    fs::create_dir(&data).expect("a directory");
    let path = data.join("keys.json");
    let directory = data.to_str().expect("UTF-8");
    for text in [
        r#"{"keys":[{"id":"a","secret":5,"c":"hush"}]}"#,
        r#"{"keys":"hush"}"#,
        "hush",
        r#"{"keys":[]}"#,
        "",
    ] {
        fs::write(&path, text).expect("written");
        set_mode(&path, 0o600);
        let (done, _, said) = run(&["serve", "--listen", "127.0.0.1:0", "--data", directory]);
        assert!(
            !done && said.contains("keys.json is not a key file") && !said.contains("hush"),
            "{said}"
        );
    }
    let weak = r#"{"keys":[{"id":"weak","secret":"AAAA"}]}"#;
    fs::write(&path, weak).expect("written");
    let (done, _, said) = run(&["serve", "--listen", "127.0.0.1:0", "--data", directory]);
    assert!(!done && said.contains("keys:"), "{said}");
}

#[test]
fn what_cannot_be_done_is_refused_with_its_name() {
    let (_directory, data) = place();
    let directory = data.to_str().expect("UTF-8");
    let mut taken = Server::start(&data, &[]);
    let address = taken.address.clone();
    for (flags, said) in [
        (vec!["--idle-timeout", "48h"], "policy: "),
        (vec!["--idle-timeout", "30"], "write a unit"),
        (
            vec!["--store", "mongodb:localhost"],
            "the known ones are memory:, sqlite:PATH",
        ),
        (vec!["--token-format", "jwt"], "policy: "),
        (
            vec!["--cap-rule", "refuse"],
            "--cap-rule needs --sessions-per-subject",
        ),
        (
            vec!["--absolute-timeout", "1000d"],
            "policy: --absolute-timeout must be ",
        ),
        (vec!["--absolute-timeout", "1000d"], "d, and is 1000d"),
        (
            vec!["--listen", "0.0.0.0"],
            "the port is missing, as in 0.0.0.0:8787",
        ),
        (vec!["--listen", "::1"], "the port is missing, as in [::1]:8787"),
        (vec!["--listen", "localhost"], "the port is missing"),
        (vec!["--listen", ":8787"], "as in 0.0.0.0:8787"),
        (vec!["--listen", &address], "cannot listen on"),
        (vec!["--liste", "x"], "'--listen'"),
        (vec!["--auth-header", "a=X-Session-Token"], "x-session-token"),
        (
            vec!["--auth-header", "a=X-Envoy-Auth-Headers-To-Remove"],
            "begins with X-",
        ),
        (
            vec!["--auth-header", "a=X-Role", "--auth-header", "b=x-role"],
            "two fields use the header x-role",
        ),
        (vec!["--request-timeout", "999ms"], "1s to 1h"),
        (vec!["--maximum-connections", "0"], "1..=65536"),
    ] {
        let mut arguments = vec!["serve", "--data", directory];
        if !flags.contains(&"--listen") {
            arguments.extend(["--listen", "127.0.0.1:0"]);
        }
        arguments.extend(flags);
        let (done, printed, refused) = run(&arguments);
        assert!(
            !done && refused.contains(said),
            "{arguments:?}: {printed}{refused}"
        );
    }
    taken.tell_to_end();
    assert!(taken.ended().success());
}

/// A variable set by an orchestrator often ends with the newline of the file that it was read from.
#[test]
fn variables_count_without_white_space_and_an_unknown_one_is_reported() {
    let (directory, data) = place();
    let mut command = Command::new(program());
    command
        .env(
            "TESSERA_STORE",
            format!(" sqlite:{}\n", directory.path().join("of-variable.db").display()),
        )
        .env("TESSERA_SESSIONS_PER_SUBJECT", "1\n")
        .env("TESSERA_CAP_RULE", "REFUSE")
        .env("TESSERA_LOG", "DEBUG")
        .env("TESSERA_PUBLIC_FIELDS", "device, place")
        .env("TESSERA_AUTH_HEADERS", "role=X-Role, team=X-Team ")
        .env("TESSERA_IDLE_TIMEOUT", "")
        .env("TESSERA_ROTATION_GRACE", " ")
        .env("TESSERA_IDLE_TIMOUT", "5m");
    let server = Server::start_by(&mut command, &data, &[]);
    assert!(directory.path().join("of-variable.db").exists());
    assert!(
        server
            .log()
            .contains("TESSERA_IDLE_TIMOUT is unknown and ignored: is TESSERA_IDLE_TIMEOUT meant?"),
        "{}",
        server.log()
    );
    let (mut client, key) = (server.client(), server.service_key());
    let login =
        r#"{"subject":"alice","fields":{"role":"admin","team":"red","device":"phone","place":"here"}}"#;
    let token = client.call("POST", "/v1/sessions", &key, Some(login)).token();
    client
        .call("POST", "/v1/sessions", &key, Some(r#"{"subject":"alice"}"#))
        .refused(409, "too-many-sessions");
    let answer = client.call("GET", "/auth", &token, None);
    assert_eq!(
        (answer.header("x-role"), answer.header("x-team")),
        (Some("admin"), Some("red"))
    );
    let listed = client.call("GET", "/v1/subjects/alice/sessions", &key, None).ok();
    assert_eq!(
        listed["sessions"][0]["fields"],
        serde_json::json!({ "device": "phone", "place": "here" })
    );
    server.stop();
}

/// As where the program that reads the log hangs.
#[cfg(target_os = "linux")]
#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let (directory, data) = place();
    let pipe = directory.path().join("pipe");
    // The service itself keeps the pipe open for reading, and reads nothing.
    let script = r#"mkfifo "$0" && exec 3<>"$0" && exec "$@" 2> "$0""#;
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(&pipe).arg(program());
    let mut server = Server::start_by(&mut command, &data, &["--log", "debug"]);
    let (mut client, key) = (server.client(), server.service_key());
    let token = client.create(&key, Some("alice"));
    // Each writes a line: in all more than a pipe holds.
    for _ in 0..3000 {
        client.call("GET", "/v1/session", &token, None).ok();
    }
    client.send("GET", "/healthz", &[], None).ok();
    server.tell_to_end();
    assert!(server.ended().success());
}

#[test]
fn a_url_in_the_wrong_place_is_not_repeated() {
    let (done, _, said) = run(&["serve", "redis://user:p4ssw0rd@host/1"]);
    assert!(
        !done && said.contains("--store") && !said.contains("p4ss"),
        "{said}"
    );
}

#[test]
fn a_slip_in_a_list_of_fields_is_refused() {
    for (flag, value) in [
        ("--auth-header", "role =X-Role"),
        ("--auth-header", "role=X-Role;team=X-Team"),
        ("--protected-field", "role;team"),
        ("--protected-field", "role=X-Role"),
    ] {
        let (done, _, said) = run(&["serve", "--listen", "127.0.0.1:0", flag, value]);
        assert!(
            !done && said.contains("separated by commas") || said.contains("is not a header name"),
            "{value}: {said}"
        );
    }
}

/// Two hosts whose clocks differ: the one that is behind reports by how much.
#[test]
fn a_token_from_the_future_is_reported_with_how_far() {
    struct Ahead;
    impl tessera::Clock for Ahead {
        fn now(&self) -> tessera::Timestamp {
            tessera::Timestamp::now().saturating_add(Duration::from_secs(100))
        }
    }
    let (_directory, server) = serve(&[]);
    let keys = fs::read_to_string(server.data.join("keys.json")).expect("keys");
    let keys: serde_json::Value = serde_json::from_str(&keys).expect("JSON");
    let text = |name: &str| keys["keys"][0][name].as_str().expect("a text").to_owned();
    let secret = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(text("secret"))
        .expect("base64url");
    let ahead = tessera::Sessions::builder()
        .signing_key(text("id"), secret)
        .clock(Ahead)
        .build(tessera::store::MemoryStore::new())
        .expect("sessions");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let saved = runtime.block_on(async { ahead.create().save().await });
    let token = saved.expect("saved").token.expect("a token");
    for _ in 0..5 {
        let mut client = server.client();
        let refused = client.call("GET", "/v1/session", &token, None);
        refused.refused(401, "token-not-yet-valid");
    }
    let log = server.log();
    // The 1st, 2nd and 4th.
    assert_eq!(
        log.matches("becomes valid in 9").count() + log.matches("becomes valid in 100s").count(),
        3,
        "{log}"
    );
    server.stop();
}

/// A soft limit is raised; a hard one that is too low is reported.
#[test]
fn fewer_open_files_than_connections_are_raised_or_reported() {
    for (limit, connections, is_reported) in [("-Sn 64", "1000", false), ("-n 600", "1000", true)] {
        let (_directory, data) = place();
        let mut command = Command::new("sh");
        let script = format!(r#"ulimit {limit} && exec "$0" "$@""#);
        command.args(["-c", &script]).arg(program());
        let server = Server::start_by(&mut command, &data, &["--maximum-connections", connections]);
        let log = server.log();
        assert_eq!(
            log.contains("this process may open 600 files"),
            is_reported,
            "{limit}: {log}"
        );
        server.client().send("GET", "/healthz", &[], None).ok();
        server.stop();
    }
}

#[test]
fn sessions_in_memory_end_with_the_process() {
    let (_directory, server) = serve(&["--store", "memory:"]);
    let data = server.data.clone();
    let (mut client, key) = (server.client(), server.service_key());
    let token = client.create(&key, None);
    client.call("GET", "/v1/session", &token, None).ok();
    assert!(!data.join("sessions.db").exists());
    server.stop();
    let server = Server::start(&data, &["--store", "memory:"]);
    server
        .client()
        .call("GET", "/v1/session", &token, None)
        .refused(401, "missing");
    server.stop();
}

/// At the level of each request, so that every one of them has a line that is lost.
#[cfg(target_os = "linux")]
#[test]
fn a_log_that_cannot_be_written_costs_nothing_but_its_lines() {
    for reader_has_gone in [false, true] {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path().join("data");
        let mut command = Command::new(program());
        if reader_has_gone {
            let pipe = directory.path().join("pipe");
            command = Command::new("sh");
            let script = r#"mkfifo "$0" && { (: < "$0") & exec "$@" 2> "$0"; }"#;
            command.args(["-c", script]).arg(pipe).arg(program());
        } else {
            std::os::unix::fs::symlink("/dev/full", data.with_extension("log")).expect("a link");
        }
        let mut server = Server::start_by(&mut command, &data, &["--log", "debug"]);
        let (mut client, key) = (server.client(), server.service_key());
        for _ in 0..3 {
            let token = client.create(&key, Some("alice"));
            client
                .call("PATCH", "/v1/session", &token, Some(r#"{"set":{"a":1}}"#))
                .ok();
            client
                .call("GET", "/v1/session", "no token", None)
                .refused(401, "token-malformed");
            let ended = client.call("DELETE", "/v1/session", &token, None);
            assert_eq!(ended.status, 204, "{ended:?}");
            client.send("GET", "/healthz", &[], None).ok();
        }
        server.tell_to_end();
        assert!(server.ended().success());
    }
}
