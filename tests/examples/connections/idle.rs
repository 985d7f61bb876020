//! The memory of a service with many idle streams of events.

use std::io::{self, BufRead as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use tessera_tests::http_client::{bearer, connect, read_answer, request};
use tessera_tests::servers::RedisServer;

use super::aims::{Row, at_most};
use super::process::{Listening, service_key, tokens};
use super::{CONNECTIONS, Failure};

/// The threads that open streams.
const OPENERS: usize = 8;
/// The sessions are judged twice, and each stream has had a sign of life.
const IDLE: Duration = Duration::from_secs(20);

pub(crate) fn row() -> Result<Row, Failure> {
    let (directory, redis) = (TempDir::new()?, RedisServer::start(&[]));
    let data = directory.path().join("data");
    let service = Listening::tessera(&data, &directory.path().join("log"), &redis.url())?;
    let tokens = tokens(&service.address, &service_key(&data)?, CONNECTIONS);
    let streams = thread::scope(|scope| {
        let openers: Vec<_> = tokens
            .chunks(CONNECTIONS.div_ceil(OPENERS))
            .map(|tokens| {
                let open = |token: &String| open(&service.address, token);
                scope.spawn(move || tokens.iter().map(open).collect::<io::Result<Vec<_>>>())
            })
            .collect();
        let opened = openers
            .into_iter()
            .map(|opener| opener.join().expect("an opener"));
        opened.collect::<io::Result<Vec<_>>>()
    })?;
    thread::sleep(IDLE);
    let megabytes = service.megabytes()?;
    drop(streams);
    Ok(at_most(
        &format!("the service with {CONNECTIONS} idle streams of events"),
        megabytes,
        250.0,
        "MB",
    ))
}

/// Opens a stream, and waits for its first event.
fn open(address: &str, token: &str) -> io::Result<TcpStream> {
    let mut connection = connect(address)?;
    let headers = [
        ("Authorization", &*bearer(token)),
        ("Accept", "text/event-stream"),
    ];
    let sent = request("GET", "/v1/connections", &headers, None);
    connection.get_mut().write_all(&sent)?;
    let answer = read_answer(&mut connection)?;
    if answer.status != 200 || connection.fill_buf()?.is_empty() {
        return Err(io::Error::other(format!("no stream: {answer:?}")));
    }
    Ok(connection.into_inner())
}
