//! Bindings to `js/engine.js`.

use wasm_bindgen::prelude::*;

#[wasm_bindgen(raw_module = "./engine.js")]
extern "C" {
    /// One instance of the component.
    pub(crate) type Engine;

    /// Creates an instance, over a store with these capabilities (the result of `describe` as JSON text).
    #[wasm_bindgen(catch, js_name = makeEngine)]
    pub(crate) fn make_engine(capabilities: &str) -> Result<Engine, JsValue>;

    /// Whether it trapped and must be discarded.
    #[wasm_bindgen(method, getter)]
    pub(crate) fn lost(this: &Engine) -> bool;

    /// Marks it as lost.
    #[cfg(feature = "test-routes")]
    #[wasm_bindgen(method, setter)]
    pub(crate) fn set_lost(this: &Engine, lost: bool);

    /// The size of its memory, in bytes.
    #[cfg(feature = "test-routes")]
    #[wasm_bindgen(method, getter)]
    pub(crate) fn bytes(this: &Engine) -> f64;

    /// One logical call.
    pub(crate) type Call;

    /// Begins a call of `interface#function` with these arguments (JSON text).
    #[wasm_bindgen(catch, js_name = makeCall)]
    pub(crate) fn make_call(engine: &Engine, name: &str, arguments: &str) -> Result<Call, JsValue>;

    /// The same, with a clock that stands still.
    #[cfg(feature = "test-routes")]
    #[wasm_bindgen(catch, js_name = makeCallAt)]
    pub(crate) fn make_call_at(
        engine: &Engine,
        name: &str,
        arguments: &str,
        now: f64,
    ) -> Result<Call, JsValue>;

    /// Sets that clock.
    #[cfg(feature = "test-routes")]
    #[wasm_bindgen(method, setter)]
    pub(crate) fn set_at(this: &Call, now: f64);

    /// Continues on another instance, in which the engine has this number. The replay log is kept.
    #[wasm_bindgen(method, js_name = moveTo)]
    pub(crate) fn move_to(this: &Call, engine: &Engine, number: u32);

    /// Starts the replay log with a time and a store operation with its reply (JSON texts).
    #[wasm_bindgen(method, catch, js_name = goOnFrom)]
    pub(crate) fn go_on_from(this: &Call, now: f64, asked: &str, answer: &str) -> Result<(), JsValue>;

    /// Runs the next pass, and returns its end as JSON text.
    #[wasm_bindgen(method, catch)]
    pub(crate) fn pass(this: &Call) -> Result<String, JsValue>;

    /// Records the reply to the operation of the last pass (JSON text).
    #[wasm_bindgen(method, catch)]
    pub(crate) fn answer(this: &Call, answer: &str) -> Result<(), JsValue>;
}
