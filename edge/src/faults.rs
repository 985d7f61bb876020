//! Injected faults of storage: slow, throttled, stale or missing replies, and traps of the component.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use js_sys::Promise;
use serde::Deserialize;
use serde_json::Value;
use wasm_bindgen_futures::JsFuture;
use worker::Delay;

thread_local! {
    static ORDERED: Cell<Faults> = const { Cell::new(Faults::NONE) };
    static KV_WRITES: Cell<u32> = const { Cell::new(0) };
    static CONNECTION_ALARMS: Cell<u32> = const { Cell::new(0) };
    static CONNECTIONS_MADE: Cell<u32> = const { Cell::new(0) };
    static OBJECT_QUESTIONS: Cell<u32> = const { Cell::new(0) };
    /// The previous entry of each written key of KV, and the number of reads that still return it.
    static BEFORE: RefCell<HashMap<String, (Stored, u32)>> = RefCell::default();
}

/// A text with its metadata, if the key is present.
pub(crate) type Stored = Option<(String, Value)>;

#[derive(Clone, Copy, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
struct Faults {
    /// The number of operations that never complete.
    never: u32,
    /// The number of operations on KV that never complete.
    never_kv: u32,
    /// The additional duration of every operation, in milliseconds.
    slow_ms: u64,
    /// The number of writes to KV that fail with 429.
    throttled: u32,
    /// The number of reads of a key from KV that return the previous entry after a write.
    stale_reads: u32,
    /// The number of replies that trap every instance that receives them.
    traps: u32,
    /// The number of replies to writes that do the same.
    write_traps: u32,
    /// The number of passes that trap and lose their instance. Their replies are valid.
    losses: u32,
    /// The number of passes that do the same in calls that have sent a write.
    write_losses: u32,
    /// The number of writes that never complete.
    never_write: u32,
    /// The number of writes to a Durable Object that fail.
    unwritable: u32,
    /// The number of notifications of connections that fail.
    unnotified: u32,
}

impl Faults {
    const NONE: Self = Self {
        never: 0,
        never_kv: 0,
        slow_ms: 0,
        throttled: 0,
        stale_reads: 0,
        traps: 0,
        write_traps: 0,
        losses: 0,
        write_losses: 0,
        never_write: 0,
        unwritable: 0,
        unnotified: 0,
    };
}

impl Default for Faults {
    fn default() -> Self {
        Self::NONE
    }
}

/// Replaces the injected faults with those in `body` (JSON).
pub(crate) fn order(body: &str) -> Result<(), serde_json::Error> {
    ORDERED.set(serde_json::from_str(body)?);
    Ok(())
}

/// Decrements a counter. Returns whether it was above 0.
fn take(of: impl Fn(&mut Faults) -> &mut u32) -> bool {
    let mut faults = ORDERED.get();
    let left = of(&mut faults);
    let any = *left > 0;
    *left = left.saturating_sub(1);
    ORDERED.set(faults);
    any
}

/// Awaits a JavaScript promise that never settles.
async fn never() {
    let promise = Promise::new(&mut |_, _| {});
    let _ = JsFuture::from(promise).await;
}

/// Runs before each call of a Durable Object.
pub(crate) async fn before_object() {
    OBJECT_QUESTIONS.set(OBJECT_QUESTIONS.get() + 1);
    before_operation().await;
}

/// The number of calls of Durable Objects so far.
pub(crate) fn object_questions() -> u32 {
    OBJECT_QUESTIONS.get()
}

/// Runs before each operation on KV.
pub(crate) async fn before_kv() {
    if take(|faults| &mut faults.never_kv) {
        never().await;
    }
    before_operation().await;
}

/// Runs before each operation on storage.
async fn before_operation() {
    if take(|faults| &mut faults.never) {
        never().await;
    }
    let slow_ms = ORDERED.get().slow_ms;
    if slow_ms > 0 {
        Delay::from(Duration::from_millis(slow_ms)).await;
    }
}

/// Whether this write to a Durable Object fails.
pub(crate) fn is_unwritable() -> bool {
    take(|faults| &mut faults.unwritable)
}

/// Whether this notification of a connection fails.
pub(crate) fn is_unnotified() -> bool {
    take(|faults| &mut faults.unnotified)
}

/// Counts a connection's object that the runtime has created, or has created again.
pub(crate) fn connection_made() {
    CONNECTIONS_MADE.set(CONNECTIONS_MADE.get() + 1);
}

/// The number of these so far.
pub(crate) fn connections_made() -> u32 {
    CONNECTIONS_MADE.get()
}

/// Counts an alarm of a connection's object.
pub(crate) fn connection_alarm() {
    CONNECTION_ALARMS.set(CONNECTION_ALARMS.get() + 1);
}

/// The number of these so far.
pub(crate) fn connection_alarms() -> u32 {
    CONNECTION_ALARMS.get()
}

/// The number of writes to KV so far.
pub(crate) fn kv_writes() -> u32 {
    KV_WRITES.get()
}

/// Counts a write to KV. Returns whether it fails with 429.
pub(crate) fn is_throttled() -> bool {
    KV_WRITES.set(KV_WRITES.get() + 1);
    take(|faults| &mut faults.throttled)
}

/// Whether this pass loses its instance.
pub(crate) fn loses(has_written: bool) -> bool {
    take(|faults| &mut faults.losses) || (has_written && take(|faults| &mut faults.write_losses))
}

/// Whether this reply traps the component.
pub(crate) fn traps(is_of_write: bool) -> bool {
    take(|faults| &mut faults.traps) || (is_of_write && take(|faults| &mut faults.write_traps))
}

/// Runs before each operation of a logical call on the store.
pub(crate) async fn before_question(is_write: bool) {
    if is_write && take(|faults| &mut faults.never_write) {
        never().await;
    }
}

/// Whether the previous entry of a written key must be kept.
pub(crate) fn is_stale() -> bool {
    ORDERED.get().stale_reads > 0
}

/// Keeps the previous entry of a key before a write.
pub(crate) fn keep(key: &str, before: Stored) {
    // A record's id is random, so no location can have cached the absence of its key.
    if before.is_none() && key.contains("r:") {
        return;
    }
    let reads = ORDERED.get().stale_reads;
    BEFORE.with_borrow_mut(|all| {
        // An entry that is still stale stays so when it is written again.
        if all.get(key).is_none_or(|(_, reads)| *reads == 0) {
            all.insert(key.to_owned(), (before, reads));
        }
    });
}

/// Ends all staleness of KV.
pub(crate) fn settle() {
    BEFORE.take();
}

/// Returns the stale entry of a key, if KV must return one instead of the present entry.
pub(crate) fn stale(key: &str) -> Option<Stored> {
    BEFORE.with_borrow_mut(|all| {
        let (before, reads) = all.get_mut(key).filter(|(_, reads)| *reads > 0)?;
        *reads -= 1;
        Some(before.clone())
    })
}
