//! Connections: accepted within limits, and shut down gracefully.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::failure::Failure;
use crate::limits::Limits;
use crate::service::Service;
use crate::wire::Wire;
use tessera::http::chain;

/// Maximum length of a request's head, in bytes, all headers included.
const MAXIMUM_HEAD_BYTES: usize = 32 * 1024;
const MAXIMUM_HEADERS: usize = 100;
/// Pause after an error of `accept`, such as a lack of file descriptors, after which some may be free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Parses an address with a port. A name is resolved when the service listens.
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
        return Err(format!("an IPv6 address must be in brackets, as in [::1]:{port}"));
    }
    Ok(text.to_owned())
}

/// The signals that stop the service.
pub(crate) struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// Starts to listen for the signals. Until then a signal kills the process.
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

/// Serves the service, and the demonstration beside it, until a signal arrives.
/// Then ends the streams of both, the demonstration's by `end_pages`, finishes the requests in progress, for at most `patience`,
/// and closes the store.
pub(crate) async fn run(
    listener: TcpListener,
    service: Arc<Service>,
    demo: axum::Router,
    end_pages: impl FnOnce(),
    mut signals: Signals,
    limits: Limits,
    patience: Duration,
) -> Result<(), Failure> {
    let slots = Arc::new(Semaphore::new(limits.maximum_connections as usize));
    let stopping = watch::Sender::new(());
    tokio::select! {
        () = accept(&listener, service.router(demo), limits, &slots, &stopping) => {}
        () = signals.next() => {}
    }
    drop(listener);
    service.end_streams();
    end_pages();
    let open = limits.maximum_connections as usize - slots.available_permits();
    tracing::info!("shutting down: finishing {open} connections");
    tokio::select! {
        () = finish(&stopping, &service, patience) => {}
        () = signals.next() => tracing::warn!("second signal: not waiting any longer"),
    }
    let store = service.store().clone();
    let closed = tokio::task::spawn_blocking(move || store.close()).await;
    closed
        .map_err(Failure::during("cannot close the store"))?
        .map_err(Failure::during("cannot close the store"))?;
    tracing::info!("ended");
    Ok(())
}

async fn finish(stopping: &watch::Sender<()>, service: &Service, patience: Duration) {
    let finishing = async {
        stopping.send_replace(());
        stopping.closed().await;
        service.finish_tasks().await;
    };
    if timeout(patience, finishing).await.is_err() {
        tracing::warn!("some requests did not end within {patience:?}; their clients received no response");
    }
}

async fn accept(
    listener: &TcpListener,
    router: axum::Router,
    limits: Limits,
    slots: &Arc<Semaphore>,
    stopping: &watch::Sender<()>,
) {
    loop {
        // Never closed, so never an error.
        let Ok(slot) = Arc::clone(slots).acquire_owned().await else {
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
        let stopping = stopping.subscribe();
        let wire = Wire::new(stream, limits.part_timeout(), slot, stopping.clone());
        tokio::spawn(serve(wire, router.clone(), limits, stopping));
    }
}

/// Serves the requests of a client. At the shutdown, the one in progress is the last.
async fn serve(wire: Wire, router: axum::Router, limits: Limits, mut stopping: watch::Receiver<()>) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.keep_alive_timeout)
        .max_buf_size(MAXIMUM_HEAD_BYTES)
        .max_headers(MAXIMUM_HEADERS)
        .serve_connection(wire, TowerToHyperService::new(router))
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopping.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // A client that disconnects is not an error of the service.
    if let Err(error) = ended {
        tracing::debug!("a connection ended: {}", chain(&error));
    }
}
