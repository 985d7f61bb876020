//! The clients of a service in a process of their own, and the messages that they have received.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Failure;

/// The program of the clients. It is killed on drop.
pub(crate) struct Watched {
    child: Child,
    /// The names of the connections.
    pub(crate) names: Vec<String>,
    arrivals: Arc<Mutex<Arrivals>>,
}

/// By the number of a message, the latency of each of its arrivals.
pub(crate) type Arrivals = HashMap<usize, Vec<Duration>>;

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Watched {
    /// Starts the program, and waits until there is a connection for each token.
    pub(crate) fn start(mut command: Command, tokens: &[String]) -> Result<Self, Failure> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let mut watched = Self {
            child,
            names: Vec::new(),
            arrivals: Arc::default(),
        };
        input.ok_or("no input")?.write_all(tokens.join("\n").as_bytes())?;
        let mut lines = BufReader::new(output.ok_or("no output")?).lines();
        while watched.names.len() < tokens.len() {
            let line = lines.next().ok_or("the clients have ended")??;
            let name = line.strip_prefix("open ").ok_or("a client without a name")?;
            watched.names.push(name.to_owned());
        }
        let arrivals = Arc::clone(&watched.arrivals);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let (number, latency) =
                    message(&line).unwrap_or_else(|| panic!("a client has printed {line}"));
                let mut arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
                arrivals.entry(number).or_default().push(latency);
            }
        });
        Ok(watched)
    }

    /// Waits until these messages have arrived, or for five seconds without a further one, and takes all arrivals.
    pub(crate) fn take(&self, messages: &[usize]) -> Arrivals {
        let (mut changed, mut count) = (Instant::now(), 0);
        loop {
            let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
            if arrivals.len() != count {
                (changed, count) = (Instant::now(), arrivals.len());
            }
            let have_all = messages.iter().all(|number| arrivals.contains_key(number));
            if have_all || changed.elapsed() > Duration::from_secs(5) {
                return std::mem::take(&mut arrivals);
            }
            drop(arrivals);
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Reads the number of a message, and its latency in microseconds.
fn message(line: &str) -> Option<(usize, Duration)> {
    let (number, micros) = line.split_once(' ')?;
    // The clocks of two processes may differ by some microseconds.
    let micros = micros.parse::<i64>().ok()?.max(0);
    Some((number.parse().ok()?, Duration::from_micros(micros.unsigned_abs())))
}
