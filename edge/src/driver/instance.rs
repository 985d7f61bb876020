//! The one instance of the component that an isolate has, and its engine.

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

/// What every instance is configured with.
pub(crate) struct Setup {
    /// `starting-policy` of this preset.
    pub(crate) preset: String,
    /// Changes to it, by the names of `wit/policy.wit` in camelCase.
    pub(crate) changes: Map<String, Value>,
    /// The rotation grace is at least so long where the changes name none.
    pub(crate) least_grace_ms: u64,
    pub(crate) keys: Vec<SigningKey>,
    pub(crate) capabilities: Capabilities,
}

const GRACE: &str = "rotationGraceMs";

/// Why no instance could be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigureError {
    #[error("the component cannot be instantiated: {0}")]
    Instantiate(String),
    /// Which field or key, and why.
    #[error("the engine refuses its configuration: {}", .0.words())]
    Refused(wit::Error),
    #[error("the engine's answer cannot be read")]
    Unreadable(#[source] serde_json::Error),
}

/// An instance with its engine configured.
pub(crate) struct Instance {
    pub(crate) js: Engine,
    /// The engine's number in it.
    pub(crate) engine: u32,
    /// The handle of a session that was never saved.
    pub(crate) draft: Arc<str>,
    pub(crate) terms: Terms,
}

/// What has to be known here of a policy; each is described in `wit/policy.wit`.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) rotation_grace_ms: u64,
    pub(crate) maximum_token_bytes: u32,
    pub(crate) fields: FieldLimits,
    /// Whether two saves that have changed one field differently are a conflict.
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
        // What has no value yet is not among the members.
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

/// A call that asks no store, of an instance that nobody uses yet.
fn ask(js: &Engine, name: &str, arguments: &impl Serialize) -> Result<Box<RawValue>, ConfigureError> {
    let arguments =
        zeroize::Zeroizing::new(serde_json::to_string(arguments).map_err(ConfigureError::Unreadable)?);
    let call = bindings::make_call(js, name, &arguments).map_err(instantiate)?;
    let text = call.pass().map_err(instantiate)?;
    match read(&text).map_err(ConfigureError::Unreadable)? {
        Passed::Done(value, _) => Ok(value),
        Passed::Asked(..) => Err(ConfigureError::Instantiate("it asks the store".into())),
    }
}

/// The same of a function that may refuse.
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

/// What JavaScript says of an error: of a trap its kind, of our own checks a sentence.
pub(super) fn message(error: &JsValue) -> String {
    let message = js_sys::Reflect::get(error, &"message".into())
        .ok()
        .and_then(|message| message.as_string());
    message.unwrap_or_else(|| "something was thrown that is no error".into())
}
