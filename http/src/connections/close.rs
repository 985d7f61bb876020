//! The codes with which a WebSocket is closed.

use tessera_connections::EndReason;

use super::client_event::Ending;
use crate::problem::Problem;

/// The close codes of RFC 6455, section 7.4.1 and its registry, then those of Tessera's own.
mod code {
    pub(super) const NORMAL: u16 = 1000;
    #[cfg(feature = "websocket")]
    pub(super) const PROTOCOL: u16 = 1002;
    pub(super) const UNSUPPORTED: u16 = 1003;
    #[cfg(feature = "websocket")]
    pub(super) const SIZE: u16 = 1009;
    pub(super) const RESTART: u16 = 1012;
    pub(super) const AGAIN: u16 = 1013;
    /// The token opens no session: log in again.
    pub(super) const LOG_IN: u16 = 4401;
    /// The client has connected elsewhere.
    pub(super) const TAKEN_OVER: u16 = 4409;
    /// The connection has ended by itself: open a new one.
    pub(super) const GONE: u16 = 4410;
}

/// The code and the reason with which a socket is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// The code.
    pub code: u16,
    /// The reason, for the log of a client.
    pub reason: &'static str,
}

impl Close {
    /// The client comes back at once: this node stops, or the store has lost the attachment.
    pub const TRY_AGAIN: Self = Self::new(code::RESTART, "try-again");
    /// A client sends no messages.
    pub const UNSUPPORTED: Self = Self::new(code::UNSUPPORTED, "no-messages");
    #[cfg(feature = "websocket")]
    pub(super) const TOO_LARGE: Self = Self::new(code::SIZE, "too-large");
    /// The client breaks RFC 6455.
    #[cfg(feature = "websocket")]
    pub(super) const PROTOCOL: Self = Self::new(code::PROTOCOL, "malformed");

    const fn new(code: u16, reason: &'static str) -> Self {
        Self { code, reason }
    }

    /// The code after the last event.
    pub(super) fn after(ending: Ending) -> Self {
        let code = match ending {
            Ending::TakenOver => code::TAKEN_OVER,
            Ending::Ended(EndReason::SessionOver) => code::LOG_IN,
            Ending::Ended(EndReason::Closed) => code::NORMAL,
            Ending::Ended(EndReason::Expired | EndReason::Overflow) => code::GONE,
        };
        Self::new(code, ending.as_str())
    }

    /// The code for a problem to which a page has to react. `None` for any other, which is the response to the handshake.
    pub(super) fn instead_of(problem: &Problem) -> Option<Self> {
        let code = match problem.status().as_u16() {
            401 => code::LOG_IN,
            410 => code::NORMAL,
            429 | 503 => code::AGAIN,
            _ => return None,
        };
        Some(Self::new(code, problem.code()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_close_code_tells_a_client_how_to_come_back() {
        for (ending, close) in [
            (Ending::Ended(EndReason::SessionOver), (4401, "session-over")),
            (Ending::Ended(EndReason::Closed), (1000, "closed")),
            (Ending::Ended(EndReason::Expired), (4410, "expired")),
            (Ending::Ended(EndReason::Overflow), (4410, "overflow")),
            (Ending::TakenOver, (4409, "taken-over")),
        ] {
            let after = Close::after(ending);
            assert_eq!((after.code, after.reason), close);
        }
        assert_eq!(Close::TRY_AGAIN.code, 1012);
    }

    #[test]
    fn a_problem_that_concerns_the_page_is_a_close_code_and_any_other_a_response() {
        for (status, code) in [
            (401, Some(4401)),
            (410, Some(1000)),
            (429, Some(1013)),
            (503, Some(1013)),
            (400, None),
            (403, None),
            (422, None),
            (500, None),
        ] {
            let close = Close::instead_of(&Problem::new(status, "the-code", ""));
            assert_eq!(close.map(|close| close.code), code, "{status}");
            assert!(close.is_none_or(|close| close.reason == "the-code"));
        }
    }
}
