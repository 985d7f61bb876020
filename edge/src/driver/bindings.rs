//! What `js/engine.js` offers.

use wasm_bindgen::prelude::*;

#[wasm_bindgen(raw_module = "./engine.js")]
extern "C" {
    /// One instance of the component.
    pub(crate) type Engine;

    /// Makes an instance, over a store that promises this (a text of JSON, as `describe` answers).
    #[wasm_bindgen(catch, js_name = makeEngine)]
    pub(crate) fn make_engine(capabilities: &str) -> Result<Engine, JsValue>;

    /// Whether it trapped, and is to be thrown away.
    #[wasm_bindgen(method, getter)]
    pub(crate) fn lost(this: &Engine) -> bool;

    /// Has it be taken for lost.
    #[cfg(feature = "test-routes")]
    #[wasm_bindgen(method, setter)]
    pub(crate) fn set_lost(this: &Engine, lost: bool);

    /// Bytes of its memory.
    #[cfg(feature = "test-routes")]
    #[wasm_bindgen(method, getter)]
    pub(crate) fn bytes(this: &Engine) -> f64;

    /// One logical call.
    pub(crate) type Call;

    /// Begins a call of `interface#function` with these arguments (a text of JSON).
    #[wasm_bindgen(catch, js_name = makeCall)]
    pub(crate) fn make_call(engine: &Engine, name: &str, arguments: &str) -> Result<Call, JsValue>;

    /// The same, by a clock that stands.
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

    /// Goes on with another instance, which knows the engine by this number: what was asked and answered goes with it.
    #[wasm_bindgen(method, js_name = moveTo)]
    pub(crate) fn move_to(this: &Call, engine: &Engine, number: u32);

    /// Begins after the time and a question to the store that were asked and answered before (texts of JSON).
    #[wasm_bindgen(method, catch, js_name = goOnFrom)]
    pub(crate) fn go_on_from(this: &Call, now: f64, asked: &str, answer: &str) -> Result<(), JsValue>;

    /// Makes the call, or makes it again; a text of JSON.
    #[wasm_bindgen(method, catch)]
    pub(crate) fn pass(this: &Call) -> Result<String, JsValue>;

    /// Notes the answer to what the last pass asked (a text of JSON).
    #[wasm_bindgen(method, catch)]
    pub(crate) fn answer(this: &Call, answer: &str) -> Result<(), JsValue>;
}
