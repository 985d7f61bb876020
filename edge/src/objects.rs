//! Calls and alarms of Durable Objects, and the classification of failed calls.

use std::time::Duration;

use js_sys::Promise;
use serde::de::DeserializeOwned;
use serde::{Deserialize as _, Deserializer, Serialize};
use tessera_contract::Timestamp;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use worker::{ObjectNamespace, SqlStorageValue, Storage};

use super::record_protocol;
use crate::budget;
use crate::store::{Cause, StoreError};

/// The time after which a call of an overloaded object may be repeated.
const OVERLOADED_PAUSE: Duration = Duration::from_secs(1);
/// The maximum length of the runtime's text in an error, in characters.
const LONGEST_REASON: usize = 200;
/// The latest alarm: 2100. The runtime refuses dates after 2189. An object that is not due at its alarm sets the next one.
const LATEST_ALARM: Timestamp = Timestamp::from_millis(4_102_444_800_000);

#[wasm_bindgen]
extern "C" {
    /// The stub of a record's or an owner's object.
    type Remote;

    #[wasm_bindgen(method, catch)]
    fn ask(this: &Remote, question: &str) -> Result<Promise, JsValue>;

    type Alarms;

    #[wasm_bindgen(method, catch, js_name = setAlarm)]
    fn set_alarm(this: &Alarms, at: f64) -> Result<Promise, JsValue>;
}

/// Sets the alarm of an object. Not awaited: the runtime sends no answer before the alarm is stored.
pub(crate) fn set_alarm(storage: &Storage, at: Timestamp) -> Result<(), worker::Error> {
    let alarms: &Alarms = storage.as_raw().unchecked_ref();
    let _kept = alarms.set_alarm(at.min(LATEST_ALARM).as_millis() as f64)?;
    Ok(())
}

/// A time as an SQL value of an object. Its numbers are JavaScript's.
pub(super) fn sql_moment(at: Timestamp) -> SqlStorageValue {
    SqlStorageValue::Float(at.as_millis() as f64)
}

/// Reads such a time, for serde's attribute `deserialize_with`.
pub(super) fn read_moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let millis = f64::deserialize(deserializer)?;
    Ok(Timestamp::from_millis(millis as u64))
}

/// A failed call of an object.
pub(super) struct Failure {
    is_overloaded: bool,
    message: String,
}

impl Failure {
    /// The error of an operation that may be repeated.
    pub(super) fn of_read(self) -> StoreError {
        if self.is_overloaded {
            return StoreError::Throttled(OVERLOADED_PAUSE);
        }
        StoreError::Unavailable(Cause::new(self.message))
    }

    pub(super) fn of(self, question: &record_protocol::Request) -> StoreError {
        match question {
            record_protocol::Request::Get { .. } => self.of_read(),
            // An overloaded object has not started the operation.
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
    let question = serde_json::to_string(question).map_err(|_| failed("a request cannot be encoded"))?;
    let stub = objects
        .get_by_name(name)
        .map_err(|_| failed("a Durable Object cannot be named"))?;
    let remote: Remote = stub.into_rpc();
    let answer = async { JsFuture::from(remote.ask(&question)?).await };
    let answer = answer.await.map_err(|error| read_failure(&error))?;
    let answer = answer
        .as_string()
        .ok_or_else(|| failed("a Durable Object's answer is not a text"))?;
    serde_json::from_str(&answer).map_err(|_| failed("a Durable Object's answer cannot be decoded"))
}

/// Reads the runtime's error. Its text identifies an object only by a hash of its name.
fn read_failure(error: &JsValue) -> Failure {
    let property = |name: &str| js_sys::Reflect::get(error, &name.into()).ok();
    let is = |name: &str| property(name).is_some_and(|value| value.is_truthy());
    let mut message = "a Durable Object failed".to_owned();
    if let Some(reason) = property("message").and_then(|reason| reason.as_string()) {
        message.push_str(": ");
        message.extend(reason.chars().take(LONGEST_REASON));
    }
    if is("retryable") {
        message.push_str("; the call may be retried");
    }
    Failure {
        is_overloaded: is("overloaded"),
        message,
    }
}
