//! The wasmtime settings for the component. The build script and the host need exactly the same ones.

use wasmtime::Config;

/// The settings that the build script and the host share.
pub(crate) fn config() -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    // The component uses neither, so that runtimes without SIMD can run it as well.
    config.wasm_simd(false);
    config.wasm_relaxed_simd(false);
    // For the watchdog: a call takes microseconds unless the component is faulty.
    config.epoch_interruption(true);
    config
}
