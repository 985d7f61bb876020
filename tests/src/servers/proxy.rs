//! A TCP proxy that loses what it carries, when told to.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

const PASS: u8 = 0;
const STALL: u8 = 1;
const LOSE_ANSWERS: u8 = 2;

/// Stands between a client and a server on 127.0.0.1.
pub struct Proxy {
    port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    mode: AtomicU8,
    is_over: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Carries everything to this port.
    pub fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.is_over.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(server) = TcpStream::connect(("127.0.0.1", to)) {
                    carry(&shared, &client, &server);
                }
            }
        });
        Self { port, state }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Carries everything again.
    pub fn pass(&self) {
        self.state.mode.store(PASS, Ordering::SeqCst);
    }

    /// Takes everything and passes nothing on, in either direction.
    pub fn stall(&self) {
        self.state.mode.store(STALL, Ordering::SeqCst);
    }

    /// Carries what is asked, and cuts a connection when its answer comes, in the middle of it.
    pub fn lose_answers(&self) {
        self.state.mode.store(LOSE_ANSWERS, Ordering::SeqCst);
    }

    /// Cuts all connections there are.
    pub fn cut(&self) {
        let mut streams = self.state.streams.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the thread that listens.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn carry(state: &Arc<State>, client: &TcpStream, server: &TcpStream) {
    let clone = |stream: &TcpStream| stream.try_clone().expect("a handle");
    let mut streams = state.streams.lock().unwrap_or_else(PoisonError::into_inner);
    for (from, to, is_answer) in [(client, server, false), (server, client, true)] {
        let _ = from.set_nodelay(true);
        streams.push(clone(from));
        let (from, to, state) = (clone(from), clone(to), Arc::clone(state));
        thread::spawn(move || one_way(&state, from, to, is_answer));
    }
}

fn one_way(state: &State, mut from: TcpStream, mut to: TcpStream, is_answer: bool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        while state.mode.load(Ordering::SeqCst) == STALL && !state.is_over.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
        if is_answer && state.mode.load(Ordering::SeqCst) == LOSE_ANSWERS {
            let _ = to.write_all(&buffer[..read / 2]);
            break;
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
