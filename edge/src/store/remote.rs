//! How a Durable Object is called and woken, and how a call of one fails.

use std::time::Duration;

use js_sys::Promise;
use serde::de::DeserializeOwned;
use serde::{Deserialize as _, Deserializer, Serialize};
use tessera_contract::Timestamp;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use worker::{ObjectNamespace, SqlStorageValue, Storage};

use super::{Cause, StoreError, record};
use crate::budget;

/// How long to leave an object alone that says it is overloaded.
const OVERLOADED_PAUSE: Duration = Duration::from_secs(1);
/// How much of the runtime's text an error has, in characters.
const LONGEST_REASON: usize = 200;
/// The latest alarm: 2100. The runtime refuses dates after 2189; what is not due when an alarm comes
/// sets the next.
const LATEST_ALARM: Timestamp = Timestamp::from_millis(4_102_444_800_000);

#[wasm_bindgen]
extern "C" {
    /// A record's or an owner's object, as seen from elsewhere.
    type Remote;

    #[wasm_bindgen(method, catch)]
    fn ask(this: &Remote, question: &str) -> Result<Promise, JsValue>;

    type Alarms;

    #[wasm_bindgen(method, catch, js_name = setAlarm)]
    fn set_alarm(this: &Alarms, at: f64) -> Result<Promise, JsValue>;
}

/// Wakes an object then. Not awaited: the runtime answers nobody before this is kept as well.
pub(crate) fn set_alarm(storage: &Storage, at: Timestamp) -> Result<(), worker::Error> {
    let alarms: &Alarms = storage.as_raw().unchecked_ref();
    let _kept = alarms.set_alarm(at.min(LATEST_ALARM).as_millis() as f64)?;
    Ok(())
}

/// A moment as an object's SQL has it: its numbers are JavaScript's.
pub(super) fn sql_moment(at: Timestamp) -> SqlStorageValue {
    SqlStorageValue::Float(at.as_millis() as f64)
}

/// Reads it, for serde's attribute `deserialize_with`.
pub(super) fn read_moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let millis = f64::deserialize(deserializer)?;
    Ok(Timestamp::from_millis(millis as u64))
}

/// Why an object did not answer.
pub(super) struct Failure {
    is_overloaded: bool,
    message: String,
}

impl Failure {
    /// Of a question that may be asked again.
    pub(super) fn of_read(self) -> StoreError {
        if self.is_overloaded {
            return StoreError::Throttled(OVERLOADED_PAUSE);
        }
        StoreError::Unavailable(Cause::new(self.message))
    }

    pub(super) fn of(self, question: &record::Question) -> StoreError {
        match question {
            record::Question::Get { .. } => self.of_read(),
            // An overloaded object has not begun.
            _ if self.is_overloaded => self.of_read(),
            _ => StoreError::OutcomeUnknown(Cause::new(self.message)),
        }
    }
}

pub(super) async fn ask<Q: Serialize, A: DeserializeOwned>(
    objects: &ObjectNamespace,
    name: &str,
    question: &Q,
) -> Result<A, Failure> {
    let failed = |message: &str| Failure {
        is_overloaded: false,
        message: message.to_owned(),
    };
    if !budget::spend() {
        return Err(Failure {
            is_overloaded: true,
            message: String::new(),
        });
    }
    #[cfg(feature = "test-routes")]
    crate::faults::before_object().await;
    let question = serde_json::to_string(question).map_err(|_| failed("a question cannot be written"))?;
    let stub = objects
        .get_by_name(name)
        .map_err(|_| failed("a Durable Object cannot be named"))?;
    let remote: Remote = stub.into_rpc();
    let answer = async { JsFuture::from(remote.ask(&question)?).await };
    let answer = answer.await.map_err(|error| read_failure(&error))?;
    let answer = answer
        .as_string()
        .ok_or_else(|| failed("a Durable Object answers no text"))?;
    serde_json::from_str(&answer)
        .map_err(|_| failed("a Durable Object answers something that cannot be read"))
}

/// Why a call failed, as the runtime says it: it knows an object by a hash of its name.
fn read_failure(error: &JsValue) -> Failure {
    let property = |name: &str| js_sys::Reflect::get(error, &name.into()).ok();
    let is = |name: &str| property(name).is_some_and(|value| value.is_truthy());
    let mut message = "a Durable Object failed".to_owned();
    if let Some(reason) = property("message").and_then(|reason| reason.as_string()) {
        message.push_str(": ");
        message.extend(reason.chars().take(LONGEST_REASON));
    }
    if is("retryable") {
        message.push_str("; it may work again");
    }
    Failure {
        is_overloaded: is("overloaded"),
        message,
    }
}
