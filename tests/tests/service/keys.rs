//! Signing keys: where they come from, and how they are replaced while services run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::{Server, program, run};
use crate::{place, serve};

const PATIENCE: Duration = Duration::from_secs(30);

#[track_caller]
fn done(arguments: &[&str]) -> String {
    let (done, printed, said) = run(arguments);
    assert!(done, "{arguments:?}: {said}");
    printed
}

#[track_caller]
fn refused(arguments: &[&str], message: &str) {
    let (done, _, said) = run(arguments);
    assert!(!done && said.contains(message), "{arguments:?}: {said}");
}

/// A service of several over one store, each with a key file of its own.
struct Member {
    server: Server,
    file: PathBuf,
    signed: Vec<String>,
}

impl Member {
    fn signing_key(&self) -> Value {
        self.server.client().send("GET", "/healthz", &[], None).ok()["signing_key"].clone()
    }

    /// Until the log says it so many times.
    fn logs(&self, line: &str, times: usize) {
        let started = Instant::now();
        while self.server.log().matches(line).count() < times {
            assert!(started.elapsed() < PATIENCE, "{line}: {}", self.server.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Each member has its turn in each phase, and between two turns all tokens open everywhere.
#[test]
fn several_servers_change_the_signing_key_and_refuse_no_token() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = format!("sqlite:{}", directory.path().join("shared.db").display());
    let first = directory.path().join("first.json");
    done(&["key", "new", "--id", "old", "--file", text(&first)]);
    let mut members: Vec<Member> = (0..3)
        .map(|number| {
            let data = directory.path().join(number.to_string());
            let file = directory.path().join(format!("keys-{number}.json"));
            fs::copy(&first, &file).expect("a copy");
            let server = Server::start(&data, &["--store", &store, "--key-file", text(&file)]);
            Member {
                server,
                file,
                signed: Vec::new(),
            }
        })
        .collect();
    let check = |members: &mut Vec<Member>| {
        for member in members.iter_mut() {
            let key = member.server.service_key();
            let token = member.server.client().create(&key, Some("alice"));
            member.signed.push(token);
        }
        for member in members.iter() {
            let mut client = member.server.client();
            for token in members.iter().flat_map(|member| &member.signed) {
                client.call("GET", "/v1/session", token, None).ok();
            }
        }
    };
    check(&mut members);
    done(&["key", "add", "--id", "new", "--file", text(&first)]);
    for number in 0..3 {
        fs::copy(&first, &members[number].file).expect("a copy");
        // By the signal, at once; and by looking.
        if number != 0 {
            members[number].server.process().hang_up();
        }
        members[number].logs("old signs; new verify too", 1);
        check(&mut members);
        assert_eq!(members[number].signing_key(), "old");
    }
    done(&["key", "promote", "new", "--file", text(&first)]);
    for number in 0..3 {
        fs::copy(&first, &members[number].file).expect("a copy");
        members[number].server.process().hang_up();
        members[number].logs("new signs; old verify too", 1);
        check(&mut members);
        assert_eq!(members[number].signing_key(), "new");
    }
    refused(&["key", "retire", "old", "--file", text(&first)], "live until");
    let old = members[0].signed[0].clone();
    assert!(
        old.starts_with("ts1.old."),
        "the test reads what a token begins with"
    );
    done(&["key", "retire", "old", "--force", "--file", text(&first)]);
    for member in &members {
        fs::copy(&first, &member.file).expect("a copy");
        member.server.process().hang_up();
        member.logs("has changed: new signs", 2);
        let mut client = member.server.client();
        client
            .call("GET", "/v1/session", &old, None)
            .refused(401, "token-key-unknown");
    }
    for member in members {
        member.server.stop();
    }
}

#[test]
fn a_key_file_that_cannot_be_taken_changes_nothing_and_is_reported() {
    let (_directory, server) = serve(&[]);
    let token = server.client().create(&server.service_key(), Some("alice"));
    let file = server.data.join("keys.json");
    let before = fs::read_to_string(&file).expect("keys");
    for unfit in [
        "{",
        r#"{"keys":[]}"#,
        r#"{"keys":[{"id":"weak","secret":"AAAA"}]}"#,
    ] {
        fs::write(&file, unfit).expect("written");
        let lines = server.log().matches("the keys stay as they are").count();
        server.process().hang_up();
        let started = Instant::now();
        while server.log().matches("the keys stay as they are").count() == lines {
            assert!(started.elapsed() < PATIENCE, "{}", server.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        server.client().call("GET", "/v1/session", &token, None).ok();
        server.client().create(&server.service_key(), None);
    }
    fs::write(&file, before).expect("written");
    server.process().hang_up();
    server.client().call("GET", "/v1/session", &token, None).ok();
    let secret: Value = serde_json::from_str(&fs::read_to_string(&file).expect("keys")).expect("JSON");
    let secret = secret["keys"][0]["secret"].as_str().expect("a secret").to_owned();
    assert!(!server.log().contains(&secret));
    server.stop();
}

#[test]
fn keys_come_from_the_environment_or_a_file_and_not_from_both() {
    let (_directory, data) = place();
    let keys = done(&["key", "new", "--id", "from-outside"]);
    let mut command = Command::new(program());
    command.env("TESSERA_KEYS", format!("\n{keys}\n"));
    let server = Server::start_by(&mut command, &data, &[]);
    assert!(
        server.printed.contains("TESSERA_KEYS (from-outside signs)"),
        "{}",
        server.printed
    );
    let token = server.client().create(&server.service_key(), None);
    assert!(token.starts_with("ts1.from-outside."));
    assert!(!data.join("keys.json").exists());
    server.stop();

    let both = Command::new(program())
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--key-file",
            "elsewhere",
            "--data",
        ])
        .arg(&data)
        .env("TESSERA_KEYS", keys)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&both.stderr).into_owned();
    assert!(!both.status.success() && said.contains("both given"), "{said}");

    // Empty is not set.
    let mut command = Command::new(program());
    command.env("TESSERA_KEYS", "").env("TESSERA_SERVICE_KEY", "");
    let server = Server::start_by(&mut command, &data, &[]);
    assert!(data.join("keys.json").exists());
    server.stop();
}

/// A pipe has a reader who waits for a writer.
#[test]
fn a_secret_that_is_no_regular_file_is_refused_and_not_waited_for() {
    let (_directory, data) = place();
    fs::create_dir(&data).expect("a directory");
    let pipe = data.join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success());
    for flag in ["--key-file", "--service-key-file"] {
        refused(
            &[
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--data",
                text(&data),
                flag,
                text(&pipe),
            ],
            "is not a regular file",
        );
    }
}

/// As orchestrators mount secrets: read-only, mode 0444.
#[test]
fn a_secret_whose_mode_cannot_be_changed_is_taken_with_a_warning() {
    let (directory, data) = place();
    let mounted = directory.path().join("mounted");
    fs::create_dir(&mounted).expect("a directory");
    let file = mounted.join("keys.json");
    done(&["key", "new", "--id", "mounted", "--file", text(&file)]);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).expect("a mode");
    let script = r#"mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@""#;
    let unshare = |program: &Path| {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--map-root-user", "sh", "-c", script])
            .arg(&mounted)
            .arg(program);
        command
    };
    if !unshare(Path::new("true"))
        .status()
        .is_ok_and(|status| status.success())
    {
        println!("skipped: nobody but root may mount a directory here");
        return;
    }
    let mut command = unshare(&program());
    let server = Server::start_by(&mut command, &data, &["--key-file", text(&file)]);
    assert!(server.printed.contains("mounted signs"), "{}", server.printed);
    assert!(
        server
            .log()
            .contains("open to everybody (mode 0444), which this process cannot change"),
        "{}",
        server.log()
    );
    server.stop();
}

#[test]
fn processes_that_start_at_once_over_a_new_directory_agree_on_its_secrets() {
    for _ in 0..3 {
        let (_directory, data) = place();
        let servers: Vec<Server> = std::thread::scope(|scope| {
            let starting: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| Server::start(&data, &[])))
                .collect();
            starting
                .into_iter()
                .map(|server| server.join().expect("it starts"))
                .collect()
        });
        let key = servers[0].service_key();
        let token = servers[0].client().create(&key, Some("alice"));
        for server in &servers {
            let subject = server.client().call("GET", "/v1/session", &token, None).ok()["subject"].clone();
            assert_eq!(subject, json!("alice"));
            server.client().create(&key, None);
        }
        for server in servers {
            server.stop();
        }
        let files = fs::read_dir(&data).expect("a directory");
        let left: Vec<String> = files
            .map(|file| file.expect("a file").file_name().to_string_lossy().into_owned())
            .filter(|name| name.contains(".new-"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn commands_at_once_lose_no_key() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("keys.json");
    done(&["key", "new", "--id", "first", "--file", text(&file)]);
    std::thread::scope(|scope| {
        for number in 0..12 {
            let file = &file;
            scope.spawn(move || done(&["key", "add", "--id", &format!("-k{number}"), "--file", text(file)]));
        }
    });
    let listed = done(&["key", "list", "--file", text(&file)]);
    assert_eq!(listed.lines().count(), 14, "{listed}");
    done(&["key", "promote", "-k3", "--file", text(&file)]);
}

/// The service may run as another user than the operator.
#[test]
fn a_changed_key_file_keeps_its_owner_its_mode_and_its_link() {
    use std::os::unix::fs::MetadataExt as _;
    let directory = tempfile::tempdir().expect("a directory");
    let (file, link) = (
        directory.path().join("real.json"),
        directory.path().join("keys.json"),
    );
    done(&["key", "new", "--file", text(&file)]);
    std::os::unix::fs::symlink(&file, &link).expect("a link");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("a mode");
    // Only root gives files away; anybody else's own stay their own.
    let _ = std::os::unix::fs::chown(&file, Some(65534), Some(65534));
    let before = fs::metadata(&file).expect("a file");
    done(&["key", "add", "--id", "new", "--file", text(&link)]);
    let after = fs::metadata(&file).expect("a file");
    assert_eq!(
        (after.uid(), after.gid(), after.mode()),
        (before.uid(), before.gid(), before.mode())
    );
    assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
    assert!(fs::read_to_string(&file).expect("keys").contains("new"));
}
