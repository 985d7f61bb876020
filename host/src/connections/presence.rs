//! The time since when a node has shown without a gap that it lives.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::attached::lock;

/// The beats after which a node has steadily shown its life, and within which all others have done so, too.
const BEATS: u32 = 2;

/// The time since when a node has shown at each beat that it lives.
///
/// An outage of the store stops all nodes from showing it, so that for a while those that live cannot be told from those that were
/// killed. A node finds that out by its own gaps.
#[derive(Debug, Default)]
pub(super) struct Presence(Mutex<Option<Shown>>);

#[derive(Clone, Copy, Debug)]
struct Shown {
    since: Instant,
    last: Instant,
}

impl Presence {
    /// Notes that the node has shown at `at` that it lives. `was_there`: the life that it has shown before had not run out.
    pub(super) fn shown(&self, at: Instant, was_there: bool, beat: Duration) {
        let mut shown = lock(&self.0);
        let before = shown.filter(|before| was_there && at.duration_since(before.last) <= beat * BEATS);
        let since = before.map_or(at, |before| before.since);
        *shown = Some(Shown { since, last: at });
    }

    /// Notes that the node could not show that it lives.
    pub(super) fn lost(&self) {
        *lock(&self.0) = None;
    }

    /// Whether a node that does not show its life is dead: this one has shown its own for as long as all need to do so.
    pub(super) fn is_steady(&self, beat: Duration) -> bool {
        let time = beat * BEATS;
        lock(&self.0).is_some_and(|shown| shown.last.elapsed() <= time && shown.since.elapsed() >= time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: Duration = Duration::from_secs(5);

    /// Shows the life for some beats.
    async fn show(presence: &Presence, beats: u32) {
        for _ in 0..beats {
            tokio::time::advance(BEAT).await;
            presence.shown(Instant::now(), true, BEAT);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_is_steady_two_beats_after_it_has_first_shown_its_life() {
        let presence = Presence::default();
        assert!(!presence.is_steady(BEAT));
        show(&presence, 2).await;
        assert!(!presence.is_steady(BEAT));
        show(&presence, 1).await;
        assert!(presence.is_steady(BEAT));
        // The reply takes a little longer.
        tokio::time::advance(BEAT * 2).await;
        assert!(presence.is_steady(BEAT));
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_is_not_steady_after_a_failure_a_silence_or_the_end_of_its_shown_life() {
        let presence = Presence::default();
        for gap in 0..3 {
            show(&presence, 3).await;
            assert!(presence.is_steady(BEAT));
            match gap {
                0 => presence.lost(),
                1 => presence.shown(Instant::now(), false, BEAT),
                _ => tokio::time::advance(BEAT * 2 + Duration::from_millis(1)).await,
            }
            assert!(!presence.is_steady(BEAT), "{gap}");
            show(&presence, 2).await;
            assert_eq!(presence.is_steady(BEAT), gap == 1, "{gap}");
        }
    }
}
