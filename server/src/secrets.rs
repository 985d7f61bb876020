//! The service key: read, made at first start, never printed but once; and random bytes for all secrets.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tessera::http::api::ServiceKey;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::files::{self, Created};

/// Where the service key is taken from before any file.
pub(crate) const SERVICE_KEY_VARIABLE: &str = "TESSERA_SERVICE_KEY";
const SECRET_BYTES: usize = 32;

/// Random bytes of the operating system.
pub(crate) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, Failure> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes).map_err(Failure::during("the operating system gives no random bytes"))?;
    Ok(bytes)
}

/// Where a service key came from.
pub(crate) enum Origin {
    /// The environment.
    Variable,
    /// A file that was there.
    File(PathBuf),
    /// A file that was made now, with this key.
    Made(PathBuf, Zeroizing<String>),
}

/// Takes the service key from the environment or the file; makes the file if there is neither.
pub(crate) fn service_key(path: &Path) -> Result<(ServiceKey, Origin), Failure> {
    if let Some(text) = std::env::var_os(SERVICE_KEY_VARIABLE) {
        // What is not Unicode is not visible ASCII either, and refused as too short a key is.
        let text = Zeroizing::new(text.into_string().unwrap_or("?".into()));
        if !text.trim().is_empty() {
            return Ok((checked(&text, SERVICE_KEY_VARIABLE)?, Origin::Variable));
        }
    }
    let new = || {
        let random = URL_SAFE_NO_PAD.encode(*random::<SECRET_BYTES>()?);
        Ok(Zeroizing::new(format!("tsk_{random}\n")))
    };
    let (text, created) = files::read_or_create_secret(path, new)?;
    let key = checked(&text, &path.display().to_string())?;
    let origin = match created {
        Created::Before => Origin::File(path.to_owned()),
        Created::Now => Origin::Made(path.to_owned(), Zeroizing::new(text.trim().to_owned())),
    };
    Ok((key, origin))
}

fn checked(text: &str, place: &str) -> Result<ServiceKey, Failure> {
    ServiceKey::new(text).map_err(Failure::during(format!("the service key in {place} is refused")))
}
