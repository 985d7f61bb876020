//! Questions to a store and their answers, as the Worker's texts of JSON have them.

use std::time::Duration;

use serde_json::{Value, json};
use tessera::Timestamp;
use tessera::store::{
    Capabilities, Cause, Condition, Deletion, Entry, Expected, Page, Placement, Row, StoreError, StoreOp,
    StoreReply,
};

/// Numbers of 64 bits are texts there.
fn number(number: u64) -> Value {
    Value::from(number.to_string())
}

pub(super) fn moment(at: Timestamp) -> Value {
    number(at.as_millis())
}

fn read_number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn read_moment(value: &Value) -> Option<Timestamp> {
    read_number(value).map(Timestamp::from_millis)
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().map(str::to_owned)
}

fn texts(value: &Value, name: &str) -> Option<Vec<String>> {
    let list = value.get(name)?.as_array()?;
    list.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

pub(super) fn placement(at: &Placement) -> Value {
    json!({
        "owner": at.owner,
        "previousOwner": at.previous_owner,
        "guard": at.guard.map(number),
        "expiresAt": moment(at.expires_at),
        "endsAt": moment(at.ends_at),
    })
}

fn read_placement(value: &Value) -> Option<Placement> {
    Some(Placement {
        owner: text(value, "owner"),
        previous_owner: text(value, "previousOwner"),
        guard: read_optional(value, "guard")?,
        expires_at: read_moment(value.get("expiresAt")?)?,
        ends_at: read_moment(value.get("endsAt")?)?,
    })
}

/// A number that may be left out; `None` if it is there and none can be read.
fn read_optional(value: &Value, name: &str) -> Option<Option<u64>> {
    match value.get(name) {
        None | Some(Value::Null) => Some(None),
        Some(found) => read_number(found).map(Some),
    }
}

pub(super) fn expected(expected: Expected) -> Value {
    match expected {
        Expected::Version(version) => json!({"tag": "version", "val": number(version)}),
        Expected::Guard(guard) => json!({"tag": "guard", "val": number(guard)}),
    }
}

fn read_expected(value: &Value) -> Option<Expected> {
    let number = read_number(value.get("val")?)?;
    match value.get("tag")?.as_str()? {
        "version" => Some(Expected::Version(number)),
        "guard" => Some(Expected::Guard(number)),
        _ => None,
    }
}

pub(super) fn condition(condition: &Condition) -> Value {
    match condition {
        Condition::Owner(owner) => json!({"tag": "owner", "val": owner}),
        Condition::Guard(guard) => json!({"tag": "guard", "val": number(*guard)}),
    }
}

fn read_condition(value: &Value) -> Option<Condition> {
    match value.get("tag")?.as_str()? {
        "owner" => text(value, "val").map(Condition::Owner),
        "guard" => read_number(value.get("val")?).map(Condition::Guard),
        _ => None,
    }
}

pub(super) fn deletion(deletion: &Deletion) -> Value {
    json!({"key": deletion.key, "guard": deletion.guard.map(number)})
}

fn read_deletion(value: &Value) -> Option<Deletion> {
    Some(Deletion {
        key: text(value, "key")?,
        guard: read_optional(value, "guard")?,
    })
}

pub(super) fn entry(entry: &Entry) -> Value {
    json!({
        "value": &*entry.value,
        "version": number(entry.version),
        "guard": number(entry.guard),
        "expiresAt": moment(entry.expires_at),
    })
}

pub(super) fn read_entry(value: &Value) -> Option<Entry> {
    Some(Entry {
        value: value.get("value")?.as_str()?.into(),
        version: read_number(value.get("version")?)?,
        guard: read_number(value.get("guard")?)?,
        expires_at: read_moment(value.get("expiresAt")?)?,
    })
}

fn page(page: &Page) -> Value {
    let row = |row: &Row| {
        json!({
            "key": row.key,
            "version": number(row.version),
            "guard": number(row.guard),
            "touchedAt": moment(row.touched_at),
            "expiresAt": moment(row.expires_at),
            "value": row.value.as_deref(),
        })
    };
    json!({"rows": page.rows.iter().map(row).collect::<Vec<_>>(), "next": page.next})
}

pub(super) fn read_page(value: &Value) -> Option<Page> {
    let row = |row: &Value| {
        Some(Row {
            key: text(row, "key")?,
            version: read_number(row.get("version")?)?,
            guard: read_number(row.get("guard")?)?,
            touched_at: read_moment(row.get("touchedAt")?)?,
            expires_at: read_moment(row.get("expiresAt")?)?,
            value: row.get("value").and_then(Value::as_str).map(Into::into),
        })
    };
    let rows: Option<Vec<Row>> = value.get("rows")?.as_array()?.iter().map(row).collect();
    Some(Page {
        rows: rows?,
        next: text(value, "next"),
    })
}

pub(super) fn read_version(value: &Value) -> Option<u64> {
    read_number(value)
}

fn error(error: &StoreError) -> Value {
    match error {
        StoreError::Missing => json!({"tag": "missing"}),
        StoreError::Stale => json!({"tag": "stale"}),
        StoreError::TooLarge => json!({"tag": "too-large"}),
        StoreError::Full => json!({"tag": "full"}),
        StoreError::Throttled(pause) => json!({"tag": "throttled", "val": pause.as_millis().to_string()}),
        StoreError::Unsupported => json!({"tag": "unsupported"}),
        StoreError::MalformedCursor => json!({"tag": "malformed-cursor"}),
        StoreError::Corrupt => json!({"tag": "corrupt"}),
        StoreError::OutcomeUnknown(_) => json!({"tag": "outcome-unknown"}),
        StoreError::Unavailable(cause) => json!({"tag": "unavailable", "val": cause.to_string()}),
        StoreError::Other(_) => json!({"tag": "other", "val": error.to_string()}),
    }
}

fn read_error(value: &Value) -> StoreError {
    let said = text(value, "val").unwrap_or_default();
    let pause = || Duration::from_millis(said.parse().unwrap_or(0));
    match value.get("tag").and_then(Value::as_str).unwrap_or_default() {
        "missing" => StoreError::Missing,
        "stale" => StoreError::Stale,
        "too-large" => StoreError::TooLarge,
        "full" => StoreError::Full,
        "throttled" => StoreError::Throttled(pause()),
        "unsupported" => StoreError::Unsupported,
        "malformed-cursor" => StoreError::MalformedCursor,
        "corrupt" => StoreError::Corrupt,
        "outcome-unknown" => StoreError::OutcomeUnknown(Cause::new("as the Worker says")),
        "unavailable" => StoreError::Unavailable(Cause::new(said)),
        _ => StoreError::Other(Cause::new(said)),
    }
}

fn result<T>(reply: Result<&T, &StoreError>, show: impl FnOnce(&T) -> Value) -> Value
where
    T: ?Sized,
{
    match reply {
        Ok(value) => json!({"tag": "ok", "val": show(value)}),
        Err(failed) => json!({"tag": "err", "val": error(failed)}),
    }
}

/// Reads a result; what cannot be read is another failure.
pub(super) fn read_result<T>(value: &Value, read: impl FnOnce(&Value) -> Option<T>) -> Result<T, StoreError> {
    let val = value.get("val").unwrap_or(&Value::Null);
    match value.get("tag").and_then(Value::as_str) {
        Some("ok") => read(val).ok_or_else(|| StoreError::Other(Cause::new("an answer cannot be read"))),
        _ => Err(read_error(val)),
    }
}

pub(super) fn read_entries(value: &Value) -> Option<Vec<Result<Entry, StoreError>>> {
    Some(
        value
            .as_array()?
            .iter()
            .map(|one| read_result(one, read_entry))
            .collect(),
    )
}

/// What a store promises, by the names that the Worker has.
pub(crate) fn capabilities(store: &Capabilities) -> Value {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    json!({
        "compareAndSwap": store.compare_and_swap,
        "listByOwner": store.list_by_owner,
        "acknowledgedWritesSurviveFailover": store.acknowledged_writes_survive_failover,
        "maximumStalenessMs": millis(store.maximum_staleness),
        "indexStalenessMs": millis(store.index_staleness),
        "minimumTtlMs": millis(store.minimum_ttl),
        "expiryResolutionMs": millis(store.expiry_resolution),
        "minimumWriteIntervalMs": millis(store.minimum_write_interval),
        "maximumKeyBytes": store.maximum_key_bytes,
        "maximumOwnerBytes": store.maximum_owner_bytes,
        "maximumValueBytes": store.maximum_value_bytes,
    })
}

pub(super) fn read_capabilities(value: &Value) -> Option<Capabilities> {
    let flag = |name: &str| value.get(name)?.as_bool();
    let millis = |name: &str| read_number(value.get(name)?).map(Duration::from_millis);
    let bytes = |name: &str| u32::try_from(read_number(value.get(name)?)?).ok();
    Some(Capabilities {
        compare_and_swap: flag("compareAndSwap")?,
        list_by_owner: flag("listByOwner")?,
        acknowledged_writes_survive_failover: flag("acknowledgedWritesSurviveFailover")?,
        maximum_staleness: millis("maximumStalenessMs")?,
        index_staleness: millis("indexStalenessMs")?,
        minimum_ttl: millis("minimumTtlMs")?,
        expiry_resolution: millis("expiryResolutionMs")?,
        minimum_write_interval: millis("minimumWriteIntervalMs")?,
        maximum_key_bytes: bytes("maximumKeyBytes")?,
        maximum_owner_bytes: bytes("maximumOwnerBytes")?,
        maximum_value_bytes: bytes("maximumValueBytes")?,
    })
}

/// Reads what an engine in a Worker has asked of its store; `None` if that is no operation.
pub(crate) fn read_op(asked: &Value) -> Option<StoreOp> {
    let key = text(asked, "key");
    let owner = text(asked, "owner");
    Some(match asked.get("operation")?.as_str()? {
        "get" => StoreOp::Get {
            key: key?.into(),
            fresh: asked.get("fresh")?.as_bool()?,
        },
        "get-many" => StoreOp::GetMany {
            keys: texts(asked, "keys")?,
        },
        "insert" => StoreOp::Insert {
            key: key?,
            value: text(asked, "value")?,
            at: read_placement(asked.get("at")?)?,
        },
        "replace" => StoreOp::Replace {
            key: key?,
            value: text(asked, "value")?,
            expected: read_expected(asked.get("expected")?)?,
            at: read_placement(asked.get("at")?)?,
        },
        "touch" => StoreOp::Touch {
            key: key?,
            owner,
            expires_at: read_moment(asked.get("expiresAt")?)?,
        },
        "delete" => StoreOp::Delete {
            key: key?,
            condition: read_condition(asked.get("while")?)?,
        },
        "delete-many" => {
            let listed = asked.get("deletions")?.as_array()?;
            StoreOp::DeleteMany {
                deletions: listed.iter().map(read_deletion).collect::<Option<_>>()?,
                owner: owner?,
            }
        }
        "list-owned" => StoreOp::ListOwned {
            owner: owner?,
            cursor: text(asked, "cursor")?,
            limit: u32::try_from(asked.get("limit")?.as_u64()?).ok()?,
        },
        _ => return None,
    })
}

/// A reply of a store, as the Worker is told it.
pub(crate) fn reply(reply: &StoreReply) -> Value {
    match reply {
        StoreReply::Entry(found) => result(found.as_ref(), entry),
        StoreReply::Entries(found) => result(found.as_ref(), |found| {
            found.iter().map(|one| result(one.as_ref(), entry)).collect()
        }),
        StoreReply::Version(version) => result(version.as_ref(), |version| number(*version)),
        StoreReply::Done(done) => result(done.as_ref(), |()| Value::Null),
        StoreReply::WasThere(was_there) => result(was_there.as_ref(), |was_there| Value::from(*was_there)),
        StoreReply::Count(count) => result(count.as_ref(), |count| Value::from(*count)),
        StoreReply::Page(listed) => result(listed.as_ref(), |listed| page(listed)),
    }
}
