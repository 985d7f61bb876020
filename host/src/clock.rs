//! The sources of time and random bytes, which a host supplies and a test can replace.

use std::cell::RefCell;
use std::error::Error;

use zeroize::Zeroize as _;

use crate::Timestamp;

/// A source of time.
pub trait Clock: Send + Sync + 'static {
    /// The wall-clock time. It may jump. The clocks of hosts that share sessions should agree within the policy's `clock_skew`.
    fn now(&self) -> Timestamp;
}

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A source of unpredictable bytes.
pub trait Random: Send + Sync + 'static {
    /// Fills all of `bytes` from a cryptographically secure source.
    ///
    /// # Errors
    /// If the source fails. The session's call then fails, and nothing is written.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// The operating system's random source, with a buffer of 512 bytes for each thread.
///
/// Bytes are wiped from the buffer when they are handed out. A forked process does not use the buffer of its parent.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        thread_local! {
            static DRAWN: RefCell<Drawn> = const { RefCell::new(Drawn::new()) };
        }
        let taken = DRAWN.try_with(|drawn| drawn.borrow_mut().take(bytes, std::process::id()));
        // The buffer of a thread that is ending may be gone.
        taken
            .unwrap_or_else(|_| getrandom::fill(bytes))
            .map_err(Into::into)
    }
}

/// The number of bytes from one system call. The buffer exists because a system call takes as long as everything else that a
/// save does with random bytes.
const DRAWN_BYTES: usize = 512;

/// The buffer of one thread: bytes that are not handed out yet.
struct Drawn {
    bytes: [u8; DRAWN_BYTES],
    /// The number of unused bytes, which are the first ones.
    left: usize,
    /// The id of the process that filled the buffer. A forked child has a copy of the buffer and must not use it.
    process: u32,
}

impl Drop for Drawn {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl Drawn {
    const fn new() -> Self {
        Self {
            bytes: [0; DRAWN_BYTES],
            left: 0,
            process: 0,
        }
    }

    /// Hands bytes out. A request for more than the buffer holds goes to the system directly.
    fn take(&mut self, onto: &mut [u8], process: u32) -> Result<(), getrandom::Error> {
        if onto.len() > DRAWN_BYTES {
            return getrandom::fill(onto);
        }
        if self.process != process || self.left < onto.len() {
            // The old bytes are never handed out, even if the system call fails.
            self.left = 0;
            getrandom::fill(&mut self.bytes)?;
            (self.left, self.process) = (DRAWN_BYTES, process);
        }
        let taken = &mut self.bytes[self.left - onto.len()..self.left];
        onto.copy_from_slice(taken);
        taken.zeroize();
        self.left -= onto.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(drawn: &mut Drawn, bytes: usize, process: u32) -> Vec<u8> {
        let mut onto = vec![0; bytes];
        drawn.take(&mut onto, process).unwrap();
        onto
    }

    #[test]
    fn no_byte_is_handed_out_twice_and_none_is_kept() {
        let mut drawn = Drawn::new();
        let first = take(&mut drawn, 22, 1);
        let rest = drawn.bytes;
        assert_eq!(
            (drawn.left, &rest[drawn.left..]),
            (DRAWN_BYTES - 22, &[0; 22][..])
        );
        assert_ne!(first, take(&mut drawn, 22, 1));
        let all = take(&mut drawn, DRAWN_BYTES - 44, 1);
        assert_eq!(all, rest[..DRAWN_BYTES - 44]);
        assert_eq!((drawn.left, drawn.bytes), (0, [0; DRAWN_BYTES]));
        take(&mut drawn, 500, 1);
        // The remaining bytes do not suffice.
        take(&mut drawn, 20, 1);
        assert_eq!(drawn.left, DRAWN_BYTES - 20);
        assert_ne!(take(&mut drawn, DRAWN_BYTES + 1, 1), vec![0; DRAWN_BYTES + 1]);
        assert_eq!(drawn.left, DRAWN_BYTES - 20);
        assert_eq!(take(&mut drawn, 0, 1), Vec::<u8>::new());
    }

    #[test]
    fn a_forked_process_hands_out_nothing_that_its_parent_has_drawn() {
        let mut parent = Drawn::new();
        take(&mut parent, 22, 1);
        let (bytes, left) = (parent.bytes, parent.left);
        let mut child = Drawn {
            bytes,
            left,
            process: 1,
        };
        assert_ne!(take(&mut child, 64, 2), bytes[left - 64..left]);
        assert_eq!(take(&mut parent, 64, 1), bytes[left - 64..left]);
    }
}
