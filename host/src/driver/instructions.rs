//! What compiled code may use of the processor. For who compiles: the build script, and the host with the feature `compile`.

use wasmtime::Config;

/// The instructions that compiled code may use, named and not probed, so that code compiled on one machine runs on another.
/// Every x86-64 processor since 2009 has them (x86-64-v2).
pub(crate) fn enable(config: &mut Config, target: &str) {
    if !target.starts_with("x86_64") {
        return;
    }
    for flag in ["has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_popcnt"] {
        // SAFETY: the flag names an instruction set; a host without it refuses the code when it loads it.
        #[expect(unsafe_code, reason = "wasmtime offers no other way to name instruction sets")]
        unsafe {
            config.cranelift_flag_enable(flag);
        }
    }
}
