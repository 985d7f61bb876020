//! Touches that run beside the response: if one fails the request was served all the same.

use tessera::Session;
use tokio::sync::watch;

use tessera::http::chain;

/// Counts the touches under way, for the service to wait for them when it ends.
pub(super) struct Touches {
    under_way: watch::Sender<usize>,
}

impl Default for Touches {
    fn default() -> Self {
        Self {
            under_way: watch::Sender::new(0),
        }
    }
}

/// Counts down also when the touch panics.
struct UnderWay(watch::Sender<usize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Touches {
    /// Touches a session in a task of its own.
    pub(super) fn start(&self, session: Session) {
        self.under_way.send_modify(|count| *count += 1);
        let under_way = UnderWay(self.under_way.clone());
        tokio::spawn(async move {
            match session.touch().await {
                Ok(_) => {}
                Err(error) if error.is_outage() => tracing::warn!("a touch failed: {}", chain(&error)),
                // Ended meanwhile, as by a logout.
                Err(error) => tracing::debug!("a touch came too late: {}", chain(&error)),
            }
            drop(under_way);
        });
    }

    /// Waits until none is under way.
    pub(super) async fn finish(&self) {
        // Fails only without a sender, and this is one.
        let _ = self.under_way.subscribe().wait_for(|count| *count == 0).await;
    }
}
