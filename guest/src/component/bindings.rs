//! The generated bindings of `wit/`: the imports as functions, the exports as traits.

wit_bindgen::generate!({ path: "../wit", world: "engine", generate_all, pub_export_macro: true });

pub(crate) use exports::tessera::session::policy as wit;
pub(crate) use exports::tessera::session::sessions as sessions_wit;
pub(crate) use tessera::session::{clock, random, store};
