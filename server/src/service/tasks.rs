//! Tasks that continue after the response of their request.

use tessera::http::api::Task;
use tokio::sync::watch;

/// Counts the tasks in progress, so that the service can wait for them when it stops.
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

/// Decrements the count when dropped, and so also if the task panics.
struct UnderWay(watch::Sender<usize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Tasks {
    /// Runs a task to its end in the background.
    pub(super) fn start(&self, task: Task) {
        self.under_way.send_modify(|count| *count += 1);
        let under_way = UnderWay(self.under_way.clone());
        tokio::spawn(async move {
            task.await;
            drop(under_way);
        });
    }

    /// Waits until no task is in progress.
    pub(super) async fn finish(&self) {
        // Fails only without a sender, and `self` has one.
        let _ = self.under_way.subscribe().wait_for(|count| *count == 0).await;
    }
}
