//! How wasmtime compiles and runs the component. The build script and the host must agree on it to the letter.

use wasmtime::Config;

/// Settings for both sides.
pub(crate) fn config() -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    // The component has none of these, so that runtimes without them run it as well.
    config.wasm_simd(false);
    config.wasm_relaxed_simd(false);
    // A call is microseconds; the watchdog is for a fault nobody thought of.
    config.epoch_interruption(true);
    config
}
