//! Connections: accepted with limits, and ended in order.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;

use crate::failure::Failure;
use crate::limits::Limits;
use crate::service::Service;
use tessera::http::chain;

/// A request's head, with all headers.
const MAXIMUM_HEAD_BYTES: usize = 32 * 1024;
const MAXIMUM_HEADERS: usize = 100;
/// After an error of `accept`, as for want of file descriptors: try again when some may be free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An address with a port; a name is looked up when the service listens.
pub(crate) fn parse_address(text: &str) -> Result<String, String> {
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        let with_port = std::net::SocketAddr::new(address, 8787);
        return Err(format!("the port is missing, as in {with_port}"));
    }
    let (host, port) = text
        .rsplit_once(':')
        .ok_or("the port is missing, as in 127.0.0.1:8787")?;
    if port.parse::<u16>().is_err() {
        return Err("the port is a number from 0 to 65535".into());
    }
    if host.is_empty() {
        return Err(format!(
            "the address is missing, as in 0.0.0.0:{port} for every IPv4 address of this machine"
        ));
    }
    if host.contains(':') && !host.starts_with('[') {
        return Err(format!("an IPv6 address stands in brackets, as in [::1]:{port}"));
    }
    Ok(text.to_owned())
}

/// The signals that end the service.
pub(crate) struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// Begins to listen; until then a signal kills the process.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            terminate: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    }
}

/// Serves the service, and beside it the demonstration, until a signal comes; then ends what is in flight, for as long as `patience` allows, and closes the store.
pub(crate) async fn run(
    listener: TcpListener,
    service: Arc<Service>,
    demo: axum::Router,
    mut signals: Signals,
    limits: Limits,
    patience: Duration,
) -> Result<(), Failure> {
    let graceful = GracefulShutdown::new();
    tokio::select! {
        () = accept(&listener, service.router(demo), limits, &graceful) => {}
        () = signals.next() => {}
    }
    drop(listener);
    tracing::info!("told to end: finishing {} connections", graceful.count());
    tokio::select! {
        () = finish(graceful, &service, patience) => {}
        () = signals.next() => tracing::warn!("told again: not waiting any longer"),
    }
    let store = service.store().clone();
    let closed = tokio::task::spawn_blocking(move || store.close()).await;
    closed
        .map_err(Failure::during("cannot close the store"))?
        .map_err(Failure::during("cannot close the store"))?;
    tracing::info!("ended");
    Ok(())
}

async fn finish(graceful: GracefulShutdown, service: &Service, patience: Duration) {
    let finishing = async {
        graceful.shutdown().await;
        service.finish_tasks().await;
    };
    if timeout(patience, finishing).await.is_err() {
        tracing::warn!("some requests did not end within {patience:?}; their clients were told nothing");
    }
}

async fn accept(listener: &TcpListener, router: axum::Router, limits: Limits, graceful: &GracefulShutdown) {
    let slots = Arc::new(Semaphore::new(limits.maximum_connections as usize));
    loop {
        // Never closed, so never an error.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = graceful.watch(connection(stream, router.clone(), limits));
        tokio::spawn(async move {
            // Clients that go away are their own affair.
            if let Err(error) = connection.await {
                tracing::debug!("a connection ended: {}", chain(&error));
            }
            drop(slot);
        });
    }
}

/// A connection whose client has to read what it is sent.
type Wire = TokioIo<Pin<Box<TimeoutStream<TcpStream>>>>;

fn connection(
    stream: TcpStream,
    router: axum::Router,
    limits: Limits,
) -> http1::Connection<Wire, TowerToHyperService<axum::Router>> {
    // Answers are small and each is written at once.
    let _ = stream.set_nodelay(true);
    // A client that reads nothing of what it has asked for.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.part_timeout()));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.keep_alive_timeout)
        .max_buf_size(MAXIMUM_HEAD_BYTES)
        .max_headers(MAXIMUM_HEADERS)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router))
}
