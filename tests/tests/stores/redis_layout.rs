//! What stands in Redis, byte for byte: the files under `stores/layout/redis`, as a host in any language reads them.

use redis::{Commands as _, Connection};
use serde_json::Value;
use tessera::store::Listed;
use tessera_tests::servers::RedisServer;

use super::in_redis::{open, owned_by};
use super::*;

const NAME: &str = "tessera:record:key";
const NO_TAG: &str = "0000000000000000-0000000000000000";
const OTHER_TAG: &str = "0001767225600001-0123456789abcdef";
const LIFE: &str = include_str!("../../../stores/layout/redis/life.lua");
const READ: [&str; 3] = [
    include_str!("../../../stores/layout/redis/read_1.lua"),
    include_str!("../../../stores/layout/redis/read_0.lua"),
    include_str!("../../../stores/layout/redis/record.lua"),
];
const WRITE: [&str; 2] = [
    include_str!("../../../stores/layout/redis/write_0.lua"),
    include_str!("../../../stores/layout/redis/write.lua"),
];
const INSERT: &str = include_str!("../../../stores/layout/redis/insert.lua");
const REPLACE: &str = include_str!("../../../stores/layout/redis/replace.lua");
const IMPORT: &str = include_str!("../../../stores/layout/redis/import.lua");
const TOUCH: &str = include_str!("../../../stores/layout/redis/touch.lua");
const DELETE: &str = include_str!("../../../stores/layout/redis/delete.lua");

fn vectors(section: &str) -> Vec<Value> {
    let text = include_str!("../../../stores/layout/redis/records.json");
    let all: Value = serde_json::from_str(text).expect("JSON");
    all[section].as_array().expect("a list").clone()
}

fn bytes(vector: &Value) -> Vec<u8> {
    match vector["hex"].as_str() {
        None => text(vector, "bytes").into_bytes(),
        Some(digits) => (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal"))
            .collect(),
    }
}

fn text(vector: &Value, member: &str) -> String {
    vector[member].as_str().expect("a text").to_owned()
}

fn millis(vector: &Value, member: &str) -> u64 {
    vector[member].as_u64().expect("a number")
}

fn digits(millis: u64) -> String {
    format!("{millis:016}")
}

pub(super) fn connect(server: &RedisServer) -> Connection {
    let client = redis::Client::open(server.url()).expect("a client");
    client.get_connection().expect("a connection")
}

/// A script as a host puts it together, over the record.
fn run(connection: &mut Connection, script: &str, arguments: &[&str]) -> Vec<Option<String>> {
    let writes = [INSERT, REPLACE, IMPORT].contains(&script);
    let write: &[&str] = if writes { &WRITE } else { &[] };
    let life: &[&str] = if script == IMPORT { &[LIFE] } else { &[] };
    let text = [life, &READ[..], &[script], write].concat().concat();
    let mut command = redis::cmd("EVAL");
    command.arg(text).arg(1).arg(NAME).arg(arguments);
    let answer: redis::Value = command.query(connection).expect("an answer");
    let one: Result<String, _> = redis::from_redis_value(answer.clone());
    match one {
        Ok(state) => vec![Some(state)],
        Err(_) => redis::from_redis_value(answer).expect("texts"),
    }
}

fn state(connection: &mut Connection, script: &str, arguments: &[&str]) -> String {
    let answer = run(connection, script, arguments);
    answer.into_iter().next().flatten().expect("a state")
}

/// What all writing scripts take, of a vector's members, at a moment.
fn written(vector: &Value, now: u64) -> Vec<String> {
    let moments = ["ends_at", "expires_at", "touched_at"].map(|member| digits(millis(vector, member)));
    let owner = vector["owner"].as_str().unwrap_or_default();
    vec![
        format!("{} {}", vector["format"], text(vector, "version")),
        text(vector, "guard"),
        moments.join(" "),
        vector["tag"].as_str().unwrap_or(NO_TAG).to_owned(),
        format!("{:03} {owner}\n{}", owner.len(), text(vector, "text")),
        life(vector, now).to_string(),
        digits(now),
    ]
}

/// For how many milliseconds the key of a vector's record is kept.
fn life(vector: &Value, now: u64) -> u64 {
    millis(vector, "expires_at").saturating_sub(now) + 3_600_000
}

/// The owner and the tag, if there are any.
fn listed(vector: &Value) -> Vec<Option<String>> {
    match vector["owner"].as_str() {
        Some(owner) => vec![Some(owner.to_owned()), Some(text(vector, "tag"))],
        None => Vec::new(),
    }
}

fn states(state: &str) -> Vec<Option<String>> {
    vec![Some(state.to_owned())]
}

fn borrowed(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn redis_scripts_write_records_byte_for_byte() {
    let server = RedisServer::start(&[]);
    let mut connection = connect(&server);
    for vector in vectors("records").into_iter().chain(vectors("test_format")) {
        let name = &vector["name"];
        let touched_at = millis(&vector, "touched_at");
        let record = bytes(&vector);
        let whole = |connection: &mut Connection| -> Vec<u8> { connection.get(NAME).expect("a string") };

        let () = connection.del(NAME).expect("removed");
        let answer = run(&mut connection, INSERT, &borrowed(&written(&vector, touched_at)));
        assert_eq!(answer, states("moved"), "{name}");
        assert_eq!(whole(&mut connection), record, "{name}: insert");
        let lives = connection.pttl::<_, i64>(NAME).expect("a time");
        let wanted = life(&vector, touched_at) as i64;
        assert!((wanted - 60_000..=wanted).contains(&lives), "{name}: {lives}");

        let arguments = [written(&vector, 0), vec![text(&vector, "version")]].concat();
        let () = connection.del(NAME).expect("removed");
        let answer = run(&mut connection, IMPORT, &borrowed(&arguments));
        assert_eq!(answer, states("moved"), "{name}: import");
        assert_eq!(whole(&mut connection), record, "{name}: import");
        let answer = run(&mut connection, IMPORT, &borrowed(&arguments));
        assert_eq!(answer, states("kept"), "{name}: import over itself");
        assert_eq!(whole(&mut connection), record, "{name}: import over itself");

        if millis(&vector, "expires_at") == 0 {
            continue;
        }
        // A touch to where it is, by a clock that is behind, changes nothing.
        let arguments = [0, millis(&vector, "expires_at")].map(digits);
        let [now, expires_at] = &arguments;
        let touched = state(&mut connection, TOUCH, &[now, expires_at, "3600000"]);
        assert_eq!(touched, "done", "{name}");
        assert_eq!(whole(&mut connection), record, "{name}: touch");
        // Over an earlier text, with the guard and the entry that are there.
        let earlier = [&record[..], b" and more"].concat();
        let () = connection.set(NAME, &earlier).expect("set");
        let mut arguments = written(&vector, touched_at.min(millis(&vector, "expires_at") - 1));
        arguments[1] = String::new();
        if !vector["owner"].is_null() {
            arguments[3] = String::new();
        }
        arguments.extend([String::new(), text(&vector, "guard")]);
        let answer = run(&mut connection, REPLACE, &borrowed(&arguments));
        assert_eq!(answer, states("kept"), "{name}: replace");
        assert_eq!(whole(&mut connection), record, "{name}: replace");
        let mut arguments = vec![digits(0), text(&vector, "guard")];
        arguments.extend(vector["owner"].as_str().map(str::to_owned));
        let answer = run(&mut connection, DELETE, &borrowed(&arguments));
        let removed = [states("removed"), listed(&vector)].concat();
        assert_eq!(answer, removed, "{name}: delete");
        assert!(!connection.exists::<_, bool>(NAME).expect("an answer"), "{name}");
    }
}

#[tokio::test]
async fn redis_scripts_answer_by_which_entry_a_record_was_listed() {
    let server = RedisServer::start(&[]);
    let mut connection = connect(&server);
    let mut records = vectors("records");
    records.retain(|vector| millis(vector, "expires_at") > 0);
    for (old, new) in records
        .iter()
        .flat_map(|old| records.iter().map(move |new| (old, new)))
    {
        let name = format!("{} over {}", new["name"], old["name"]);
        let () = connection.set(NAME, bytes(old)).expect("set");
        let owners = (old["owner"].as_str(), new["owner"].as_str());
        let mut arguments = written(new, 0);
        arguments.push(text(old, "version"));
        if owners.1.is_some() {
            arguments[3] = OTHER_TAG.to_owned();
        }
        let answer = run(&mut connection, REPLACE, &borrowed(&arguments));
        let is_longer = millis(new, "ends_at") > millis(old, "ends_at");
        let expected = match owners {
            (None, None) => states("kept"),
            (Some(a), Some(b)) if a == b && is_longer => {
                [states("unlisted"), vec![Some(text(old, "tag"))]].concat()
            }
            (Some(a), Some(b)) if a == b => states("kept"),
            _ => [states("moved"), listed(old)].concat(),
        };
        assert_eq!(answer, expected, "{name}");
        // With no entry named, a record that would not be listed is not written.
        let () = connection.set(NAME, bytes(old)).expect("set");
        if owners.1.is_some() {
            arguments[3] = String::new();
            let answer = run(&mut connection, REPLACE, &borrowed(&arguments));
            let expected = match owners.0 == owners.1 {
                true => expected,
                false => states("unlisted"),
            };
            assert_eq!(answer, expected, "{name}");
            if answer != states("kept") {
                let found: Vec<u8> = connection.get(NAME).expect("a string");
                assert_eq!(found, bytes(old), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn redis_records_are_read_as_they_are_written() {
    let server = RedisServer::start(&[]);
    let store = open(&server.url()).await;
    let mut connection = connect(&server);
    let now = Timestamp::from_millis(0);
    for vector in vectors("records").into_iter().chain(vectors("test_format")) {
        let name = &vector["name"];
        let () = connection.set(NAME, bytes(&vector)).expect("set");
        let listing = store.list_all(now, "", 10).await.expect("listed");
        if millis(&vector, "expires_at") == 0 {
            assert!(matches!(
                store.get(now, "key", true).await,
                Err(StoreError::Missing)
            ));
            assert!(listing.rows.is_empty(), "{name}");
            continue;
        }
        let bits = |member: &str| u64::from_str_radix(&text(&vector, member), 16).expect("hexadecimal");
        let moment = |member: &str| Timestamp::from_millis(millis(&vector, member));
        let value: Arc<str> = Arc::from(text(&vector, "text"));
        let expected = Listed {
            key: "key".into(),
            owner: vector["owner"].as_str().map(str::to_owned),
            version: bits("version"),
            guard: bits("guard"),
            touched_at: moment("touched_at"),
            expires_at: moment("expires_at"),
            ends_at: moment("ends_at"),
            value: Some(Arc::clone(&value)),
        };
        assert!(listing.rows == [expected.clone()], "{name}: {listing:?}");
        let entry = Entry {
            value,
            version: expected.version,
            guard: expected.guard,
            expires_at: expected.expires_at,
        };
        assert_eq!(store.get(now, "key", true).await.expect("there"), entry, "{name}");
        let Some(owner) = &expected.owner else { continue };
        let index = format!("tessera:owner:{owner}");
        let member = format!("{}:key", text(&vector, "tag"));
        let () = connection.zadd(&index, member, 1).expect("entered");
        let page = store.list_owned(now, owner, "", 10).await.expect("listed");
        let [row] = &page.rows[..] else {
            panic!("{name}: {page:?}")
        };
        assert_eq!(
            (row.version, row.guard),
            (expected.version, expected.guard),
            "{name}"
        );
        let moments = (row.touched_at, row.expires_at);
        assert_eq!(moments, (expected.touched_at, expected.expires_at), "{name}");
        assert_eq!(row.value, expected.value, "{name}");
    }
}

#[tokio::test]
async fn redis_records_that_cannot_be_read_are_corrupt_to_every_reader_and_stay_as_they_are() {
    let server = RedisServer::start(&[]);
    let store = open(&server.url()).await;
    let mut connection = connect(&server);
    let version = store.insert(NOW, "sound", "1", &owned_by("alice", 60)).await;
    version.expect("inserted");
    let member = format!("{OTHER_TAG}:key");
    let () = connection
        .zadd("tessera:owner:alice", member, 1e15)
        .expect("entered");
    for vector in vectors("damaged") {
        let (why, record) = (&vector["why"], bytes(&vector));
        let () = connection.set(NAME, &record).expect("set");
        let keys = ["key", "none", "sound"].map(str::to_owned);
        let answers = store.get_many(NOW, &keys).await.expect("answered");
        assert!(
            matches!(answers[0], Err(StoreError::Corrupt)),
            "{why}: {:?}",
            answers[0]
        );
        assert!(matches!(answers[1], Err(StoreError::Missing)), "{why}");
        assert!(answers[2].is_ok(), "{why}");
        if vector["scripts"] != false {
            let now = digits(NOW.as_millis());
            let v = "4fd3a1b20c9e7788";
            let (begin, moments) = (format!("1 {v}"), [now.as_str(); 3].join(" "));
            let write = [&begin, v, &moments, NO_TAG, "000 \nnew", "3600000", &now];
            for (script, arguments) in [
                (INSERT, write.to_vec()),
                (REPLACE, [&write[..], &[v]].concat()),
                (REPLACE, [&write[..], &["", "00c0ffee00c0ffee"]].concat()),
                (IMPORT, [&write[..], &[v]].concat()),
                (TOUCH, vec![&now, "9007199254740991", "3600000"]),
                (DELETE, vec![&now, ""]),
                (DELETE, vec![&now, "", "alice"]),
            ] {
                assert_eq!(state(&mut connection, script, &arguments), "corrupt", "{why}");
            }
            let at = until(60);
            let inserted = store.insert(NOW, "key", "1", &at).await;
            assert!(
                matches!(inserted, Err(StoreError::Corrupt)),
                "{why}: {inserted:?}"
            );
            let expected = Expected::Version(0x4fd3_a1b2_0c9e_7788);
            let replaced = store.replace(NOW, "key", "1", expected, &at).await;
            assert!(
                matches!(replaced, Err(StoreError::Corrupt)),
                "{why}: {replaced:?}"
            );
            let touched = store.touch(NOW, "key", None, seconds(90)).await;
            assert!(matches!(touched, Err(StoreError::Corrupt)), "{why}: {touched:?}");
            let condition = Condition::Owner("alice".into());
            let deleted = store.delete(NOW, "key", &condition).await;
            assert!(matches!(deleted, Err(StoreError::Corrupt)), "{why}: {deleted:?}");
            let deletions = ["sound", "key"].map(|key| Deletion {
                key: key.into(),
                guard: Some(7),
            });
            let deleted = store.delete_many(NOW, &deletions, "alice").await;
            assert!(matches!(deleted, Err(StoreError::Corrupt)), "{why}: {deleted:?}");
        }
        // A list that left it out would say that the owner has no such session.
        let page = store.list_owned(NOW, "alice", "", 10).await;
        assert!(matches!(page, Err(StoreError::Corrupt)), "{why}: {page:?}");
        let listing = store.list_all(NOW, "", 100).await;
        assert!(matches!(listing, Err(StoreError::Corrupt)), "{why}: {listing:?}");
        assert_eq!(
            connection.get::<_, Vec<u8>>(NAME).expect("a string"),
            record,
            "{why}"
        );
        assert_eq!(connection.pttl::<_, i64>(NAME).expect("a time"), -1, "{why}");
    }
    let entries: usize = connection.zcard("tessera:owner:alice").expect("a number");
    assert_eq!(entries, 2, "an entry of a record that cannot be read stays");
}
