//! The delivery of a connection's events to a WebSocket.

use std::time::Duration;

use axum::Error;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_tungstenite::tungstenite;

use super::body::wait;
use super::close::Close;
use super::frames::{Frame, Frames, text};
use super::hub::{Served, StreamClient};
use super::opening::Opened;

/// Number of pings without a sign of life after which the client counts as gone.
const PINGS: u32 = 2;
/// The time in which a client has to answer a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The end of a stream.
enum End {
    /// The node closes the socket.
    Close(Close),
    /// The client has sent what cannot be read, and nothing after it can be.
    Unreadable(Close),
    /// The client has closed the socket.
    ByClient,
    /// Nothing can be sent, or the client gives no sign of life.
    Gone,
}

/// Sends the events of a connection until it ends, or its client is gone. Then the client is detached.
///
/// The client is pinged at this interval, and has this long to accept a frame.
pub(super) async fn serve<C: StreamClient>(mut socket: WebSocket, opened: Opened<C>, interval: Duration) {
    match deliver(&mut socket, opened, interval).await {
        End::Close(reason) => close(socket, reason).await,
        End::Unreadable(reason) => {
            let _ = timeout(CLOSE_TIMEOUT, socket.send(frame(reason))).await;
            // If the socket were closed with unread bytes, the client's system could discard the frame.
            sleep(CLOSE_TIMEOUT).await;
        }
        End::ByClient => drain(&mut socket).await,
        End::Gone => {}
    }
}

/// Closes a socket, and waits for the client to do so.
pub(super) async fn close(mut socket: WebSocket, close: Close) {
    if let Ok(Ok(())) = timeout(CLOSE_TIMEOUT, socket.send(frame(close))).await {
        drain(&mut socket).await;
    }
}

fn frame(Close { code, reason }: Close) -> Message {
    Message::Close(Some(CloseFrame {
        code,
        reason: reason.into(),
    }))
}

/// Reads until the closing handshake is complete.
async fn drain(socket: &mut WebSocket) {
    let drained = async { while let Some(Ok(_)) = socket.recv().await {} };
    let _ = timeout(CLOSE_TIMEOUT, drained).await;
}

async fn deliver<C: StreamClient>(socket: &mut WebSocket, opened: Opened<C>, interval: Duration) -> End {
    let Opened { client, at, first } = opened;
    for event in &first {
        if !send(socket, Message::Text(text(event).into()), interval).await {
            return End::Gone;
        }
    }
    let mut frames = Frames::new(at);
    // One future for each event, whatever the client sends meanwhile: each begins with a read of the mailbox.
    let mut next = wait(client);
    let mut pings = interval_at(Instant::now() + interval, interval);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unanswered = 0;
    loop {
        tokio::select! {
            received = socket.recv() => match received {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => unanswered = 0,
                Some(Ok(Message::Text(_) | Message::Binary(_))) => return End::Close(Close::UNSUPPORTED),
                Some(Ok(Message::Close(_))) => return End::ByClient,
                Some(Err(error)) => return unreadable(error),
                None => return End::Gone,
            },
            (client, served) = &mut next => {
                let event = match served {
                    Some(Served::Event(event)) => event,
                    Some(Served::Idle) => {
                        next = wait(client);
                        continue;
                    }
                    None => return End::Close(Close::TRY_AGAIN),
                };
                let (text, close) = match frames.next(event) {
                    Frame::Text(text) => (text, None),
                    Frame::Last(text, close) => (text, Some(close)),
                    Frame::Close(close) => return End::Close(close),
                };
                if !send(socket, Message::Text(text.into()), interval).await {
                    return End::Gone;
                }
                if let Some(close) = close {
                    return End::Close(close);
                }
                next = wait(client);
            }
            _ = pings.tick() => {
                if unanswered == PINGS || !send(socket, Message::Ping(Default::default()), interval).await {
                    return End::Gone;
                }
                unanswered += 1;
            }
        }
    }
}

/// Sends a frame; returns whether the client has accepted it in time.
async fn send(socket: &mut WebSocket, message: Message, time: Duration) -> bool {
    matches!(timeout(time, socket.send(message)).await, Ok(Ok(())))
}

fn unreadable(error: Error) -> End {
    use tungstenite::Error::{Capacity, Protocol, Utf8};
    let error = error.into_inner();
    match error.downcast_ref() {
        Some(Capacity(_)) => End::Unreadable(Close::TOO_LARGE),
        // Also a text that is not UTF-8, which is no message either.
        Some(Utf8(_)) => End::Unreadable(Close::UNSUPPORTED),
        Some(Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => End::Gone,
        Some(Protocol(_)) => End::Unreadable(Close::PROTOCOL),
        _ => End::Gone,
    }
}
