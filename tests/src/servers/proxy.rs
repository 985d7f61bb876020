//! A TCP proxy with injected faults.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The handling of connections and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weather {
    /// All bytes are forwarded.
    #[default]
    Fine,
    /// Bytes are delayed by this time in each direction.
    Slow(Duration),
    /// Bytes are discarded, and connections stay open.
    Silent,
    /// Requests are forwarded. The first response is cut in half, and its connection is closed.
    CutsAnswers,
    /// New connections are refused, and existing ones are closed.
    Closed,
}

/// Listens on a port of its own and forwards each connection to another port.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// The port on which it listens.
    pub port: u16,
}

struct Shared {
    to: AtomicU16,
    weather: Mutex<Weather>,
    has_ended: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
    accepted: AtomicU64,
}

impl Proxy {
    /// Starts a proxy that forwards to this port.
    pub fn to(port: u16) -> Self {
        Self::at("127.0.0.1:0", port)
    }

    /// The same, listening on `::1`.
    pub fn over_ipv6_to(port: u16) -> Self {
        Self::at("[::1]:0", port)
    }

    fn at(address: &str, port: u16) -> Self {
        let listener = TcpListener::bind(address).expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            to: AtomicU16::new(port),
            weather: Mutex::default(),
            has_ended: AtomicBool::new(false),
            connections: Mutex::default(),
            accepted: AtomicU64::new(0),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accepting.accept(&listener));
        Self {
            shared,
            address,
            port: address.port(),
        }
    }

    /// Forwards new connections to another port.
    pub fn lead_to(&self, port: u16) {
        self.shared.to.store(port, Ordering::Relaxed);
    }

    /// Changes the weather for all connections, including existing ones.
    pub fn set(&self, weather: Weather) {
        *self.shared.weather.lock().unwrap_or_else(PoisonError::into_inner) = weather;
        if weather == Weather::Closed {
            self.cut();
        }
    }

    /// Closes all connections.
    pub fn cut(&self) {
        let mut connections = self
            .shared
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for connection in connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// The number of accepted connections so far.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.has_ended.store(true, Ordering::Relaxed);
        self.cut();
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming().flatten() {
            if self.has_ended.load(Ordering::Relaxed) {
                return;
            }
            if self.weather() == Weather::Closed {
                continue;
            }
            let port = self.to.load(Ordering::Relaxed);
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
                continue;
            };
            self.accepted.fetch_add(1, Ordering::Relaxed);
            let copy = |stream: &TcpStream| stream.try_clone().expect("a second handle");
            {
                let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
                connections.extend([copy(&client), copy(&server)]);
            }
            for (from, to, answers) in [(copy(&client), copy(&server), false), (server, client, true)] {
                let _ = (from.set_nodelay(true), to.set_nodelay(true));
                let shared = Arc::clone(&self);
                thread::spawn(move || shared.pass(from, to, answers));
            }
        }
    }

    fn pass(&self, mut from: TcpStream, mut to: TcpStream, answers: bool) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let passed = match self.weather() {
                Weather::Fine => to.write_all(&buffer[..read]),
                Weather::Slow(pause) => {
                    thread::sleep(pause);
                    to.write_all(&buffer[..read])
                }
                Weather::Silent => Ok(()),
                Weather::CutsAnswers if answers => {
                    let _ = to.write_all(&buffer[..read / 2]);
                    break;
                }
                Weather::CutsAnswers => to.write_all(&buffer[..read]),
                Weather::Closed => break,
            };
            if passed.is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }
}
