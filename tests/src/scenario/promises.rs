//! What a store promises in a scenario, with WIT's names.

use serde_json::{Map, Value};
use tessera::store::{Capabilities, StoreService};

use crate::adapter::args::{as_milliseconds, as_small_number};
use crate::stores::Scripted;

/// Returns the same store with these changes to its capabilities.
pub(super) fn promise<S: StoreService>(
    store: &Scripted<S>,
    changes: &Map<String, Value>,
) -> Result<Scripted<S>, String> {
    let mut store = store.clone();
    for (name, value) in changes {
        store = match name.as_str() {
            "rows-bring-values" if value == false => store.without_values_in_rows(),
            "page-size" => store.with_page_size(as_small_number(name, value)?),
            _ => {
                let mut outcome = Ok(());
                let promising = store.promising(|promised| outcome = change(promised, name, value));
                outcome?;
                promising
            }
        }
    }
    Ok(store)
}

fn change(promised: &mut Capabilities, name: &str, value: &Value) -> Result<(), String> {
    let boolean = || {
        value
            .as_bool()
            .ok_or_else(|| format!("{name:?} is not true or false: {value}"))
    };
    match name {
        "compare-and-swap" => promised.compare_and_swap = boolean()?,
        "list-by-owner" => promised.list_by_owner = boolean()?,
        "acknowledged-writes-survive-failover" => promised.acknowledged_writes_survive_failover = boolean()?,
        "maximum-staleness-ms" => promised.maximum_staleness = as_milliseconds(name, value)?,
        "index-staleness-ms" => promised.index_staleness = as_milliseconds(name, value)?,
        "minimum-ttl-ms" => promised.minimum_ttl = as_milliseconds(name, value)?,
        "expiry-resolution-ms" => promised.expiry_resolution = as_milliseconds(name, value)?,
        "minimum-write-interval-ms" => promised.minimum_write_interval = as_milliseconds(name, value)?,
        "maximum-key-bytes" => promised.maximum_key_bytes = as_small_number(name, value)?,
        "maximum-owner-bytes" => promised.maximum_owner_bytes = as_small_number(name, value)?,
        "maximum-value-bytes" => promised.maximum_value_bytes = as_small_number(name, value)?,
        _ => return Err(format!("unknown capability {name:?}")),
    }
    Ok(())
}
