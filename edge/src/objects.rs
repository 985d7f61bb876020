//! Calls and alarms of Durable Objects, and the classification of failed calls.

use std::time::Duration;

use js_sys::Promise;
use serde::de::DeserializeOwned;
use serde::{Deserialize as _, Deserializer, Serialize};
use tessera_contract::Timestamp;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use worker::{ObjectNamespace, SqlStorageValue, Storage};

use crate::store::{Cause, StoreError};
use crate::{budget, deadline};

/// The time after which a call of an overloaded object may be repeated.
const OVERLOADED_PAUSE: Duration = Duration::from_secs(1);
/// The time limit for a notification, in milliseconds.
const NOTIFIED_WITHIN_MS: u64 = 10_000;
/// The maximum length of the runtime's text in an error, in characters.
const LONGEST_REASON: usize = 200;
/// The latest alarm: 2100. The runtime refuses dates after 2189. An object that is not due at its alarm sets the next one.
const LATEST_ALARM: Timestamp = Timestamp::from_millis(4_102_444_800_000);

#[wasm_bindgen(raw_module = "./socket.js")]
extern "C" {
    /// Opens a socket to an object, and returns a promise of the response.
    #[wasm_bindgen(catch, js_name = connectSocket)]
    fn connect_socket(object: &Remote, accepted: &str) -> Result<Promise, JsValue>;
}

#[wasm_bindgen]
extern "C" {
    /// The stub of an object.
    type Remote;

    #[wasm_bindgen(method, catch)]
    fn ask(this: &Remote, question: &str) -> Result<Promise, JsValue>;

    /// Only a connection's object has it: the record of its session has changed.
    #[wasm_bindgen(method, catch)]
    fn changed(this: &Remote) -> Result<Promise, JsValue>;

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
pub(crate) fn sql_moment(at: Timestamp) -> SqlStorageValue {
    SqlStorageValue::Float(at.as_millis() as f64)
}

/// Reads such a time, for serde's attribute `deserialize_with`.
pub(crate) fn read_moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let millis = f64::deserialize(deserializer)?;
    Ok(Timestamp::from_millis(millis as u64))
}

/// A failed call of an object.
pub(crate) struct Failure {
    is_overloaded: bool,
    message: String,
}

impl Failure {
    /// The object did not answer in time.
    pub(crate) fn late() -> Self {
        failed("a Durable Object did not answer in time")
    }

    /// The error of an operation that may be repeated.
    pub(crate) fn of_read(self) -> StoreError {
        if self.is_overloaded {
            return StoreError::Throttled(OVERLOADED_PAUSE);
        }
        StoreError::Unavailable(Cause::new(self.message))
    }

    /// The error of a write that may not be repeated.
    pub(crate) fn of_write(self) -> StoreError {
        // An overloaded object has not started the operation.
        if self.is_overloaded {
            return self.of_read();
        }
        StoreError::OutcomeUnknown(Cause::new(self.message))
    }
}

fn failed(message: &str) -> Failure {
    Failure {
        is_overloaded: false,
        message: message.to_owned(),
    }
}

/// Takes one operation from the request's budget.
fn spend() -> Result<(), Failure> {
    if budget::spend() {
        return Ok(());
    }
    Err(Failure {
        is_overloaded: true,
        message: String::new(),
    })
}

fn stub(objects: &ObjectNamespace, name: &str) -> Result<Remote, Failure> {
    let stub = objects.get_by_name(name);
    Ok(stub
        .map_err(|_| failed("a Durable Object cannot be named"))?
        .into_rpc())
}

/// Sends a question to the object of this name, and returns its answer.
pub(crate) async fn ask<Q: Serialize, A: DeserializeOwned>(
    objects: &ObjectNamespace,
    name: &str,
    question: &Q,
) -> Result<A, Failure> {
    spend()?;
    #[cfg(feature = "test-routes")]
    crate::faults::before_object().await;
    let question = serde_json::to_string(question).map_err(|_| failed("a request cannot be encoded"))?;
    let remote = stub(objects, name)?;
    let answer = async { JsFuture::from(remote.ask(&question)?).await };
    let answer = answer.await.map_err(|error| read_failure(&error))?;
    let answer = answer
        .as_string()
        .ok_or_else(|| failed("a Durable Object's answer is not a text"))?;
    serde_json::from_str(&answer).map_err(|_| failed("a Durable Object's answer cannot be decoded"))
}

/// Hands the socket of a handshake over to the object of a connection. `accepted` describes it.
///
/// Returns the response to the handshake, with the client's end of the socket.
pub(crate) async fn connect<A: Serialize>(
    objects: &ObjectNamespace,
    name: &str,
    accepted: &A,
) -> Result<web_sys::Response, Failure> {
    spend()?;
    #[cfg(feature = "test-routes")]
    crate::faults::before_object().await;
    let accepted = serde_json::to_string(accepted).map_err(|_| failed("a request cannot be encoded"))?;
    let remote = stub(objects, name)?;
    let response = async { JsFuture::from(connect_socket(&remote, &accepted)?).await };
    let response = response.await.map_err(|error| read_failure(&error))?;
    response
        .dyn_into()
        .map_err(|_| failed("a Durable Object's answer is no response"))
}

/// Notifies the object of a connection that the record of its session has changed. Returns whether it is still to be notified.
pub(crate) async fn notify(objects: &ObjectNamespace, name: &str) -> Result<bool, Failure> {
    #[cfg(feature = "test-routes")]
    crate::faults::before_object().await;
    #[cfg(feature = "test-routes")]
    if crate::faults::is_unnotified() {
        return Err(failed("the notification was made to fail"));
    }
    let remote = stub(objects, name)?;
    let answer = async { JsFuture::from(remote.changed()?).await };
    let answer = deadline::within(NOTIFIED_WITHIN_MS, answer).await;
    let answer = answer
        .ok_or_else(Failure::late)?
        .map_err(|error| read_failure(&error))?;
    Ok(answer.is_truthy())
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
