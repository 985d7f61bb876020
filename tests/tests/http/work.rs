//! What a request costs grows about as fast as the request.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::post;
use tessera::Sessions;
use tessera::http::api::{Api, ServiceKey};
use tessera::http::{CsrfLayer, Session, SessionLayer};
use tessera::store::MemoryStore;
use tower::ServiceExt as _;

const KEY: &str = "a-service-key-of-at-least-32-bytes";
/// A request of each shape is sent so often; the fastest counts.
const TRIES: usize = 5;
/// Noise of the clock and of the allocator.
const SLACK: Duration = Duration::from_millis(5);

/// For how long this thread had the processor.
fn processor_time() -> Duration {
    // The kernel counts up when a thread leaves the processor.
    std::thread::sleep(Duration::from_micros(1));
    let stat =
        std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts the time of threads");
    let nanos = stat.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.expect("a number"))
}

/// Makes a request of a size, with the token of a live session.
type Make = Box<dyn Fn(usize, &str) -> Request<Body>>;

struct Shape {
    name: &'static str,
    request: Make,
}

fn shape(name: &'static str, request: impl Fn(usize, &str) -> Request<Body> + 'static) -> Shape {
    Shape {
        name,
        request: Box::new(request),
    }
}

/// Names that come the other way round than they are stored.
fn names(from: usize, count: usize) -> impl Iterator<Item = String> {
    (from..from + count)
        .rev()
        .map(|number| format!("\"n{number:06}\""))
}

fn fields(count: usize) -> String {
    let fields: Vec<String> = names(0, count).map(|name| format!("{name}:1")).collect();
    format!("{{{}}}", fields.join(","))
}

fn list(from: usize, count: usize) -> String {
    format!("[{}]", names(from, count).collect::<Vec<_>>().join(","))
}

fn json(method: &str, path: &str, token: &str, body: String) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {token}"))
        .header("x-tessera-service-key", KEY)
        .header("content-type", "application/json")
        .body(Body::from(body))
        .unwrap()
}

fn get(path: &str, header: (&str, String)) -> Request<Body> {
    Request::get(path)
        .header(header.0, header.1)
        .body(Body::empty())
        .unwrap()
}

fn set(token: &str, value: String) -> Request<Body> {
    json(
        "PATCH",
        "/v1/session",
        token,
        format!(r#"{{"set":{{"a":{value}}}}}"#),
    )
}

fn shapes() -> Vec<Shape> {
    let both = |size: usize| format!(r#"{{"set":{},"remove":{}}}"#, fields(size), list(size, size));
    vec![
        shape(
            "names to set and to remove, with a token of nobody's",
            move |size, _| json("PATCH", "/v1/session", "ts1.k.x.y", both(10 * size)),
        ),
        shape("names to set and to remove", move |size, token| {
            json("PATCH", "/v1/session", token, both(size))
        }),
        shape("more names than a session has", move |size, token| {
            json("PATCH", "/v1/session", token, both(10 * size))
        }),
        shape("names to remove", |size, token| {
            json(
                "PATCH",
                "/v1/session",
                token,
                format!(r#"{{"remove":{}}}"#, list(0, size)),
            )
        }),
        shape("a long text", |size, token| {
            set(token, format!("\"{}\"", "x".repeat(200 * size)))
        }),
        shape("a text of escapes", |size, token| {
            set(token, format!("\"{}\"", r"\u00e9\n".repeat(20 * size)))
        }),
        shape("a long array", |size, token| set(token, list(0, 10 * size))),
        shape("an object of many names", |size, token| {
            set(token, fields(10 * size))
        }),
        shape("objects with reserved names", |size, token| {
            let tagged: Vec<String> = names(0, size)
                .map(|name| format!(r#"{name}:{{"$t":["json",{{}}]}}"#))
                .collect();
            json(
                "PATCH",
                "/v1/session",
                token,
                format!(r#"{{"set":{{{}}}}}"#, tagged.join(",")),
            )
        }),
        shape("a long number", |size, token| {
            set(token, format!("0.{}", "1".repeat(100 * size)))
        }),
        shape("arrays in arrays", |size, token| {
            set(
                token,
                format!("{}{}", "[".repeat(50 * size), "]".repeat(50 * size)),
            )
        }),
        shape("members that are not known", |size, token| {
            json("PATCH", "/v1/session", token, fields(10 * size))
        }),
        shape("a session with many fields", |size, _| {
            json(
                "POST",
                "/v1/sessions",
                KEY,
                format!(r#"{{"fields":{}}}"#, fields(size)),
            )
        }),
        shape("names to keep at a login", |size, token| {
            let body = format!(
                r#"{{"subject":"a","keep":{},"set":{}}}"#,
                list(0, size),
                fields(size)
            );
            json("POST", "/v1/session/authenticate", token, body)
        }),
        shape("white space where nothing is needed", |size, token| {
            json("POST", "/v1/session/rotate", token, " ".repeat(200 * size))
        }),
        shape("a long token to verify", |size, _| {
            json(
                "POST",
                "/v1/verify",
                "t",
                format!(r#"{{"token":"{}"}}"#, "x".repeat(200 * size)),
            )
        }),
        shape("cookies", |size, _| {
            let cookies: Vec<String> = (0..size).map(|number| format!("c{number}={number}")).collect();
            get("/v1/session", ("cookie", cookies.join("; ")))
        }),
        shape("cookies of one name, at a proxy's question", |size, _| {
            get("/auth", ("cookie", vec!["__Host-tessera=x"; size].join("; ")))
        }),
        shape("a long subject", |size, _| {
            get(
                &format!("/v1/subjects/{}/sessions", "%61".repeat((5 * size).min(20_000))),
                ("x-tessera-service-key", KEY.to_owned()),
            )
        }),
        shape("a form of many fields", |size, token| {
            let form: Vec<String> = (0..10 * size).map(|number| format!("f{number}=%20")).collect();
            Request::post("/form")
                .header("cookie", format!("__Host-tessera={token}"))
                .header("sec-fetch-site", "same-origin")
                .header("content-type", "application/x-www-form-urlencoded")
                .body(Body::from(form.join("&")))
                .unwrap()
        }),
    ]
}

#[tokio::test]
async fn a_request_of_16_times_the_size_is_far_from_256_times_the_work() {
    let builder = Sessions::builder().signing_key("k", [7; 32]);
    // As much as a policy can allow, so that no limit spares the work that is measured.
    let builder = builder.policy(|policy| {
        policy.maximum_fields = 4096;
        policy.maximum_record_bytes = 1 << 20;
        policy.maximum_value_bytes = 1 << 20;
    });
    let store = MemoryStore::builder().sweep_interval(Duration::ZERO).build();
    let sessions = builder.instances(1).build(store).unwrap();
    let api = Api::new(sessions.clone(), ServiceKey::new(KEY).unwrap(), Vec::new(), drop);
    let form = Router::new()
        .route("/form", post(async |_: Session| "sent"))
        .layer(CsrfLayer::new().maximum_form_bytes(1 << 20))
        .layer(SessionLayer::new(sessions.clone()));
    let app = Arc::new(api).router(form);
    let mut slow = Vec::new();
    for shape in shapes() {
        let mut work = Vec::new();
        // Each compared with each it would be 256 times the work; what no longer fits a cache is up to 40 times.
        for size in [250, 4_000] {
            let mut fastest = Duration::MAX;
            for _ in 0..TRIES {
                let session = sessions.create();
                let token = session.authenticate("a").await.unwrap().token.unwrap();
                let (request, app) = ((shape.request)(size, &token), app.clone());
                let before = processor_time();
                let response = app.oneshot(request).await.unwrap();
                fastest = fastest.min(processor_time() - before);
                assert!(
                    response.status().as_u16() < 500,
                    "{}: {}",
                    shape.name,
                    response.status()
                );
                sessions.open(&token).await.map(drop).ok();
            }
            work.push(fastest);
        }
        println!("{:?} and {:?}: {}", work[0], work[1], shape.name);
        if work[1] > 64 * work[0] + SLACK {
            slow.push(format!("{}: {:?} and {:?}", shape.name, work[0], work[1]));
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
}
