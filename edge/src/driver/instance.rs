//! The one instance of the component that an isolate has, and its engine.

use std::rc::Rc;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tessera_http::Limits;
use wasm_bindgen::JsValue;

use super::bindings::{self, Engine};
use super::call::{Passed, read};
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
    /// Of its policy.
    pub(crate) rotation_grace_ms: u64,
    pub(crate) limits: Limits,
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
        let rotation_grace_ms = grace_ms(&policy);
        let limit = |name: &str| policy.get(name).and_then(Value::as_u64).unwrap_or_default() as u32;
        let limits = Limits {
            maximum_token_bytes: limit("maximumTokenBytes"),
            maximum_name_bytes: limit("maximumNameBytes"),
            maximum_record_bytes: limit("maximumRecordBytes"),
            maximum_fields: limit("maximumFields"),
        };
        let configured = ask(&js, "flat#configure", &(policy, &setup.keys))?;
        let configured: wit::Outcome = serde_json::from_str(configured.get()).map_err(unreadable)?;
        match configured.read().map_err(unreadable)? {
            Ok(engine) => {
                let engine = serde_json::from_str(engine.get()).map_err(unreadable)?;
                Ok(Rc::new(Self {
                    js,
                    engine,
                    rotation_grace_ms,
                    limits,
                }))
            }
            Err(error) => Err(ConfigureError::Refused(error)),
        }
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
        Passed::Done(value) => Ok(value),
        Passed::Asked(..) => Err(ConfigureError::Instantiate("it asks the store".into())),
    }
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
