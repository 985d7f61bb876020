//! Commands that only read, over files that take no writes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use tessera_tests::servers::without_rights;

use crate::serve;
use crate::server::program;

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its owner");
}

#[test]
fn an_operator_reads_sessions_in_a_file_and_a_directory_that_take_no_writes() {
    let (_directory, server) = serve(&[]);
    let (mut client, key) = (server.client(), server.service_key());
    let token = client.create(&key, Some("alice"));
    let session = client.call("GET", "/v1/session", &token, None).ok();
    let public_id = session["public_id"].as_str().expect("one").to_owned();
    let data = server.data.clone();
    server.stop();

    let place = TempDir::new().expect("a directory");
    let (own, file) = (place.path().join("tessera"), place.path().join("sessions.db"));
    fs::copy(data.join("sessions.db"), &file).expect("copied");
    // Where who has no rights comes to it.
    fs::copy(program(), &own).expect("copied");
    for (path, mode) in [(&*own, 0o555), (&*file, 0o444), (place.path(), 0o555)] {
        allow(path, mode);
    }
    let before = fs::read(&file).expect("read");
    let store = format!("sqlite:{}", file.display());
    let run = |arguments: &[&str]| {
        let mut command = without_rights(&own);
        let output = command.args(arguments).args(["--store", &store]).output();
        let output = output.expect("it runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    for list in [
        &["sessions", "list"][..],
        &["sessions", "list", "--subject", "alice"],
    ] {
        let (listed, printed, said) = run(list);
        assert!(listed && printed.contains(&public_id), "{printed}{said}");
    }
    let (counted, printed, said) = run(&["sessions", "count"]);
    assert!(counted && printed.contains("live 1\n"), "{printed}{said}");
    let named = ["--subject", "alice", "--public-id", &public_id];
    let (shown, printed, said) = run(&[&["sessions", "show"][..], &named].concat());
    assert!(shown, "{said}");
    let shown: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(shown["subject"], json!("alice"));

    let (revoked, _, said) = run(&["sessions", "revoke", "--subject", "alice"]);
    assert!(!revoked && said.contains("read-only"), "{said}");
    assert_eq!(fs::read(&file).expect("read"), before);
    let mut names: Vec<_> = fs::read_dir(place.path())
        .expect("read")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["sessions.db", "tessera"]);
    // For who removes it.
    allow(place.path(), 0o755);
}
