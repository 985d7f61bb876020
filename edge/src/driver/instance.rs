//! An instance of the component with its engine. An isolate has one at a time for each driver.

use std::rc::Rc;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tessera_contract::form::FieldLimits;
use wasm_bindgen::JsValue;

use super::bindings::{self, Engine};
use super::pass::{Passed, read};
use super::wit::{self, SigningKey};
use crate::store::Capabilities;

/// The configuration of every instance.
#[derive(Clone)]
pub(crate) struct Setup {
    /// The preset whose `starting-policy` applies.
    pub(crate) preset: String,
    /// Changes to that policy, with the names of `wit/policy.wit` in camelCase.
    pub(crate) changes: Map<String, Value>,
    /// The minimum of the rotation grace, in milliseconds, if the changes do not set it.
    pub(crate) least_grace_ms: u64,
    pub(crate) keys: Vec<SigningKey>,
    pub(crate) capabilities: Capabilities,
}

const GRACE: &str = "rotationGraceMs";

/// Errors of the creation of an instance.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigureError {
    #[error("the component cannot be instantiated: {0}")]
    Instantiate(String),
    /// The error names the field or key and the reason.
    #[error("the engine refuses its configuration: {}", .0.words())]
    Refused(wit::Error),
    #[error("the engine's result cannot be read")]
    Unreadable(#[source] serde_json::Error),
}

/// An instance with its engine configured.
pub(crate) struct Instance {
    pub(crate) js: Engine,
    /// The engine's number within the instance.
    pub(crate) engine: u32,
    /// The handle of a session that was never saved.
    pub(crate) draft: Arc<str>,
    /// The policy's settings.
    pub(crate) terms: Terms,
}

/// The settings of a policy that the Worker uses itself. `wit/policy.wit` describes each.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) rotation_grace_ms: u64,
    pub(crate) maximum_token_bytes: u32,
    pub(crate) fields: FieldLimits,
    /// Whether two saves that change one field differently are a conflict.
    pub(crate) conflicts: bool,
}

impl Terms {
    fn of(policy: &Map<String, Value>) -> Self {
        let limit = |name: &str| {
            let limit = policy.get(name).and_then(Value::as_u64);
            limit
                .and_then(|limit| u32::try_from(limit).ok())
                .unwrap_or_default()
        };
        Self {
            rotation_grace_ms: grace_ms(policy),
            maximum_token_bytes: limit("maximumTokenBytes"),
            fields: FieldLimits {
                maximum_name_bytes: limit("maximumNameBytes"),
                maximum_value_bytes: limit("maximumValueBytes"),
                maximum_record_bytes: limit("maximumRecordBytes"),
                maximum_fields: limit("maximumFields"),
            },
            conflicts: policy.get("fieldRule").and_then(Value::as_str) == Some("conflict"),
        }
    }
}

impl Instance {
    pub(crate) fn new(setup: &Setup) -> Result<Rc<Self>, ConfigureError> {
        let unreadable = ConfigureError::Unreadable;
        let capabilities = serde_json::to_string(&setup.capabilities).map_err(unreadable)?;
        let js = bindings::make_engine(&capabilities).map_err(instantiate)?;
        let policy = ask(&js, "sessions#starting-policy", &(&setup.preset,))?;
        let policy: Map<String, Value> = serde_json::from_str(policy.get()).map_err(unreadable)?;
        let least_grace_ms = grace_ms(&policy).max(setup.least_grace_ms);
        let least_grace = (GRACE.to_owned(), Value::from(least_grace_ms.to_string()));
        // A member without a value is absent.
        let policy: Map<String, Value> = policy
            .into_iter()
            .chain([least_grace])
            .chain(setup.changes.clone())
            .collect();
        let terms = Terms::of(&policy);
        let engine = ask_result(&js, "sessions#configure", &(policy, &setup.keys))?;
        let draft = ask_result(&js, "sessions#draft", &(engine,))?;
        Ok(Rc::new(Self {
            js,
            engine,
            draft,
            terms,
        }))
    }
}

fn grace_ms(policy: &Map<String, Value>) -> u64 {
    let grace = policy.get(GRACE).and_then(Value::as_str);
    grace.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// Runs a call that needs no store, on an instance that is not in use yet.
fn ask(js: &Engine, name: &str, arguments: &impl Serialize) -> Result<Box<RawValue>, ConfigureError> {
    let arguments =
        zeroize::Zeroizing::new(serde_json::to_string(arguments).map_err(ConfigureError::Unreadable)?);
    let call = bindings::make_call(js, name, &arguments).map_err(instantiate)?;
    let text = call.pass().map_err(instantiate)?;
    match read(&text).map_err(ConfigureError::Unreadable)? {
        Passed::Done(value, _) => Ok(value),
        Passed::Asked(..) => Err(ConfigureError::Instantiate("it called the store".into())),
    }
}

/// The same for a function that returns a `result`.
fn ask_result<T: DeserializeOwned>(
    js: &Engine,
    name: &str,
    arguments: &impl Serialize,
) -> Result<T, ConfigureError> {
    let unreadable = ConfigureError::Unreadable;
    let answer = ask(js, name, arguments)?;
    let outcome: wit::Outcome = serde_json::from_str(answer.get()).map_err(unreadable)?;
    let value = outcome.read().map_err(unreadable)?;
    let value = value.map_err(ConfigureError::Refused)?;
    serde_json::from_str(value.get()).map_err(unreadable)
}

fn instantiate(error: JsValue) -> ConfigureError {
    ConfigureError::Instantiate(message(&error))
}

/// The message of a JavaScript error: the kind of a trap, or the sentence of a check in `js/`.
pub(super) fn message(error: &JsValue) -> String {
    let message = js_sys::Reflect::get(error, &"message".into())
        .ok()
        .and_then(|message| message.as_string());
    message.unwrap_or_else(|| "a value that is not an error was thrown".into())
}
