//! The example of the README: that it works, and stands there as it is.

#[expect(dead_code, reason = "its main is for the command line")]
#[path = "../../../host/examples/axum.rs"]
mod axum_example;

use std::fs;
use std::path::Path;

use axum::body::Body;
use axum::http::{Request, header};

use crate::fixture::Fixture;

#[tokio::test]
async fn the_example_counts_logs_in_and_logs_out() {
    let fixture = Fixture::new();
    let app = axum_example::app(fixture.sessions.clone());
    let fixture = Fixture { app, ..fixture };
    let call = async |method: &str, path: &str, cookie: &str| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::COOKIE, cookie);
        fixture.send(request.body(Body::empty()).unwrap()).await
    };
    let pair = |answer: &crate::fixture::Answer| answer.cookies()[0].split_once(';').unwrap().0.to_owned();
    let first = call("GET", "/", "").await;
    assert_eq!(first.body, "1 visits");
    let visitor = pair(&first);
    assert_eq!(call("GET", "/", &visitor).await.body, "2 visits");
    let alice = pair(&call("POST", "/login/alice", &visitor).await);
    assert_eq!(call("GET", "/me", &alice).await.body, "alice");
    assert_eq!(call("GET", "/me", &visitor).await.status, 401);
    call("POST", "/logout", &alice).await;
    assert_eq!(call("GET", "/me", &alice).await.status, 401);
}

#[test]
fn the_readme_shows_the_example_as_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let example = fs::read_to_string(root.join("host/examples/axum.rs")).unwrap();
    let (_, app) = example.split_once("fn app").unwrap();
    assert!(
        readme.contains(&format!("fn app{app}")),
        "README.md shows another example"
    );
}
