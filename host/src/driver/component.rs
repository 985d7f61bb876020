//! The compiled component, ready for instantiation.

use std::sync::{Arc, OnceLock};

use wasmtime::component::Linker;
use wasmtime::{Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::imports::{self, HostState};
use super::settings;
use crate::bindings::EnginePre;
use crate::error::ComponentError;

/// The maximum number of instances in one process, over all components.
const MAXIMUM_INSTANCES: u32 = 1000;
/// The maximum memory that the pool can give to one instance.
pub(crate) const MAXIMUM_MEMORY_BYTES: usize = 1 << 30;

/// [`tessera_component::BYTES`], compiled by the build script for the target.
static COMPILED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tessera.cwasm"));

/// A compiled and linked session component. Cheap to clone.
#[derive(Clone)]
pub struct Component {
    pre: Arc<EnginePre<HostState>>,
}

impl Component {
    /// The component that this library contains.
    ///
    /// # Errors
    /// [`ComponentError::Refused`] on a processor without x86-64-v2, unless the feature `compile` is on.
    /// [`ComponentError::Runtime`] if wasmtime cannot run on this machine.
    pub fn embedded() -> Result<Self, ComponentError> {
        static EMBEDDED: OnceLock<Component> = OnceLock::new();
        if let Some(component) = EMBEDDED.get() {
            return Ok(component.clone());
        }
        let engine = engine()?;
        // SAFETY: the build script compiled the bytes with the same version of wasmtime.
        #[expect(
            unsafe_code,
            reason = "wasmtime trusts precompiled code, and this is the build's own"
        )]
        let loaded = unsafe { wasmtime::component::Component::deserialize(&engine, COMPILED) };
        let compiled = match loaded {
            Ok(compiled) => compiled,
            #[cfg(feature = "compile")]
            Err(_) => wasmtime::component::Component::new(&engine, tessera_component::BYTES)
                .map_err(|error| ComponentError::Refused(error.into()))?,
            #[cfg(not(feature = "compile"))]
            Err(error) => return Err(ComponentError::Refused(error.into())),
        };
        let component = Self::link(&engine, &compiled)?;
        Ok(EMBEDDED.get_or_init(|| component).clone())
    }

    /// Compiles another component, in binary or text form.
    ///
    /// # Errors
    /// [`ComponentError::Unfit`] if the bytes are not a component, or its exports and imports are not those of `wit/`.
    /// [`ComponentError::Runtime`] if wasmtime cannot run on this machine.
    #[cfg(feature = "compile")]
    pub fn compile(bytes: &[u8]) -> Result<Self, ComponentError> {
        let engine = engine()?;
        let compiled = wasmtime::component::Component::new(&engine, bytes)
            .map_err(|error| ComponentError::Unfit(error.into()))?;
        Self::link(&engine, &compiled)
    }

    /// The bytes of the embedded component, for an audit or another runtime.
    pub fn bytes() -> &'static [u8] {
        tessera_component::BYTES
    }

    /// The interfaces that the component imports and exports, as one WIT text.
    pub fn wit() -> String {
        const PACKAGE: &str = "package tessera:session@0.2.0;";
        const FILES: [&str; 7] = [
            include_str!("../../wit/world.wit"),
            include_str!("../../wit/types.wit"),
            include_str!("../../wit/store.wit"),
            include_str!("../../wit/clock.wit"),
            include_str!("../../wit/random.wit"),
            include_str!("../../wit/policy.wit"),
            include_str!("../../wit/sessions.wit"),
        ];
        // Each file has the package line, and the text needs it once.
        let mut text = format!("{PACKAGE}\n");
        for file in FILES {
            text.push('\n');
            text.push_str(file.replacen(PACKAGE, "", 1).trim());
            text.push('\n');
        }
        text
    }

    /// The SHA-256 of [`Component::bytes`], in lower-case hexadecimal.
    pub fn sha256() -> &'static str {
        env!("TESSERA_COMPONENT_SHA256")
    }

    fn link(engine: &Engine, component: &wasmtime::component::Component) -> Result<Self, ComponentError> {
        let mut linker = Linker::new(engine);
        imports::link(&mut linker).map_err(|error| ComponentError::Runtime(error.into()))?;
        let pre = linker
            .instantiate_pre(component)
            .and_then(EnginePre::new)
            .map_err(|error| ComponentError::Unfit(error.into()))?;
        Ok(Self { pre: Arc::new(pre) })
    }

    pub(crate) fn pre(&self) -> &EnginePre<HostState> {
        &self.pre
    }
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Component").finish_non_exhaustive()
    }
}

/// The process's only engine.
fn engine() -> Result<Engine, ComponentError> {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    if let Some(engine) = ENGINE.get() {
        return Ok(engine.clone());
    }
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(MAXIMUM_INSTANCES)
        .total_core_instances(MAXIMUM_INSTANCES * 4)
        .total_memories(MAXIMUM_INSTANCES)
        .total_tables(MAXIMUM_INSTANCES * 4)
        .max_memory_size(MAXIMUM_MEMORY_BYTES);
    let mut config = settings::config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    #[cfg(feature = "compile")]
    super::instructions::enable(&mut config, std::env::consts::ARCH);
    let engine = Engine::new(&config).map_err(|error| ComponentError::Runtime(error.into()))?;
    Ok(ENGINE.get_or_init(|| engine).clone())
}
