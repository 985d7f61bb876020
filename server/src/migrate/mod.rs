//! `tessera migrate`: copies the sessions of one store to another.

mod copy;
mod journal;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest as _, Sha256};
use tessera::Timestamp;
use tessera::store::{Methods, PlainStore, PlainUrl, StoreUrl};

use self::copy::{Copier, Tally};
use self::journal::Journal;
use crate::failure::Failure;
use crate::files;
use crate::output::say;
use crate::store::{UrlParser, open_plain, open_to_read};

/// Maximum number of passes. A source that still changes after them is written faster than it is read.
const MOST_PASSES: u32 = 10;

/// Copies every live session with its version, guard, owner and expiry.
///
/// This is safe while services use either store: changes that a service made at the destination are kept, and a session
/// that was ended in one store is ended in both. Run it, point the services to the destination, and run it again, with the
/// same journal, to copy the last writes to the source. It can be stopped at any time, and resumes where it stopped. A
/// session that is used in both stores at once may remain in one of them when it is ended in the other.
#[derive(Args)]
pub(crate) struct Migrate {
    /// The store to copy from: a URL as for `serve --store`
    #[arg(long, value_name = "URL", value_parser = UrlParser, env = "TESSERA_FROM", hide_env_values = true)]
    from: StoreUrl,
    /// The store to copy to. A SQLite file or a database's tables are created
    #[arg(long, value_name = "URL", value_parser = UrlParser, env = "TESSERA_TO", hide_env_values = true)]
    to: StoreUrl,
    /// Report what would be done, and copy nothing. A database's tables are created nevertheless
    #[arg(long)]
    dry_run: bool,
    /// The directory for the journal
    #[arg(
        long,
        value_name = "DIRECTORY",
        default_value = "./tessera-data",
        env = "TESSERA_DATA"
    )]
    data: PathBuf,
    /// The file that records the copied sessions, for the next run and for the way back [default:
    /// <data>/migration-….journal]
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
}

impl Migrate {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(Failure::during("cannot start"))?;
        runtime.block_on(self.migrate())
    }

    async fn migrate(self) -> Result<(), Failure> {
        if self.from.plain() == self.to.plain() {
            return Err(Failure::new("--from and --to are the same store"));
        }
        let mut copier = Copier {
            from: Methods(open_to_read(&self.from).await?),
            to: self.destination().await?.map(Methods),
            journal: self.journal()?,
            dry_run: self.dry_run,
        };
        let bar = progress(&copier.from).await?;
        let mut total = Tally::default();
        for pass in 1.. {
            bar.set_position(0);
            bar.set_message(format!("pass {pass}"));
            let tally = copier.pass(|rows| bar.inc(rows)).await?;
            total = Tally {
                copied: total.copied + tally.copied,
                updated: total.updated + tally.updated,
                removed: total.removed + tally.removed,
                ..tally
            };
            if self.dry_run || tally.is_settled() || pass == MOST_PASSES {
                bar.finish_and_clear();
                return self.report(&total, &tally);
            }
        }
        Ok(())
    }

    async fn destination(&self) -> Result<Option<PlainStore>, Failure> {
        let doing = format!("cannot open the store {}", self.to);
        match self.to.plain() {
            PlainUrl::Memory => Err(Failure::new(
                "a memory store lives in the server's own process: nothing can be copied to it",
            )),
            PlainUrl::Sqlite(path) if self.dry_run && !path.exists() => Ok(None),
            _ => open_plain(&self.to)
                .await
                .map(Some)
                .map_err(Failure::during(doing)),
        }
    }

    fn journal(&self) -> Result<Journal, Failure> {
        // The same in both directions: on the way back, too, it distinguishes copies from the writes of a service.
        let mut places = [self.from.plain().identity(), self.to.plain().identity()];
        places.sort();
        let places = places.join(" and ");
        let path = match &self.journal {
            Some(path) => path.clone(),
            None => {
                let digest = Sha256::digest(places.as_bytes());
                let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
                self.data.join(format!("migration-{name}.journal"))
            }
        };
        if self.dry_run {
            return Journal::look(&path, &places);
        }
        if self.journal.is_none() {
            files::make_directory(&self.data)?;
        }
        Journal::open(&path, &places)
    }

    /// Reports `total`, the sum of all passes. Only `last` shows whether every session was copied.
    fn report(&self, total: &Tally, last: &Tally) -> Result<(), Failure> {
        let would = if self.dry_run { "would be " } else { "" };
        say(&format!(
            "{would}copied {}\n{would}updated {}\n{would}ended as at the source {}\n",
            total.copied, total.updated, total.removed,
        ))?;
        if self.dry_run {
            return say(&format!(
                "at the source {}; at the destination {} already, {} changed by a service there, {} ended there\n",
                last.found, last.same, last.kept, last.ended,
            ));
        }
        say(&format!(
            "at the source {}; at the destination {} unchanged, {} changed by a service there, {} ended there\n",
            last.found, last.same, last.kept, last.ended,
        ))?;
        if last.too_large > 0 {
            return Err(Failure::new(format!(
                "{} sessions are larger than the destination accepts",
                last.too_large
            )));
        }
        if !last.agrees() {
            return Err(Failure::new(
                "the source changes faster than it is copied: run this again, now or once the services use the destination",
            ));
        }
        say("the counts agree\n")
    }
}

async fn progress(from: &PlainStore) -> Result<ProgressBar, Failure> {
    let counted = match from {
        PlainStore::Sqlite(store) => Some(store.count_live(Timestamp::now())),
        PlainStore::Sql(store) => Some(store.count_live(Timestamp::now()).await),
        _ => None,
    };
    let length = counted
        .transpose()
        .map_err(Failure::during("cannot count the sessions"))?;
    let (bar, template) = match length {
        Some(length) => (
            ProgressBar::new(length),
            "{msg} {wide_bar} {pos}/{len} {per_sec} {eta}",
        ),
        None => (ProgressBar::new_spinner(), "{msg} {spinner} {pos} {per_sec}"),
    };
    // The templates are valid; otherwise the bar keeps its default style.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    Ok(bar)
}
