//! [`Wire`]: the socket of a client, with its place among the connections.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Sleep, sleep};

/// The socket of a client.
///
/// Writes fail if the client has not accepted all that was written within some time since it first accepted no more.
/// A client that reads a few bytes now and then gains no time: otherwise a stream could outlive its session for as long as its
/// client likes.
///
/// The socket of a WebSocket outlives its HTTP connection.
/// Therefore the socket itself keeps its place among the connections, and the shutdown waiting.
pub(crate) struct Wire {
    stream: TokioIo<TcpStream>,
    write_timeout: Duration,
    /// While data waits for the client: the end of the client's time.
    stalled: Option<Pin<Box<Sleep>>>,
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
        Self {
            stream: TokioIo::new(stream),
            write_timeout,
            stalled: None,
            _slot: slot,
            _open: open,
        }
    }

    /// Fails once the client's time is over.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let is_over = match &mut self.stalled {
            Some(stalled) => stalled.as_mut().poll(context).is_ready(),
            None => false,
        };
        if is_over {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the client does not read",
            ));
        }
        Ok(())
    }

    /// Writes, and begins the client's time if it accepts no more.
    fn write(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TokioIo<TcpStream>>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        let written = write(Pin::new(&mut self.stream), context);
        if written.is_pending() && self.stalled.is_none() {
            self.stalled = Some(Box::pin(sleep(self.write_timeout)));
            // Polled, so that its end wakes the task.
            self.check(context)?;
        }
        written
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(context, |stream, context| stream.poll_write(context, bytes))
    }

    /// Called after all was written: the client's time ends.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(context));
        self.stalled = None;
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(context, |stream, context| {
            stream.poll_write_vectored(context, slices)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn a_client_that_reads_now_and_then_gains_no_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let slot = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        let (_stopping, open) = watch::channel(());
        let mut wire = Wire::new(stream, Duration::from_millis(300), slot, open);
        let reading = tokio::spawn(async move {
            let mut buffer = vec![0; 64 * 1024];
            while client.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                sleep(Duration::from_millis(20)).await;
            }
        });
        let block = vec![0; 1024 * 1024];
        let error = loop {
            let written = poll_fn(|context| Pin::new(&mut wire).poll_write(context, &block));
            if let Err(error) = written.await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(wire);
        reading.await.unwrap();
    }
}
