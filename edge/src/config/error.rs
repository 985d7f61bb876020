//! Why the Worker cannot serve.

use tessera_http::CookieError;
use tessera_http::api::WeakServiceKey;

use super::variables::{KEYS, SERVICE_KEY};
use crate::driver::ConfigureError;

/// Why the Worker cannot serve: what is missing or unfit, by name. No value of a secret stands in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("the secret {0} is not set; set it with `wrangler secret put {0}`")]
    NoSecret(&'static str),
    #[error("the secret {KEYS} is no key file, as `tessera key new` writes one: {0}")]
    Keys(String),
    #[error("the secret {SERVICE_KEY} is refused")]
    ServiceKey(#[from] WeakServiceKey),
    #[error("there is no binding {0}; wrangler.toml names what it is for")]
    NoBinding(&'static str),
    #[error("the variable {name} is unfit: {reason}")]
    Variable { name: &'static str, reason: String },
    #[error(transparent)]
    Engine(#[from] ConfigureError),
    #[error("the demonstration's cookie is refused")]
    DemoCookie(#[from] CookieError),
}
