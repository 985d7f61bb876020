//! Logs to the Worker's console, one line per event: `target: message field=value`, at the console's own level.

use std::fmt::{Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span;
use tracing::{Event, Level, Metadata, Subscriber};
use worker::{console_error, console_log, console_warn};

/// Writes events up to this verbosity.
struct Console {
    most: LevelFilter,
}

/// Starts the log with this level. Has no effect if the log is started already.
pub(crate) fn start(most: LevelFilter) {
    // Fails only if a subscriber is set already: an isolate serves many requests.
    let _ = tracing::subscriber::set_global_default(Console { most });
}

impl Subscriber for Console {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.most
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        // Spans are not used, so all have the same id.
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut line = Line(format!("{}:", metadata.target()));
        event.record(&mut line);
        let line = line.0;
        match *metadata.level() {
            Level::ERROR => console_error!("{line}"),
            Level::WARN => console_warn!("{line}"),
            _ => console_log!("{line}"),
        }
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a `String` cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
