//! The core module in a component.

use anyhow::{Context as _, Result, ensure};
use wasmparser::{Parser, Payload};

/// The module that holds the code; a component made by `wit-component` may have small ones beside it, which only link.
pub(crate) fn core_module(component: &[u8]) -> Result<&[u8]> {
    let mut found: Option<&[u8]> = None;
    for payload in Parser::new(0).parse_all(component) {
        let Payload::ModuleSection { unchecked_range, .. } = payload? else {
            continue;
        };
        let module = component
            .get(unchecked_range)
            .context("a module lies outside of the component")?;
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
