//! `tessera sessions`: an operator's commands for the sessions in a store.

use std::collections::HashSet;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tessera::store::{BATCH_LIMIT, Listed, Listing, Methods, PlainStore, Row, Store as _};
use tessera::{PageRequest, SessionSummary, Timestamp};

use crate::failure::Failure;
use crate::key_ring::{KeySource, new_key};
use crate::output::{indented, say, table};
use crate::policy::{PlaceFlags, TokenFlags};
use crate::store::DataFlags;
use crate::{moment, token};

const PAGE_ROWS: u32 = BATCH_LIMIT as u32;

#[derive(Subcommand)]
pub(crate) enum Sessions {
    /// List live sessions, of one subject or of all.
    List {
        /// List only the sessions of this subject
        #[arg(long)]
        subject: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Show one session with its fields, given its public id and subject, or its token.
    Show {
        /// The subject of the session
        #[arg(long, required_unless_present = "token", requires = "public_id")]
        subject: Option<String>,
        /// The public id of the session, as shown by `list`
        #[arg(long, requires = "subject", allow_hyphen_values = true)]
        public_id: Option<String>,
        /// The token of the session; `-` reads it from standard input, which no list of processes shows
        #[arg(long, conflicts_with = "subject")]
        token: Option<String>,
        /// The key file to verify the token with
        #[arg(long, value_name = "PATH", env = "TESSERA_KEY_FILE")]
        key_file: Option<PathBuf>,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        tokens: TokenFlags,
    },
    /// End all sessions of a subject, or one of them. Running servers see this at once or, with a cache, within its
    /// max_stale_ms
    Revoke {
        /// The subject of the sessions
        #[arg(long)]
        subject: String,
        /// End only the session with this public id
        #[arg(long, allow_hyphen_values = true)]
        public_id: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Count the sessions.
    Count {
        #[command(flatten)]
        place: Place,
    },
}

/// The store of the sessions.
#[derive(Args, Clone)]
pub(crate) struct Place {
    #[command(flatten)]
    pub(crate) data: DataFlags,
    #[command(flatten)]
    place: PlaceFlags,
}

impl Sessions {
    pub(crate) fn run(self) -> Result<(), Failure> {
        complete(self.answer())
    }

    async fn answer(self) -> Result<(), Failure> {
        match self {
            Self::List { place, subject: None } => list_all(&place).await,
            Self::List {
                place,
                subject: Some(subject),
            } => list(place, &subject).await,
            Self::Show {
                place,
                token: Some(token),
                key_file,
                tokens,
                ..
            } => show_by_token(place, token, key_file, tokens).await,
            Self::Show {
                place,
                subject,
                public_id,
                ..
            } => show(&place, subject.as_deref(), public_id.as_deref()).await,
            Self::Revoke {
                place,
                subject,
                public_id,
            } => revoke(place, &subject, public_id.as_deref()).await,
            Self::Count { place } => count(&place).await,
        }
    }
}

/// Runs a command of an operator to its end.
pub(crate) fn complete(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .map_err(Failure::during("cannot start"))?
        .block_on(command)
}

/// An engine over the store, with a temporary key, because these commands neither issue nor verify tokens.
pub(crate) fn engine(place: Place, store: PlainStore) -> Result<tessera::Sessions, Failure> {
    let builder = tessera::Sessions::builder();
    let builder = place.place.apply(builder.instances(1)).key(new_key(None)?);
    builder
        .build(store)
        .map_err(Failure::during("cannot configure the engine"))
}

/// Visits every live entry of a store, until `visit` returns `false`.
async fn walk(store: &PlainStore, mut visit: impl FnMut(&Listed) -> bool) -> Result<(), Failure> {
    let (now, mut cursor) = (Timestamp::now(), String::new());
    loop {
        let page = store.list_all(now, &cursor, PAGE_ROWS).await;
        let Listing { rows, next } = page.map_err(Failure::during("cannot read the store"))?;
        if rows.iter().any(|row| !visit(row)) {
            return Ok(());
        }
        match next {
            Some(next) => cursor = next,
            None => return Ok(()),
        }
    }
}

/// The public id of the session that is stored under a key; `None` if the key is not a session's.
fn reference_of(key: &str) -> Option<String> {
    // The id is the last 22 characters, whatever the server's key prefix.
    let id = key.get(key.len().checked_sub(22)?..)?;
    URL_SAFE_NO_PAD.decode(id).ok().map(|id| token::public_id(&id))
}

fn heading() -> Vec<String> {
    ["PUBLIC ID", "SUBJECT", "LAST SEEN", "EXPIRES", "ENDS"]
        .map(str::to_owned)
        .to_vec()
}

async fn list_all(place: &Place) -> Result<(), Failure> {
    let store = place.data.open_to_read().await?;
    let mut rows = vec![heading()];
    walk(&store, |row| {
        if let Some(public_id) = reference_of(&row.key).filter(|_| !is_connection(row)) {
            let owner = row.owner.clone().unwrap_or_else(|| "-".into());
            let moments = [row.touched_at, row.expires_at, row.ends_at].map(moment::show);
            rows.push([public_id, owner].into_iter().chain(moments).collect());
        }
        true
    })
    .await?;
    say(&table(&rows))
}

async fn list(place: Place, subject: &str) -> Result<(), Failure> {
    let store = place.data.open_to_read().await?;
    let sessions = engine(place, store)?;
    let row = |session: &SessionSummary| {
        let moments = [session.last_seen_at, session.expires_at, session.ends_at].map(moment::show);
        [session.public_id.clone(), subject.to_owned()]
            .into_iter()
            .chain(moments)
            .collect()
    };
    let (mut rows, mut cursor) = (vec![heading()], None);
    loop {
        let page = sessions
            .list(
                subject,
                PageRequest {
                    cursor: cursor.as_deref(),
                    current: None,
                },
            )
            .await;
        let page = page.map_err(Failure::during("cannot list the sessions"))?;
        rows.extend(page.items.iter().map(row));
        cursor = page.next;
        if cursor.is_none() {
            return say(&table(&rows));
        }
    }
}

async fn show(place: &Place, subject: Option<&str>, public_id: Option<&str>) -> Result<(), Failure> {
    let store = Methods(place.data.open_to_read().await?);
    let row = row_of(&store, subject.unwrap_or_default(), public_id).await?;
    let row = row.ok_or_else(|| Failure::new("no such session"))?;
    // A listing includes only values up to a certain size.
    let entry = store
        .get(Timestamp::now(), &row.key, true)
        .await
        .map_err(Failure::during("cannot read the session"))?;
    // serde's own message may quote the record.
    let record: StoredRecord =
        serde_json::from_str(&entry.value).map_err(|_| Failure::new("the stored record cannot be read"))?;
    let at = |at: Option<u64>| at.map(|at| moment::show(Timestamp::from_millis(at)));
    print_session(&Shown {
        public_id,
        subject,
        created: at(record.created),
        authenticated: at(record.authenticated),
        last_seen: Some(moment::show(row.touched_at)),
        expires: moment::show(row.expires_at),
        ends: at(record.ends),
        fields: record.fields,
    })
}

/// The displayed parts of a record. The fields remain JSON text, because JSON numbers may exceed Rust's.
#[derive(Deserialize)]
struct StoredRecord {
    created: Option<u64>,
    authenticated: Option<u64>,
    ends: Option<u64>,
    fields: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct Shown<'a> {
    public_id: Option<&'a str>,
    subject: Option<&'a str>,
    created: Option<String>,
    authenticated: Option<String>,
    #[serde(rename = "last seen", skip_serializing_if = "Option::is_none")]
    last_seen: Option<String>,
    expires: String,
    ends: Option<String>,
    fields: Option<Box<RawValue>>,
}

/// The subject's row with this public id.
async fn row_of(
    store: &Methods<PlainStore>,
    subject: &str,
    public_id: Option<&str>,
) -> Result<Option<Row>, Failure> {
    let (now, mut cursor) = (Timestamp::now(), String::new());
    loop {
        let page = store.list_owned(now, subject, &cursor, PAGE_ROWS).await;
        let page = page.map_err(Failure::during("cannot read the store"))?;
        let mut rows = page.rows.into_iter();
        if let Some(row) = rows.find(|row| reference_of(&row.key).as_deref() == public_id) {
            return Ok(Some(row));
        }
        match page.next {
            Some(next) => cursor = next,
            None => return Ok(None),
        }
    }
}

async fn show_by_token(
    place: Place,
    token: String,
    key_file: Option<PathBuf>,
    tokens: TokenFlags,
) -> Result<(), Failure> {
    let token = token::read(token)?;
    let keys = KeySource::choose(key_file, place.data.directory())?.read()?;
    let store = place.data.open_to_read().await?;
    let builder = tessera::Sessions::builder();
    let builder = tokens.apply(place.place.apply(builder.instances(1)));
    let builder = keys
        .to_keys()
        .into_iter()
        .fold(builder, |builder, key| builder.key(key));
    let sessions = builder
        .build(store)
        .map_err(Failure::during("cannot configure the engine"))?;
    let session = sessions
        .open(&token)
        .await
        .map_err(Failure::during("cannot open the session"))?;
    let doing = || "cannot read the session".to_owned();
    let details = session.details().map_err(Failure::during(doing()))?;
    let fields = session.entries_json().map_err(Failure::during(doing()))?;
    print_session(&Shown {
        public_id: Some(&details.public_id),
        subject: details.subject.as_deref(),
        created: Some(moment::show(details.created_at)),
        authenticated: details.authenticated_at.map(moment::show),
        last_seen: None,
        expires: moment::show(details.expires_at),
        ends: Some(moment::show(details.ends_at)),
        fields: Some(RawValue::from_string(fields).map_err(Failure::during(doing()))?),
    })
}

fn print_session(session: &Shown<'_>) -> Result<(), Failure> {
    let text = serde_json::to_string(session).map_err(Failure::during("cannot write the session"))?;
    say(&format!("{}\n", indented(&text)))
}

async fn revoke(place: Place, subject: &str, public_id: Option<&str>) -> Result<(), Failure> {
    let store = place.data.open_shared().await?;
    let sessions = engine(place, store)?;
    let doing = "cannot end the sessions";
    let Some(public_id) = public_id else {
        let ended = sessions
            .revoke_all(subject)
            .await
            .map_err(Failure::during(doing))?;
        return say(&format!("ended {ended}\n"));
    };
    match sessions
        .revoke(subject, public_id)
        .await
        .map_err(Failure::during(doing))?
    {
        true => say("ended 1\n"),
        false => Err(Failure::new("no such session")),
    }
}

async fn count(place: &Place) -> Result<(), Failure> {
    let store = place.data.open_to_read().await?;
    let doing = "cannot count the sessions";
    // Redis lists some entries twice.
    let lists_twice = !matches!(store, PlainStore::Sqlite(_) | PlainStore::Sql(_));
    let (mut seen, mut live, mut connections) = (HashSet::new(), 0_u64, 0_u64);
    walk(&store, |row| {
        if !lists_twice || seen.insert(row.key.clone()) {
            *(if is_connection(row) {
                &mut connections
            } else {
                &mut live
            }) += 1;
        }
        true
    })
    .await?;
    let mut text = format!("live {live}\n");
    if connections > 0 {
        text.push_str(&format!("connections {connections}\n"));
    }
    let held = match &store {
        PlainStore::Sqlite(store) => store.len(),
        PlainStore::Sql(store) => store.count().await,
        // Redis removes expired entries by itself, and does not report how many are left.
        _ => return say(&text),
    };
    let held = held.map_err(Failure::during(doing))?;
    let expired = held.saturating_sub(live + connections);
    text.push_str(&format!("expired, not swept yet {expired}\n"));
    say(&text)
}

/// Whether an entry is one of the registry of connections, which belongs to a session and not to a subject.
fn is_connection(row: &Listed) -> bool {
    let is_of_session = row
        .owner
        .as_ref()
        .is_some_and(|owner| owner.starts_with("session:"));
    let prefix = row.key.rsplit_once(':').map_or("", |(prefix, _)| prefix);
    is_of_session && prefix.ends_with("connection")
}
