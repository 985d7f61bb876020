//! The limits and times of connections. They are those of `tessera serve`.

use std::time::Duration;

use tessera_connections::{Bounds, Overflow};

/// A time; the shorter one where tests wait for it.
const fn time(seconds: u64, in_tests: u64) -> Duration {
    Duration::from_secs(if cfg!(feature = "test-routes") {
        in_tests
    } else {
        seconds
    })
}

/// The bounds of each mailbox: [`Bounds::default`].
pub(super) const BOUNDS: Bounds = Bounds {
    maximum_messages: 512,
    maximum_bytes: 256 * 1024,
    maximum_message_bytes: 64 * 1024,
    replay_messages: 128,
    overflow: Overflow::Refuse,
};
/// The life of a mailbox without a client.
pub(super) const DETACHED_FOR: Duration = time(120, 4);
/// The life of a mailbox whose client has a socket. The object renews it while the socket is there: an object that is moved or
/// updated loses its sockets, and is not notified.
pub(super) const LEASE: Duration = time(3600, 30);
/// The time before the end of the lease at which it is renewed.
pub(super) const RENEWED_BEFORE: Duration = time(15 * 60, 15);
/// The pause before a session that could not be judged is judged again.
pub(super) const JUDGED_AGAIN_AFTER: Duration = time(5, 1);
/// The time for which a client stays while its session cannot be judged.
pub(super) const UNJUDGED_FOR: Duration = time(30, 2);
/// The shortest time until the next alarm. The clock that sets alarms off may be ahead of that of the object.
pub(super) const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// The size of the frames that one socket is sent, in bytes; then its client comes back, which shows what it has received. The
/// runtime keeps what a client does not read, and reports nothing of it.
pub(super) const MAXIMUM_SENT_BYTES: u64 = 2 << 20;
/// The maximum number of sockets of one connection that are closing. Beyond, its client comes back after a pause.
pub(super) const MAXIMUM_CLOSING: usize = 4;
/// That pause.
pub(super) const PAUSE_OF_CLOSING: Duration = Duration::from_secs(5);
/// The longest wait of a poll.
pub(super) const LONGEST_POLL: Duration = Duration::from_secs(25);
/// The time for which an object keeps a mailbox that has expired, so that an isolate whose clock is behind still finds it.
pub(super) const GRACE: Duration = time(60, 1);
/// The pause before an object that could not leave the lists tries again.
pub(super) const LEAVES_AGAIN_AFTER: Duration = time(300, 1);
