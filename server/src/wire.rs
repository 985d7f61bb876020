//! [`Wire`]: the socket of a client, with its place among the connections.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_io_timeout::TimeoutStream;

/// The socket of a client. A write fails if the client does not read for some time.
///
/// The socket of a WebSocket outlives its HTTP connection.
/// Therefore the socket itself keeps its place among the connections, and the shutdown waiting.
pub(crate) struct Wire {
    stream: TokioIo<Pin<Box<TimeoutStream<TcpStream>>>>,
    _slot: OwnedSemaphorePermit,
    /// The shutdown waits until each of these is dropped.
    _open: watch::Receiver<()>,
}

impl Wire {
    pub(crate) fn new(
        stream: TcpStream,
        write_timeout: Duration,
        slot: OwnedSemaphorePermit,
        open: watch::Receiver<()>,
    ) -> Self {
        // Responses are small, and each is written at once.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(write_timeout));
        Self {
            stream: TokioIo::new(Box::pin(stream)),
            _slot: slot,
            _open: open,
        }
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut TokioIo<Pin<Box<TimeoutStream<TcpStream>>>>> {
        Pin::new(&mut self.get_mut().stream)
    }
}

impl Read for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(context, buffer)
    }
}

impl Write for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(context, slices)
    }
}
