//! The imports of the component: each returns the next logged answer, or makes a new request.

use std::sync::Arc;

use wasmtime::component::{ComponentType, Lift, Linker, Lower};
use wasmtime::{Result, StoreContextMut, StoreLimits};

use super::replay_log::{Failure, ReplayLog, Sources};
use crate::store::{self, StoreError};
use tessera_contract::store::{StoreOp, StoreReply};
use tessera_contract::{Timestamp, millis};

/// The data of an instance's imports.
pub(crate) struct HostState {
    pub(crate) sources: Sources,
    pub(crate) limits: StoreLimits,
    /// The log of the current logical call; `None` in a call that needs no store.
    pub(crate) log: Option<ReplayLog>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct Entry {
    value: Arc<str>,
    version: u64,
    guard: u64,
    #[component(name = "expires-at")]
    expires_at: u64,
}

impl From<store::Entry> for Entry {
    fn from(entry: store::Entry) -> Self {
        let store::Entry {
            value,
            version,
            guard,
            expires_at,
        } = entry;
        Self {
            value,
            version,
            guard,
            expires_at: expires_at.as_millis(),
        }
    }
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct Placement {
    owner: Option<String>,
    #[component(name = "previous-owner")]
    previous_owner: Option<String>,
    guard: Option<u64>,
    #[component(name = "expires-at")]
    expires_at: u64,
    #[component(name = "ends-at")]
    ends_at: u64,
}

impl From<Placement> for store::Placement {
    fn from(at: Placement) -> Self {
        let Placement {
            owner,
            previous_owner,
            guard,
            expires_at,
            ends_at,
        } = at;
        let (expires_at, ends_at) = (
            Timestamp::from_millis(expires_at),
            Timestamp::from_millis(ends_at),
        );
        Self {
            owner,
            previous_owner,
            guard,
            expires_at,
            ends_at,
        }
    }
}

#[derive(ComponentType, Lift)]
#[component(variant)]
enum Expected {
    #[component(name = "version")]
    Version(u64),
    #[component(name = "guard")]
    Guard(u64),
}

impl From<Expected> for store::Expected {
    fn from(expected: Expected) -> Self {
        match expected {
            Expected::Version(version) => Self::Version(version),
            Expected::Guard(guard) => Self::Guard(guard),
        }
    }
}

#[derive(ComponentType, Lift)]
#[component(variant)]
enum Condition {
    #[component(name = "owner")]
    Owner(String),
    #[component(name = "guard")]
    Guard(u64),
}

impl From<Condition> for store::Condition {
    fn from(condition: Condition) -> Self {
        match condition {
            Condition::Owner(owner) => Self::Owner(owner),
            Condition::Guard(guard) => Self::Guard(guard),
        }
    }
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct Deletion {
    key: String,
    guard: Option<u64>,
}

impl From<Deletion> for store::Deletion {
    fn from(Deletion { key, guard }: Deletion) -> Self {
        Self { key, guard }
    }
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct Row {
    key: String,
    version: u64,
    guard: u64,
    #[component(name = "touched-at")]
    touched_at: u64,
    #[component(name = "expires-at")]
    expires_at: u64,
    value: Option<Arc<str>>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct Page {
    rows: Vec<Row>,
    next: Option<String>,
}

impl Page {
    fn new(page: &store::Page) -> Self {
        let row = |row: &store::Row| Row {
            key: row.key.clone(),
            version: row.version,
            guard: row.guard,
            touched_at: row.touched_at.as_millis(),
            expires_at: row.expires_at.as_millis(),
            value: row.value.clone(),
        };
        Self {
            rows: page.rows.iter().map(row).collect(),
            next: page.next.clone(),
        }
    }
}

#[derive(ComponentType, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "pending")]
    Pending,
    #[component(name = "missing")]
    Missing,
    #[component(name = "stale")]
    Stale,
    #[component(name = "too-large")]
    TooLarge,
    #[component(name = "full")]
    Full,
    #[component(name = "throttled")]
    Throttled(u64),
    #[component(name = "unsupported")]
    Unsupported,
    #[component(name = "malformed-cursor")]
    MalformedCursor,
    #[component(name = "corrupt")]
    Corrupt,
    #[component(name = "outcome-unknown")]
    OutcomeUnknown,
    #[component(name = "unavailable")]
    Unavailable(String),
    #[component(name = "other")]
    Other(String),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing => Self::Missing,
            StoreError::Stale => Self::Stale,
            StoreError::TooLarge => Self::TooLarge,
            StoreError::Full => Self::Full,
            StoreError::Throttled(pause) => Self::Throttled(millis(pause)),
            StoreError::Unsupported => Self::Unsupported,
            StoreError::MalformedCursor => Self::MalformedCursor,
            StoreError::Corrupt => Self::Corrupt,
            StoreError::OutcomeUnknown(_) => Self::OutcomeUnknown,
            StoreError::Unavailable(cause) => Self::Unavailable(cause.to_string()),
            StoreError::Other(cause) => Self::Other(cause.to_string()),
        }
    }
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct Capabilities {
    #[component(name = "compare-and-swap")]
    compare_and_swap: bool,
    #[component(name = "list-by-owner")]
    list_by_owner: bool,
    #[component(name = "acknowledged-writes-survive-failover")]
    acknowledged_writes_survive_failover: bool,
    #[component(name = "maximum-staleness-ms")]
    maximum_staleness_ms: u64,
    #[component(name = "index-staleness-ms")]
    index_staleness_ms: u64,
    #[component(name = "minimum-ttl-ms")]
    minimum_ttl_ms: u64,
    #[component(name = "expiry-resolution-ms")]
    expiry_resolution_ms: u64,
    #[component(name = "minimum-write-interval-ms")]
    minimum_write_interval_ms: u64,
    #[component(name = "maximum-key-bytes")]
    maximum_key_bytes: u32,
    #[component(name = "maximum-owner-bytes")]
    maximum_owner_bytes: u32,
    #[component(name = "maximum-value-bytes")]
    maximum_value_bytes: u32,
}

impl From<store::Capabilities> for Capabilities {
    fn from(store: store::Capabilities) -> Self {
        Self {
            compare_and_swap: store.compare_and_swap,
            list_by_owner: store.list_by_owner,
            acknowledged_writes_survive_failover: store.acknowledged_writes_survive_failover,
            maximum_staleness_ms: millis(store.maximum_staleness),
            index_staleness_ms: millis(store.index_staleness),
            minimum_ttl_ms: millis(store.minimum_ttl),
            expiry_resolution_ms: millis(store.expiry_resolution),
            minimum_write_interval_ms: millis(store.minimum_write_interval),
            maximum_key_bytes: store.maximum_key_bytes,
            maximum_owner_bytes: store.maximum_owner_bytes,
            maximum_value_bytes: store.maximum_value_bytes,
        }
    }
}

type Context<'a> = StoreContextMut<'a, HostState>;

/// Executes an operation on the store, and reads the reply if it is available and of the right kind.
fn ask<T>(
    context: &mut Context<'_>,
    op: StoreOp,
    read: impl FnOnce(StoreReply) -> Option<Result<T, StoreError>>,
) -> Result<(Result<T, Error>,)> {
    let HostState { sources, log, .. } = context.data_mut();
    let Some(log) = log else {
        return Err(Failure::NoLogicalCall.into());
    };
    let Some(answer) = log.ask(sources, op)? else {
        return Ok((Err(Error::Pending),));
    };
    match read(answer) {
        Some(answer) => Ok((answer.map_err(Error::from),)),
        None => Err(Failure::Diverged.into()),
    }
}

/// Links all imports of the world.
pub(crate) fn link(linker: &mut Linker<HostState>) -> Result<()> {
    link_clock_and_random(linker)?;
    let mut store = linker.instance("tessera:session/store@0.2.0")?;
    store.func_wrap("describe", |context: Context<'_>, (): ()| {
        Ok((Capabilities::from(context.data().sources.store.describe()),))
    })?;
    store.func_wrap("get", |mut context: Context<'_>, (key, fresh): (String, bool)| {
        let key = key.into();
        ask(&mut context, StoreOp::Get { key, fresh }, |answer| match answer {
            StoreReply::Entry(answer) => Some(answer.map(Entry::from)),
            _ => None,
        })
    })?;
    store.func_wrap("get-many", |mut context: Context<'_>, (keys,): (Vec<String>,)| {
        ask(&mut context, StoreOp::GetMany { keys }, |answer| match answer {
            StoreReply::Entries(answer) => Some(answer.map(|entries| {
                let entry = |entry: &Result<store::Entry, StoreError>| match entry {
                    Ok(entry) => Ok(Entry::from(entry.clone())),
                    Err(error) => Err(Error::from(error.clone())),
                };
                entries.iter().map(entry).collect::<Vec<_>>()
            })),
            _ => None,
        })
    })?;
    store.func_wrap(
        "insert",
        |mut context: Context<'_>, (key, value, at): (String, String, Placement)| {
            ask(
                &mut context,
                StoreOp::Insert {
                    key,
                    value,
                    at: at.into(),
                },
                version,
            )
        },
    )?;
    store.func_wrap(
        "replace",
        |mut context: Context<'_>, (key, value, expected, at): (String, String, Expected, Placement)| {
            ask(
                &mut context,
                StoreOp::Replace {
                    key,
                    value,
                    expected: expected.into(),
                    at: at.into(),
                },
                version,
            )
        },
    )?;
    store.func_wrap(
        "touch",
        |mut context: Context<'_>, (key, owner, until): (String, Option<String>, u64)| {
            let expires_at = Timestamp::from_millis(until);
            ask(
                &mut context,
                StoreOp::Touch {
                    key,
                    owner,
                    expires_at,
                },
                |answer| match answer {
                    StoreReply::Done(answer) => Some(answer),
                    _ => None,
                },
            )
        },
    )?;
    store.func_wrap(
        "delete",
        |mut context: Context<'_>, (key, condition): (String, Condition)| {
            let condition = condition.into();
            ask(
                &mut context,
                StoreOp::Delete { key, condition },
                |answer| match answer {
                    StoreReply::WasThere(answer) => Some(answer),
                    _ => None,
                },
            )
        },
    )?;
    store.func_wrap(
        "delete-many",
        |mut context: Context<'_>, (deletions, owner): (Vec<Deletion>, String)| {
            let deletions = deletions.into_iter().map(Into::into).collect();
            ask(
                &mut context,
                StoreOp::DeleteMany { deletions, owner },
                |answer| match answer {
                    StoreReply::Count(answer) => Some(answer),
                    _ => None,
                },
            )
        },
    )?;
    store.func_wrap(
        "list-owned",
        |mut context: Context<'_>, (owner, cursor, limit): (String, String, u32)| {
            ask(
                &mut context,
                StoreOp::ListOwned { owner, cursor, limit },
                |answer| match answer {
                    StoreReply::Page(answer) => Some(answer.map(|page| Page::new(&page))),
                    _ => None,
                },
            )
        },
    )
}

fn version(answer: StoreReply) -> Option<Result<u64, StoreError>> {
    match answer {
        StoreReply::Version(answer) => Some(answer),
        _ => None,
    }
}

fn link_clock_and_random(linker: &mut Linker<HostState>) -> Result<()> {
    linker.instance("tessera:session/clock@0.2.0")?.func_wrap(
        "now",
        |mut context: Context<'_>, (): ()| {
            let HostState { sources, log, .. } = context.data_mut();
            let now = match log {
                Some(log) => log.ask_now(sources)?,
                None => sources.clock.now(),
            };
            Ok((now.as_millis(),))
        },
    )?;
    linker.instance("tessera:session/random@0.2.0")?.func_wrap(
        "bytes",
        |mut context: Context<'_>, (count,): (u32,)| {
            let HostState { sources, log, .. } = context.data_mut();
            let bytes = match log {
                Some(log) => log.ask_random(sources, count)?,
                None => ReplayLog::default().ask_random(sources, count)?,
            };
            Ok((bytes,))
        },
    )
}
