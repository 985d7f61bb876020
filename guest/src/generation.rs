//! The generations of a session's tokens, and which of them are valid.

use crate::moments::Moments;

/// One generation of a session's token.
///
/// A token must match both the counter and the timestamp, so that a counter that repeats after a failover opens no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Rises by one with each renewal and authentication.
    pub counter: u32,
    /// When the counter was raised, in milliseconds since 1970.
    pub raised_at: u64,
}

impl Generation {
    /// Returns the next generation, raised at `now`; `None` at the last counter.
    ///
    /// Its timestamp is always greater than that of this generation, even if the clock went back.
    pub fn next(self, now: u64) -> Option<Self> {
        Some(Self {
            counter: self.counter.checked_add(1)?,
            raised_at: now.max(self.raised_at + 1),
        })
    }
}

/// The generations in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generations {
    /// The newest generation.
    pub current: Generation,
    /// The generation before, if the current one comes from a renewal.
    pub previous: Option<Generation>,
    /// The generation of the last authentication, or the first one.
    pub login_generation: Generation,
    /// When a token of the current generation was first used; `None`: not yet.
    pub confirmed_at: Option<u64>,
}

/// The status of a token by its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenStatus {
    /// The current generation, whether confirmed or not.
    Current,
    /// The previous generation, while the current one is unused: the client may never have received the new token.
    PreviousUnconfirmed,
    /// The previous generation, in the grace period after the first use of the current one: parallel requests of one client.
    PreviousInGrace,
    /// Renewed, and presented again after the grace period: a sign of theft.
    Reused,
    /// Replaced by a login, or part of a history that the store has lost.
    Replaced,
    /// Newer than the record: the record is stale, or the token is part of a history that the store has lost.
    Newer,
}

impl TokenStatus {
    /// Whether a request with such a token is served.
    pub fn is_served(self) -> bool {
        matches!(
            self,
            Self::Current | Self::PreviousUnconfirmed | Self::PreviousInGrace
        )
    }
}

impl Generations {
    /// The generations of a new session. The first one needs no confirmation, because no token preceded it.
    pub fn first(now: u64) -> Self {
        let current = Generation {
            counter: 1,
            raised_at: now,
        };
        Self {
            current,
            previous: None,
            login_generation: current,
            confirmed_at: Some(now),
        }
    }

    /// Returns the status of a token of this generation.
    pub fn classify(&self, token: Generation, moments: &Moments, grace_ms: u64) -> TokenStatus {
        if token == self.current {
            return TokenStatus::Current;
        }
        if token.counter < self.login_generation.counter {
            return TokenStatus::Replaced;
        }
        if self.previous == Some(token) {
            return match self.confirmed_at {
                None => TokenStatus::PreviousUnconfirmed,
                Some(at) if !moments.is_past(at.saturating_add(grace_ms)) => TokenStatus::PreviousInGrace,
                Some(_) => TokenStatus::Reused,
            };
        }
        if token.counter > self.current.counter || token.raised_at > self.current.raised_at {
            return TokenStatus::Newer;
        }
        // The token is at or above the login generation, and neither the current nor the previous one.
        // It belongs to this history only if it is between the login generation and the previous one.
        // Any other was raised in a history that a failover or a restored backup has undone.
        match self.previous {
            Some(previous)
                if token.counter < previous.counter
                    && token.raised_at < previous.raised_at
                    && (token == self.login_generation
                        || (token.counter > self.login_generation.counter
                            && token.raised_at > self.login_generation.raised_at)) =>
            {
                TokenStatus::Reused
            }
            _ => TokenStatus::Replaced,
        }
    }

    /// Whether the last renewal is settled: tokens of the previous generation are no longer valid.
    ///
    /// They are valid while the current generation is unconfirmed, and in the grace period after its confirmation.
    pub fn is_settled(&self, moments: &Moments, grace_ms: u64) -> bool {
        match (self.previous, self.confirmed_at) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(_), Some(at)) => moments.is_past(at.saturating_add(grace_ms)),
        }
    }

    /// Whether the policy requires a new token for the holder of a token with this status.
    pub fn is_renewal_due(&self, interval_ms: Option<u64>, status: TokenStatus, moments: &Moments) -> bool {
        let Some(interval) = interval_ms else { return false };
        match status {
            TokenStatus::Current => moments.is_past(self.current.raised_at.saturating_add(interval)),
            TokenStatus::PreviousUnconfirmed => true,
            _ => false,
        }
    }

    /// The generations after a renewal: the current one becomes the previous one. `None` at the last counter.
    pub fn renewed(&self, now: u64) -> Option<Self> {
        Some(Self {
            current: self.current.next(now)?,
            previous: Some(self.current),
            login_generation: self.login_generation,
            confirmed_at: None,
        })
    }

    /// The generations after an authentication, which invalidates all earlier ones at once. `None` at the last counter.
    pub fn authenticated(&self, now: u64) -> Option<Self> {
        let current = self.current.next(now)?;
        Some(Self {
            current,
            previous: None,
            login_generation: current,
            confirmed_at: Some(now),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: u64 = 10;

    fn at(counter: u32, raised_at: u64) -> Generation {
        Generation { counter, raised_at }
    }

    /// Login generation 3, then 4, 5 and 6 by renewal; 6 confirmed at 650 or not.
    fn record(confirmed_at: Option<u64>) -> Generations {
        Generations {
            current: at(6, 600),
            previous: Some(at(5, 500)),
            login_generation: at(3, 300),
            confirmed_at,
        }
    }

    #[test]
    fn every_row_of_the_table() {
        let classify = |record: Generations, token, now| record.classify(token, &Moments::at(now), GRACE);
        assert_eq!(classify(record(None), at(6, 600), 9_999), TokenStatus::Current);
        assert_eq!(
            classify(record(None), at(5, 500), 9_999),
            TokenStatus::PreviousUnconfirmed
        );
        assert_eq!(
            classify(record(Some(650)), at(5, 500), 659),
            TokenStatus::PreviousInGrace
        );
        assert_eq!(classify(record(Some(650)), at(5, 500), 660), TokenStatus::Reused);
        assert_eq!(classify(record(None), at(4, 400), 700), TokenStatus::Reused);
        assert_eq!(classify(record(None), at(3, 300), 700), TokenStatus::Reused);
        assert_eq!(classify(record(None), at(2, 200), 700), TokenStatus::Replaced);
        assert_eq!(classify(record(None), at(7, 700), 700), TokenStatus::Newer);
        assert_eq!(classify(record(None), at(6, 601), 700), TokenStatus::Newer);
    }

    #[test]
    fn generations_of_a_lost_history_are_no_theft() {
        for token in [
            at(6, 599),
            at(5, 501),
            at(5, 499),
            at(4, 500),
            at(4, 550),
            at(3, 301),
            at(3, 299),
            at(4, 300),
        ] {
            assert_eq!(
                record(None).classify(token, &Moments::at(700), GRACE),
                TokenStatus::Replaced,
                "{token:?}"
            );
        }
    }

    #[test]
    fn an_authentication_leaves_nothing_before_it_alive() {
        let after = record(None).authenticated(700).unwrap();
        for token in [at(6, 600), at(5, 500), at(3, 300)] {
            assert_eq!(
                after.classify(token, &Moments::at(700), GRACE),
                TokenStatus::Replaced
            );
        }
        assert_eq!(
            after.classify(at(7, 700), &Moments::at(700), GRACE),
            TokenStatus::Current
        );
    }

    #[test]
    fn raised_at_rises_also_when_the_clock_goes_back() {
        assert_eq!(at(6, 600).next(100), Some(at(7, 601)));
        assert_eq!(at(u32::MAX, 600).next(700), None);
    }
}
