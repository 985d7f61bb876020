//! The imports between the files of one crate, read with `syn`. Modules of tests do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};

type Module = Vec<String>;

/// The arrows between the files of a crate, each named by its module.
pub(crate) struct Imports {
    arrows: BTreeMap<Module, BTreeSet<Module>>,
}

/// The paths that one file uses, and those that it exports again.
#[derive(Default)]
struct Paths {
    /// Where the walk is: the file's module, and modules within the file.
    at: Module,
    uses: Vec<(Module, Vec<String>)>,
    exports: Vec<(Module, Vec<String>)>,
}

fn is_of_tests(attributes: &[syn::Attribute]) -> bool {
    fn names_test(tokens: proc_macro2::TokenStream) -> bool {
        tokens.into_iter().any(|token| match token {
            proc_macro2::TokenTree::Ident(name) => name == "test",
            proc_macro2::TokenTree::Group(group) => names_test(group.stream()),
            _ => false,
        })
    }
    attributes.iter().any(|attribute| {
        let list = attribute.meta.require_list();
        attribute.path().is_ident("cfg") && list.is_ok_and(|list| names_test(list.tokens.clone()))
    })
}

fn leaves(tree: &syn::UseTree, before: &[String], found: &mut Vec<Vec<String>>) {
    let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
    match tree {
        syn::UseTree::Path(path) => leaves(&path.tree, &with(&path.ident), found),
        syn::UseTree::Name(name) if name.ident == "self" => found.push(before.to_vec()),
        syn::UseTree::Name(name) => found.push(with(&name.ident)),
        syn::UseTree::Rename(name) if name.ident == "self" => found.push(before.to_vec()),
        syn::UseTree::Rename(name) => found.push(with(&name.ident)),
        syn::UseTree::Glob(_) => found.push([before, &["*".to_owned()]].concat()),
        syn::UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, before, found)),
    }
}

impl Paths {
    /// A single name may be a variable; a module is named before something in it.
    fn note(&mut self, path: Vec<String>) {
        if path.len() > 1 {
            self.uses.push((self.at.clone(), path));
        }
    }

    /// Paths within macros, which are tokens alone.
    fn tokens(&mut self, tokens: proc_macro2::TokenStream) {
        use proc_macro2::TokenTree;
        let (mut path, mut colons) = (Vec::new(), 0);
        for token in tokens {
            match token {
                TokenTree::Ident(name) if path.is_empty() || colons == 2 => {
                    path.push(name.to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                TokenTree::Ident(name) => {
                    self.note(std::mem::replace(&mut path, vec![name.to_string()]));
                    colons = 0;
                    continue;
                }
                TokenTree::Group(group) => self.tokens(group.stream()),
                _ => {}
            }
            self.note(std::mem::take(&mut path));
            colons = 0;
        }
        self.note(path);
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_of_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.at.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.at.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut found = Vec::new();
        leaves(&item.tree, &[], &mut found);
        let list = if matches!(item.vis, syn::Visibility::Inherited) {
            &mut self.uses
        } else {
            &mut self.exports
        };
        list.extend(found.into_iter().map(|path| (self.at.clone(), path)));
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {
        // `pub(super)` uses nothing.
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path.segments.iter().map(|segment| segment.ident.to_string());
        self.note(names.collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }
}

fn read(folder: &Path, at: &Module, found: &mut BTreeMap<Module, Paths>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .expect("a name")
            .to_owned();
        let inner = [at.as_slice(), std::slice::from_ref(&name)].concat();
        if path.is_dir() {
            read(&path, &inner, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            let module = match name.as_str() {
                "mod" | "lib" | "main" => at.clone(),
                _ => inner,
            };
            let text = fs::read_to_string(&path).expect("a source");
            let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let mut paths = Paths {
                at: module.clone(),
                ..Paths::default()
            };
            paths.visit_file(&file);
            found.insert(module, paths);
        }
    }
}

/// The names that modules export from others: by module and name, the path that it has there.
type Exports = BTreeMap<(Module, String), Vec<String>>;

/// A path of a module as one from the crate's root; `None` if it leads out of the crate.
fn absolute(files: &BTreeMap<Module, Paths>, at: &Module, path: &[String]) -> Option<Module> {
    let (first, rest) = path.split_first()?;
    let mut at = at.clone();
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([at.as_slice(), rest].concat()),
        "super" => {
            at.pop()?;
            let mut rest = rest;
            while let Some(after) = rest.strip_prefix(&["super".to_owned()]) {
                at.pop()?;
                rest = after;
            }
            Some([at.as_slice(), rest].concat())
        }
        _ => {
            let inner = [at.as_slice(), path].concat();
            let is_child = (at.len() + 1..=inner.len()).any(|length| files.contains_key(&inner[..length]));
            is_child.then_some(inner)
        }
    }
}

/// The file in which the item of a path stands, exports followed.
fn resolve(
    files: &BTreeMap<Module, Paths>,
    exports: &Exports,
    path: &Module,
    depth: usize,
) -> Option<Module> {
    let length = (0..=path.len())
        .rev()
        .find(|length| files.contains_key(&path[..*length]))?;
    let module = path[..length].to_vec();
    if let Some(name) = path.get(length)
        && let Some(there) = exports.get(&(module.clone(), name.clone()))
        && depth < 8
    {
        let there = absolute(files, &module, there)?;
        return resolve(files, exports, &there, depth + 1);
    }
    Some(module)
}

impl Imports {
    pub(crate) fn of(sources: &Path) -> Self {
        let mut files = BTreeMap::new();
        read(sources, &Vec::new(), &mut files);
        let mut exports = Exports::new();
        for paths in files.values() {
            for (at, path) in &paths.exports {
                if let Some(name) = path.last() {
                    exports.insert((at.clone(), name.clone()), path.clone());
                }
            }
        }
        let mut arrows = BTreeMap::new();
        for (module, paths) in &files {
            let there = paths.uses.iter().filter_map(|(at, path)| {
                let path = absolute(&files, at, path)?;
                resolve(&files, &exports, &path, 0)
            });
            let there: BTreeSet<Module> = there.filter(|there| there != module).collect();
            arrows.insert(module.clone(), there);
        }
        Self { arrows }
    }

    /// The modules at the top of the crate; the root is not one.
    pub(crate) fn top_modules(&self) -> impl Iterator<Item = String> {
        let tops: BTreeSet<String> = self
            .arrows
            .keys()
            .filter_map(|module| module.first().cloned())
            .collect();
        tops.into_iter()
    }

    pub(crate) fn top_arrows(&self) -> BTreeSet<(String, String)> {
        let pairs = self
            .arrows
            .iter()
            .flat_map(|(from, all)| all.iter().map(move |to| (from, to)));
        pairs
            .filter_map(|(from, to)| Some((from.first()?.clone(), to.first()?.clone())))
            .filter(|(from, to)| from != to)
            .collect()
    }

    /// The layers as the imports have them, in the form of the page.
    pub(crate) fn layers(&self) -> String {
        fn depth(name: &str, arrows: &BTreeSet<(String, String)>, seen: usize) -> usize {
            let below = arrows.iter().filter(|(from, _)| from == name);
            let depths = below.map(|(_, to)| if seen > 64 { 0 } else { depth(to, arrows, seen + 1) });
            1 + depths.max().unwrap_or(0)
        }
        let arrows = self.top_arrows();
        let mut layers: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for name in self.top_modules() {
            layers
                .entry(depth(&name, &arrows, 0))
                .or_default()
                .push(format!("`{name}`"));
        }
        let layers: Vec<String> = layers.into_values().rev().map(|names| names.join(" ")).collect();
        layers.join(" › ")
    }

    /// The files that reach themselves.
    pub(crate) fn circles(&self) -> Vec<String> {
        let reach = |from: &Module| {
            let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
            while let Some(next) = open.pop() {
                for to in &self.arrows[next] {
                    if seen.insert(to) {
                        open.push(to);
                    }
                }
            }
            seen
        };
        let in_circle = self.arrows.keys().filter(|module| reach(module).contains(module));
        in_circle.map(|module| module.join("::")).collect()
    }
}
