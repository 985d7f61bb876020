//! Extracts the core module of a component.

use anyhow::{Context as _, Result, ensure};
use wasmparser::{Parser, Payload};

/// Returns the core module that exports a memory, which is the one that holds the code.
///
/// A component made by `wit-component` may also contain small modules that only link.
///
/// # Errors
/// If the component cannot be parsed, or if not exactly one of its modules exports a memory.
pub(crate) fn core_module(component: &[u8]) -> Result<&[u8]> {
    let mut found: Option<&[u8]> = None;
    for payload in Parser::new(0).parse_all(component) {
        let Payload::ModuleSection { unchecked_range, .. } = payload? else {
            continue;
        };
        let module = component
            .get(unchecked_range)
            .context("a module's range is outside the component")?;
        if exports_memory(module)? {
            ensure!(found.is_none(), "the component has two modules with a memory");
            found = Some(module);
        }
    }
    found.context("the component has no module with a memory")
}

fn exports_memory(module: &[u8]) -> Result<bool> {
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ExportSection(exports) = payload? {
            for export in exports {
                let export = export?;
                if export.kind == wasmparser::ExternalKind::Memory && export.name == "memory" {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}
