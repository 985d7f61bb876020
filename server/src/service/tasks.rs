//! What goes on beside the response that it belongs to.

use tessera::http::api::Task;
use tokio::sync::watch;

/// Counts the tasks under way, for the service to wait for them when it ends.
#[derive(Clone)]
pub(super) struct Tasks {
    under_way: watch::Sender<usize>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self {
            under_way: watch::Sender::new(0),
        }
    }
}

/// Counts down also when the task panics.
struct UnderWay(watch::Sender<usize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Tasks {
    /// Runs a task to its end.
    pub(super) fn start(&self, task: Task) {
        self.under_way.send_modify(|count| *count += 1);
        let under_way = UnderWay(self.under_way.clone());
        tokio::spawn(async move {
            task.await;
            drop(under_way);
        });
    }

    /// Waits until none is under way.
    pub(super) async fn finish(&self) {
        // Fails only without a sender, and this is one.
        let _ = self.under_way.subscribe().wait_for(|count| *count == 0).await;
    }
}
