//! Signing keys, replaced while people are logged in.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::program;
use crate::server::{Server, run};

/// The keys of a key file.
fn keys(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).expect("a key file");
    let file: Value = serde_json::from_str(&text).expect("JSON");
    file["keys"].as_array().expect("keys").clone()
}

/// ASVS 5.0, 13.3.4: secrets are rotated. Here without a visible end of any session, as `tessera key --help` describes
/// it: the new key signs, the old one still verifies, and goes once no token of its time is left.
///
/// The real program, ended and started again with other keys.
#[test]
fn keys_are_replaced_without_logging_anyone_out() {
    for flags in [
        &[][..],
        &["--token-format", "jwt", "--issuer", "i", "--audience", "a"],
    ] {
        let (_directory, server) = program(flags);
        let (data, key) = (server.data.clone(), server.service_key());
        let file = data.join("keys.json");
        let before = server.client().create(&key, Some("alice"));
        let forgotten = server.client().create(&key, Some("bob"));
        server.stop();

        let path = file.to_str().expect("UTF-8");
        for step in [&["key", "add", "--id"][..], &["key", "promote"]] {
            let (done, _, said) = run(&[step, &["newer", "--file", path]].concat());
            assert!(done, "{said}");
        }
        assert_eq!(keys(&file).len(), 2);
        let server = Server::start(&data, flags);
        let mut client = server.client();
        // Nobody is logged out, and who comes is given a token under the new key with what they do next.
        let read = client.call("GET", "/v1/session", &before, None).ok();
        assert_eq!(read["subject"], "alice");
        let after = client.call("POST", "/v1/session/rotate", &before, None).token();
        let signed_anew = client.create(&key, Some("carol"));
        server.stop();

        let newest = json!({ "keys": [keys(&file)[0]] });
        assert_eq!(newest["keys"][0]["id"], "newer");
        fs::write(&file, newest.to_string()).expect("written");
        let server = Server::start(&data, flags);
        let mut client = server.client();
        for (token, subject) in [(&after, "alice"), (&signed_anew, "carol")] {
            let read = client.call("GET", "/v1/session", token, None).ok();
            assert_eq!(read["subject"], subject);
        }
        // What a stolen key has signed is refused from here on.
        for token in [&before, &forgotten] {
            client
                .call("GET", "/v1/session", token, None)
                .refused(401, "token-key-unknown");
        }
        server.stop();
    }
}
