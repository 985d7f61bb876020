//! The processor instructions that compiled code may use.
//! The build script uses this module, and the host does with the feature `compile`.

use wasmtime::Config;

/// Enables the instructions of x86-64-v2, which every x86-64 processor since 2009 has.
/// They are named rather than probed, so that code compiled on one machine runs on another.
pub(crate) fn enable(config: &mut Config, target: &str) {
    if !target.starts_with("x86_64") {
        return;
    }
    for flag in ["has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_popcnt"] {
        // SAFETY: the flag names an instruction set; a host without it refuses to load the code.
        #[expect(unsafe_code, reason = "wasmtime offers no other way to name instruction sets")]
        unsafe {
            config.cranelift_flag_enable(flag);
        }
    }
}
