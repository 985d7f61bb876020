//! The component, compiled and ready to be instantiated.

use std::sync::{Arc, OnceLock};

use wasmtime::component::Linker;
use wasmtime::{Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::imports::{self, HostState};
use super::{settings, watchdog};
use crate::bindings::EnginePre;
use crate::error::ComponentError;

/// The most instances of all components in one process.
const MAXIMUM_INSTANCES: u32 = 1000;
/// The most memory one instance can be given.
pub(crate) const MAXIMUM_MEMORY_BYTES: usize = 1 << 30;

/// [`tessera_component::BYTES`], compiled for this machine by the build.
static COMPILED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tessera.cwasm"));

/// A session component, compiled and linked. Cheap to clone.
#[derive(Clone)]
pub struct Component {
    pre: Arc<EnginePre<HostState>>,
}

impl Component {
    /// The component that was built together with this library.
    ///
    /// # Errors
    /// [`ComponentError::Refused`] on a processor older than x86-64-v2, unless the feature `compile` is on.
    pub fn embedded() -> Result<Self, ComponentError> {
        static EMBEDDED: OnceLock<Component> = OnceLock::new();
        if let Some(component) = EMBEDDED.get() {
            return Ok(component.clone());
        }
        let engine = engine()?;
        // SAFETY: the bytes are what the build script's wasmtime, of the same version, compiled.
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

    /// Compiles another component, binary or text.
    ///
    /// # Errors
    /// [`ComponentError::Unfit`] if it is none, or does not export and import what `wit/` says.
    #[cfg(feature = "compile")]
    pub fn compile(bytes: &[u8]) -> Result<Self, ComponentError> {
        let engine = engine()?;
        let compiled = wasmtime::component::Component::new(&engine, bytes)
            .map_err(|error| ComponentError::Unfit(error.into()))?;
        Self::link(&engine, &compiled)
    }

    /// The embedded component's bytes, to audit or to load elsewhere.
    pub fn bytes() -> &'static [u8] {
        tessera_component::BYTES
    }

    /// The interfaces that the component imports and exports, as one text in WIT.
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
        // The package line stands in each file and is needed once.
        let mut text = format!("{PACKAGE}\n");
        for file in FILES {
            text.push('\n');
            text.push_str(file.replacen(PACKAGE, "", 1).trim());
            text.push('\n');
        }
        text
    }

    /// The SHA-256 of [`Component::bytes`], in hexadecimal.
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

/// One engine for all components of the process, and its watchdog.
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
    let engine = ENGINE.get_or_init(|| engine).clone();
    watchdog::start(&engine);
    Ok(engine)
}
