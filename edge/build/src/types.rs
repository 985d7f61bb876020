//! Describes a component's imports and exports in JavaScript, in terms of `abi.js`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};
use wit_parser::decoding::{DecodedWasm, decode};
use wit_parser::{Function, FunctionKind, Interface, Resolve, Type, TypeDefKind, TypeId, WorldItem};

/// Returns the text of `types.js`.
///
/// # Errors
/// If the bytes are not a component, or if it uses a type or function kind that `abi.js` does not support.
pub(crate) fn describe(component: &[u8]) -> Result<String> {
    let DecodedWasm::Component(resolve, world) = decode(component)? else {
        bail!("the file is not a component");
    };
    let world = resolve.worlds.get(world).context("the component has no world")?;
    let mut writer = Writer {
        resolve: &resolve,
        names: BTreeMap::new(),
        definitions: String::new(),
    };
    let mut imports = String::new();
    for item in world.imports.values() {
        writer.interface(item, &mut imports)?;
    }
    let mut exports = String::new();
    for item in world.exports.values() {
        writer.interface(item, &mut exports)?;
    }
    Ok(format!(
        "// Generated from the component. Do not edit.\nimport * as t from './abi.js';\n\n{}\nexport const world = {{\n  \
         imports: {{\n{imports}  }},\n  exports: {{\n{exports}  }},\n}};\n",
        writer.definitions
    ))
}

struct Writer<'a> {
    resolve: &'a Resolve,
    /// The JavaScript names of the types defined so far.
    names: BTreeMap<TypeId, String>,
    definitions: String,
}

impl<'a> Writer<'a> {
    fn find(&self, item: &WorldItem) -> Result<(String, &'a Interface)> {
        let WorldItem::Interface { id, .. } = item else {
            bail!("the world has an import or export that is not an interface");
        };
        let name = self.resolve.id_of(*id).context("an interface has no name")?;
        Ok((name, &self.resolve.interfaces[*id]))
    }

    fn interface(&mut self, item: &WorldItem, out: &mut String) -> Result<()> {
        let (name, interface) = self.find(item)?;
        if interface.functions.is_empty() {
            return Ok(());
        }
        writeln!(out, "    '{name}': {{")?;
        for (name, function) in &interface.functions {
            let signature = self.signature(function)?;
            writeln!(out, "      '{name}': {signature},")?;
        }
        writeln!(out, "    }},")?;
        Ok(())
    }

    fn signature(&mut self, function: &Function) -> Result<String> {
        let waits = matches!(
            function.kind,
            FunctionKind::AsyncFreestanding | FunctionKind::AsyncMethod(_) | FunctionKind::AsyncStatic(_)
        );
        if waits {
            bail!("{} is async, which is not supported", function.name);
        }
        let params: Vec<String> = function
            .params
            .iter()
            .map(|param| self.name(&param.ty))
            .collect::<Result<_>>()?;
        let result = self.optional(function.result.as_ref())?;
        Ok(format!("{{ params: [{}], result: {result} }}", params.join(", ")))
    }

    fn optional(&mut self, ty: Option<&Type>) -> Result<String> {
        ty.map_or_else(|| Ok("null".to_owned()), |ty| self.name(ty))
    }

    /// Returns the name of a type. Writes its definition first if it has none yet.
    fn name(&mut self, ty: &Type) -> Result<String> {
        let plain = match ty {
            Type::Bool => "t.bool",
            Type::U8 => "t.u8",
            Type::U32 => "t.u32",
            Type::U64 => "t.u64",
            Type::String => "t.string",
            Type::Id(id) => return self.defined(*id),
            other => bail!("abi.js does not support {other:?}"),
        };
        Ok(plain.to_owned())
    }

    fn defined(&mut self, id: TypeId) -> Result<String> {
        if let Some(name) = self.names.get(&id) {
            return Ok(name.clone());
        }
        let definition = self.definition(id)?;
        let name = format!("t{}", self.names.len());
        let comment = self.resolve.types[id].name.as_ref();
        let comment = comment.map_or_else(String::new, |name| format!(" // {name}"));
        writeln!(self.definitions, "const {name} = {definition};{comment}")?;
        self.names.insert(id, name.clone());
        Ok(name)
    }

    fn definition(&mut self, id: TypeId) -> Result<String> {
        let resolve = self.resolve;
        Ok(match &resolve.types[id].kind {
            TypeDefKind::Type(ty) => self.name(ty)?,
            TypeDefKind::Option(ty) => format!("t.option({})", self.name(ty)?),
            TypeDefKind::List(ty) => format!("t.list({})", self.name(ty)?),
            TypeDefKind::Result(result) => {
                let (ok, err) = (
                    self.optional(result.ok.as_ref())?,
                    self.optional(result.err.as_ref())?,
                );
                format!("t.result({ok}, {err})")
            }
            TypeDefKind::Tuple(tuple) => {
                let types: Vec<String> = tuple
                    .types
                    .iter()
                    .map(|ty| self.name(ty))
                    .collect::<Result<_>>()?;
                format!("t.tuple([{}])", types.join(", "))
            }
            TypeDefKind::Record(record) => {
                let fields = record.fields.iter().map(|field| {
                    let ty = self.name(&field.ty)?;
                    Ok(format!("['{}', {ty}]", camel_case(&field.name)))
                });
                format!("t.record([{}])", fields.collect::<Result<Vec<_>>>()?.join(", "))
            }
            TypeDefKind::Variant(variant) => {
                let cases = variant.cases.iter().map(|case| {
                    let ty = self.optional(case.ty.as_ref())?;
                    Ok(format!("['{}', {ty}]", case.name))
                });
                format!("t.variant([{}])", cases.collect::<Result<Vec<_>>>()?.join(", "))
            }
            TypeDefKind::Enum(cases) => {
                let names: Vec<String> = cases
                    .cases
                    .iter()
                    .map(|case| format!("'{}'", case.name))
                    .collect();
                format!("t.enumeration([{}])", names.join(", "))
            }
            other => bail!("abi.js does not support {}", other.as_str()),
        })
    }
}

/// Converts a WIT name to the camelCase of JavaScript members.
fn camel_case(kebab: &str) -> String {
    let mut words = kebab.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, tail) = word.split_at(word.len().min(1));
        name + &head.to_uppercase() + tail
    })
}
