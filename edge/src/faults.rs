//! Storage that fails as the real one does: late, throttled, stale, or never answering.

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
    static OBJECT_QUESTIONS: Cell<u32> = const { Cell::new(0) };
    /// What KV had under a key before it was last written, and how many reads still answer that.
    static BEFORE: RefCell<HashMap<String, (Stored, u32)>> = RefCell::default();
}

/// A text with its metadata, if there was one.
pub(crate) type Stored = Option<(String, Value)>;

#[derive(Clone, Copy, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
struct Faults {
    /// So many operations never answer.
    never: u32,
    /// So many operations on KV never answer.
    never_kv: u32,
    /// Every operation takes so long, in milliseconds.
    slow_ms: u64,
    /// So many writes to KV are answered 429.
    throttled: u32,
    /// After each write, so many reads of the key by KV answer what was there before.
    stale_reads: u32,
    /// So many answers trap every instance that is told them.
    traps: u32,
    /// So many answers to writes do.
    write_traps: u32,
    /// So many passes trap, and lose their instance; what they were told is good.
    losses: u32,
    /// So many passes of calls that have asked a write do.
    write_losses: u32,
    /// So many writes never answer.
    never_write: u32,
    /// So many writes to a Durable Object fail.
    unwritable: u32,
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
    };
}

impl Default for Faults {
    fn default() -> Self {
        Self::NONE
    }
}

/// Orders faults from now on, in the place of those before.
pub(crate) fn order(body: &str) -> Result<(), serde_json::Error> {
    ORDERED.set(serde_json::from_str(body)?);
    Ok(())
}

/// Takes one of a number, if there are any left.
fn take(of: impl Fn(&mut Faults) -> &mut u32) -> bool {
    let mut faults = ORDERED.get();
    let left = of(&mut faults);
    let any = *left > 0;
    *left = left.saturating_sub(1);
    ORDERED.set(faults);
    any
}

/// A promise of JavaScript's that never settles.
async fn never() {
    let promise = Promise::new(&mut |_, _| {});
    let _ = JsFuture::from(promise).await;
}

/// Comes before each question to a Durable Object.
pub(crate) async fn before_object() {
    OBJECT_QUESTIONS.set(OBJECT_QUESTIONS.get() + 1);
    before_operation().await;
}

/// How many there were.
pub(crate) fn object_questions() -> u32 {
    OBJECT_QUESTIONS.get()
}

/// Comes before each operation on KV.
pub(crate) async fn before_kv() {
    if take(|faults| &mut faults.never_kv) {
        never().await;
    }
    before_operation().await;
}

/// Comes before each operation on storage.
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

/// How many writes to KV there were.
pub(crate) fn kv_writes() -> u32 {
    KV_WRITES.get()
}

/// Counts a write to KV; answers whether it is refused with 429.
pub(crate) fn is_throttled() -> bool {
    KV_WRITES.set(KV_WRITES.get() + 1);
    take(|faults| &mut faults.throttled)
}

/// Whether this pass loses its instance.
pub(crate) fn loses(has_written: bool) -> bool {
    take(|faults| &mut faults.losses) || (has_written && take(|faults| &mut faults.write_losses))
}

/// Whether this answer traps the component.
pub(crate) fn traps(is_of_write: bool) -> bool {
    take(|faults| &mut faults.traps) || (is_of_write && take(|faults| &mut faults.write_traps))
}

/// Comes before a question is asked.
pub(crate) async fn before_question(is_write: bool) {
    if is_write && take(|faults| &mut faults.never_write) {
        never().await;
    }
}

/// Whether what KV has before a write is to be kept.
pub(crate) fn is_stale() -> bool {
    ORDERED.get().stale_reads > 0
}

/// Keeps what KV had before a write.
pub(crate) fn keep(key: &str, before: Stored) {
    // A record's id is drawn for it: nobody has asked for it before, so that nowhere is known that there was none.
    if before.is_none() && key.contains("r:") {
        return;
    }
    let reads = ORDERED.get().stale_reads;
    BEFORE.with_borrow_mut(|all| {
        // What is stale stays so when it is written again.
        if all.get(key).is_none_or(|(_, reads)| *reads == 0) {
            all.insert(key.to_owned(), (before, reads));
        }
    });
}

/// KV shows what it has from now on.
pub(crate) fn settle() {
    BEFORE.take();
}

/// What KV answers instead of what it has.
pub(crate) fn stale(key: &str) -> Option<Stored> {
    BEFORE.with_borrow_mut(|all| {
        let (before, reads) = all.get_mut(key).filter(|(_, reads)| *reads > 0)?;
        *reads -= 1;
        Some(before.clone())
    })
}
