//! Clients of WebSockets that give no sign of life.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tessera::connections::router;
use tessera::http::api::{Api, ServiceKey};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client};

use super::fixture::{Node, PATIENCE, fixture};

/// The interval of the pings of this test.
const SIGN_OF_LIFE: Duration = Duration::from_millis(200);

fn socket(address: SocketAddr, token: &str) -> WebSocket<TcpStream> {
    let url = format!("ws://{address}/v1/connections");
    let mut request = url.into_client_request().expect("a request");
    let bearer = format!("Bearer {token}").parse().expect("a value");
    request.headers_mut().insert("authorization", bearer);
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    client(request, stream).expect("a socket").0
}

/// Waits until this number of clients is attached.
async fn wait_until_attached(node: &Node, clients: usize) {
    let began = Instant::now();
    while node.attached() != clients {
        assert!(began.elapsed() < PATIENCE, "{} are attached", node.attached());
        tokio::time::sleep(SIGN_OF_LIFE / 20).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_answers_no_ping_is_detached_and_one_that_does_stays() {
    let here = fixture(|builder| builder.sign_of_life(SIGN_OF_LIFE));
    let (_, token) = here.login("alice").await;
    let key = ServiceKey::new("Jw0nN7Yl6T1f4sVqZ3rXc8BmJw0nN7Yl6T1f4sVq").expect("a key");
    let api = Arc::new(Api::new(here.sessions.clone(), key, Vec::new(), |task| {
        tokio::spawn(task);
    }));
    let node = Arc::new(here.one.clone());
    let app = Arc::clone(&api).router(router(api, node));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    let served = tokio::spawn(async move { axum::serve(listener, app).await });
    let both = {
        let token = token.clone();
        tokio::task::spawn_blocking(move || (socket(address, &token), socket(address, &token)))
    };
    let (mut awake, silent) = both.await.expect("two sockets");
    wait_until_attached(&here.one, 2).await;
    let began = Instant::now();
    // Reading answers pings.
    let (mut pings, reading) = (0, Duration::from_millis(20));
    let watching = tokio::task::spawn_blocking(move || {
        awake
            .get_mut()
            .set_read_timeout(Some(reading))
            .expect("a time-out");
        while began.elapsed() < 10 * SIGN_OF_LIFE {
            match awake.read() {
                Ok(Message::Ping(_)) => pings += 1,
                Ok(Message::Text(_)) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {}
                other => panic!("{other:?}"),
            }
        }
        (awake, pings)
    });
    wait_until_attached(&here.one, 1).await;
    assert!(began.elapsed() > 2 * SIGN_OF_LIFE, "{:?}", began.elapsed());
    let (awake, pings) = watching.await.expect("a socket that stays open");
    assert!(pings >= 3, "{pings}");
    assert_eq!(here.one.attached(), 1);
    drop((awake, silent));
    wait_until_attached(&here.one, 0).await;
    served.abort();
}
