//! Time and randomness, which a host gives the engine and a test can set.

use std::cell::RefCell;
use std::error::Error;

use zeroize::Zeroize as _;

use crate::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The wall-clock time. It may jump; hosts that share sessions should agree within the policy's `clock_skew`.
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

/// Gives unpredictable bytes.
pub trait Random: Send + Sync + 'static {
    /// Fills all of `bytes` from a cryptographically secure source.
    ///
    /// # Errors
    /// If the source fails. The call that asked fails then, and nothing is written.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// The operating system's random source, drawn from a few hundred bytes at a time.
///
/// Bytes that were handed out are wiped at once. A process that was forked draws its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        thread_local! {
            static DRAWN: RefCell<Drawn> = const { RefCell::new(Drawn::new()) };
        }
        let taken = DRAWN.try_with(|drawn| drawn.borrow_mut().take(bytes, std::process::id()));
        // A thread that ends has no such memory any more.
        taken
            .unwrap_or_else(|_| getrandom::fill(bytes))
            .map_err(Into::into)
    }
}

/// So many bytes are drawn in one call to the system, which takes as long as all else that a save does with them.
const DRAWN_BYTES: usize = 512;

/// Bytes that were drawn and not handed out yet, of one thread of one process.
struct Drawn {
    bytes: [u8; DRAWN_BYTES],
    /// How many of them, from the first on, are still there.
    left: usize,
    /// In which process they were drawn. A child of it has a copy of them.
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

    /// Hands bytes out; more than are drawn at a time come from the system itself.
    fn take(&mut self, onto: &mut [u8], process: u32) -> Result<(), getrandom::Error> {
        if onto.len() > DRAWN_BYTES {
            return getrandom::fill(onto);
        }
        if self.process != process || self.left < onto.len() {
            // Whatever becomes of the call, what was there is not handed out any more.
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
        // What is left is too little.
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
