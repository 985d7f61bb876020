//! Errors of the configuration.

use tessera_http::CookieError;
use tessera_http::api::WeakServiceKey;

use super::variables::{KEYS, SERVICE_KEY};
use crate::driver::ConfigureError;

/// A missing or invalid variable, secret or binding, by its name. No variant carries the value of a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("the secret {0} is not set; set it with `wrangler secret put {0}`")]
    NoSecret(&'static str),
    #[error("the secret {KEYS} is not a key file as `tessera key new` writes it: {0}")]
    Keys(String),
    #[error("the secret {SERVICE_KEY} is refused")]
    ServiceKey(#[from] WeakServiceKey),
    #[error("the binding {0} is missing; wrangler.toml describes its purpose")]
    NoBinding(&'static str),
    #[error("the variable {name} is invalid: {reason}")]
    Variable { name: &'static str, reason: String },
    #[error(transparent)]
    Engine(#[from] ConfigureError),
    #[error("the demonstration's cookie is refused")]
    DemoCookie(#[from] CookieError),
}
