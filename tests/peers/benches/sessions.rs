//! What a session costs, on memory stores, beside `jsonwebtoken` and `tower-sessions` with a signed cookie.
//!
//! Every session has nine text fields. A token is *remembered* where the host has opened it before and its record is the same;
//! otherwise the engine decides. The peers do the work of their middleware and nothing around it: the cookie is verified, its
//! session loaded, one field read.

mod aims;

use std::hint::black_box;
use std::sync::Arc;

use cookie::{Cookie, CookieJar, Key};
use criterion::{Criterion, criterion_group};
use serde::{Deserialize, Serialize};
use tessera::{Grant, KeepFields, Sessions, TokenFormat, Value};
use tokio::runtime::Runtime;
use tower_sessions::{MemoryStore, Session, session::Id};

const TEXT: &str = "some text of usual length";
/// So many sessions in turn, where nothing is remembered.
const MANY: usize = 20_000;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn sessions(format: TokenFormat, remembered: usize) -> Sessions {
    let builder = Sessions::builder()
        .signing_key("2026-11", [7; 32])
        .instances(1);
    let builder = builder.remembered_sessions(remembered);
    let builder = builder.policy(|policy| {
        policy.token_format = format;
        policy.issuer = "https://login.example".into();
        policy.audience = "shop".into();
    });
    builder.build(tessera::store::MemoryStore::new()).unwrap()
}

/// The token of a session of nine fields.
async fn token(sessions: &Sessions) -> String {
    token_of(sessions, &nine_fields()).await
}

fn nine_fields() -> Vec<(String, &'static str)> {
    let mut fields: Vec<(String, &str)> = (0..8).map(|field| (format!("field{field}"), TEXT)).collect();
    fields.push(("role".into(), "admin"));
    fields
}

/// The token of a new session with these fields.
async fn token_of(sessions: &Sessions, fields: &[(String, &str)]) -> String {
    let session = sessions.create();
    for (name, value) in fields {
        session.set(name, value).unwrap();
    }
    let granted = session
        .authenticate_keeping("alice", &KeepFields::Everything)
        .await;
    granted.unwrap().token.unwrap()
}

async fn get(sessions: &Sessions, token: &str, name: &str) -> Option<Value> {
    sessions.open(token).await.unwrap().get_value(name).unwrap()
}

async fn change(sessions: &Sessions, token: &str, name: &str, value: &str) -> Grant {
    let session = sessions.open(token).await.unwrap();
    session.set(name, value).unwrap();
    session.save().await.unwrap()
}

fn engine(criterion: &mut Criterion) {
    let runtime = runtime();
    let compact = sessions(TokenFormat::Compact, 1);
    let forgetful = sessions(TokenFormat::Compact, 0);
    let jwt = sessions(TokenFormat::Jwt, 0);
    let (hot, json) = runtime.block_on(async { (token(&compact).await, token(&jwt).await) });
    let mut many: Vec<String> = Vec::new();
    runtime.block_on(async {
        for _ in 0..MANY {
            many.push(token(&forgetful).await);
        }
    });
    let session = runtime.block_on(compact.open(&hot)).unwrap();

    let mut group = criterion.benchmark_group("tessera");
    group.bench_function("no-op (remove a field that is not there)", |bench| {
        bench.iter(|| session.remove(black_box("x")).unwrap())
    });
    group.bench_function("verify", |bench| {
        bench.iter(|| compact.verify(black_box(&hot), None).unwrap())
    });
    group.bench_function("verify a JWT", |bench| {
        bench.iter(|| jwt.verify(black_box(&json), None).unwrap())
    });
    group.bench_function("open, remembered", |bench| {
        bench.iter(|| runtime.block_on(compact.open(black_box(&hot))).unwrap())
    });
    group.bench_function("open + get, remembered", |bench| {
        bench.iter(|| runtime.block_on(get(&compact, &hot, "role")))
    });
    let mut turn = many.iter().cycle();
    group.bench_function("open + get, not remembered", |bench| {
        bench.iter(|| {
            let token = turn.next().unwrap();
            runtime.block_on(get(&forgetful, token, "role"))
        })
    });
    group.bench_function("open + set + save", |bench| {
        bench.iter(|| runtime.block_on(change(&compact, &hot, "role", "editor")))
    });
    group.bench_function("entries (9 fields)", |bench| {
        bench.iter(|| session.entries().unwrap())
    });
    group.finish();
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    sid: String,
    r#gen: String,
    iat: u64,
    exp: u64,
}

fn jsonwebtoken(criterion: &mut Criterion) {
    use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
    let claims = Claims {
        iss: "https://login.example".into(),
        aud: "shop".into(),
        sub: "alice".into(),
        sid: "gtrqNhlUZSxJ2nIBYfzwLA".into(),
        r#gen: "1.1795260704251".into(),
        iat: 1_795_260_704,
        exp: 4_000_000_000,
    };
    let token =
        jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(&[7; 32])).unwrap();
    let key = DecodingKey::from_secret(&[7; 32]);
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&["shop"]);
    validation.set_issuer(&["https://login.example"]);
    criterion.bench_function("jsonwebtoken/decode (HS256, the same claims)", |bench| {
        bench.iter(|| jsonwebtoken::decode::<Claims>(black_box(token.as_bytes()), &key, &validation).unwrap())
    });
}

/// tower-sessions over its memory store, with a signed cookie.
struct Peer {
    key: Key,
    store: Arc<MemoryStore>,
}

impl Peer {
    fn new() -> Self {
        Self {
            key: Key::from(&[7; 64]),
            store: Arc::default(),
        }
    }

    /// The cookie of a new session with these fields.
    async fn cookie(&self, fields: &[(String, &str)]) -> String {
        let session = Session::new(None, self.store.clone(), None);
        for (name, value) in fields {
            session.insert(name, value).await.unwrap();
        }
        session.save().await.unwrap();
        let mut jar = CookieJar::new();
        jar.signed_mut(&self.key)
            .add(Cookie::new("id", session.id().unwrap().to_string()));
        jar.get("id").unwrap().to_string()
    }

    fn open(&self, cookie: &str) -> Session {
        Session::new(Some(signed_id(&self.key, cookie)), self.store.clone(), None)
    }

    async fn get(&self, cookie: &str, name: &str) -> Option<String> {
        self.open(cookie).get::<String>(name).await.unwrap()
    }

    async fn change(&self, cookie: &str, name: &str, value: &str) {
        let session = self.open(cookie);
        session.insert(name, value).await.unwrap();
        session.save().await.unwrap();
    }
}

/// What tower-sessions' signed middleware does with a cookie: its mac, then the id in it.
fn signed_id(key: &Key, cookie: &str) -> Id {
    let mut jar = CookieJar::new();
    jar.add_original(Cookie::parse(cookie.to_owned()).unwrap());
    jar.signed(key).get("id").unwrap().value().parse().unwrap()
}

fn tower_sessions(criterion: &mut Criterion) {
    let runtime = runtime();
    let peer = Peer::new();
    let cookie = runtime.block_on(peer.cookie(&nine_fields()));
    let mut group = criterion.benchmark_group("tower-sessions");
    group.bench_function("verify a signed cookie", |bench| {
        bench.iter(|| signed_id(&peer.key, black_box(&cookie)))
    });
    group.bench_function("signed cookie + load + get", |bench| {
        bench.iter(|| runtime.block_on(peer.get(&cookie, "role")))
    });
    group.bench_function("signed cookie + load + insert + save", |bench| {
        bench.iter(|| runtime.block_on(peer.change(&cookie, "role", "editor")))
    });
    group.finish();
}

/// So many fields of half a KiB make a record of about 1, 8 and 64 KiB.
const SIZES: [(&str, usize); 3] = [("1 KiB", 2), ("8 KiB", 16), ("64 KiB", 120)];

/// Longer records, remembered: a field is read, and one is changed.
fn sizes(criterion: &mut Criterion) {
    let runtime = runtime();
    let text = "x".repeat(512);
    let ours = sessions(TokenFormat::Compact, 16);
    let peer = Peer::new();
    for (size, count) in SIZES {
        let fields: Vec<(String, &str)> = (0..count)
            .map(|field| (format!("field{field:03}"), &*text))
            .collect();
        let token = runtime.block_on(token_of(&ours, &fields));
        let cookie = runtime.block_on(peer.cookie(&fields));
        let mut group = criterion.benchmark_group("tessera");
        group.bench_function(format!("open + get, {size}"), |bench| {
            bench.iter(|| runtime.block_on(get(&ours, &token, "field001")))
        });
        group.bench_function(format!("open + set + save, {size}"), |bench| {
            bench.iter(|| runtime.block_on(change(&ours, &token, "field001", "changed")))
        });
        group.finish();
        let mut group = criterion.benchmark_group("tower-sessions");
        group.bench_function(format!("load + get, {size}"), |bench| {
            bench.iter(|| runtime.block_on(peer.get(&cookie, "field001")))
        });
        group.bench_function(format!("load + insert + save, {size}"), |bench| {
            bench.iter(|| runtime.block_on(peer.change(&cookie, "field001", "changed")))
        });
        group.finish();
    }
}

criterion_group!(benches, engine, jsonwebtoken, tower_sessions, sizes);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    aims::print();
}
