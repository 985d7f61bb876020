//! The service key: read from the environment or a file, created at the first start, never printed; and random bytes for all
//! secrets.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tessera::http::api::ServiceKey;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::files::{self, Created};

/// The environment variable with the service key. It takes precedence over the file.
pub(crate) const SERVICE_KEY_VARIABLE: &str = "TESSERA_SERVICE_KEY";
const SECRET_BYTES: usize = 32;

/// Random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, Failure> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes).map_err(Failure::during(
        "cannot read random bytes from the operating system",
    ))?;
    Ok(bytes)
}

/// The source of a service key.
pub(crate) enum Origin {
    /// The environment.
    Variable,
    /// A file that existed already.
    File(PathBuf),
    /// A file that was created now.
    Made(PathBuf),
}

/// Reads the service key from the environment or the file. Creates the file if neither exists.
pub(crate) fn service_key(path: &Path) -> Result<(ServiceKey, Origin), Failure> {
    if let Some(text) = std::env::var_os(SERVICE_KEY_VARIABLE) {
        // A value that is not Unicode is not visible ASCII either, and is refused like a key that is too short.
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
        Created::Now => Origin::Made(path.to_owned()),
    };
    Ok((key, origin))
}

fn checked(text: &str, place: &str) -> Result<ServiceKey, Failure> {
    ServiceKey::new(text).map_err(Failure::during(format!("the service key in {place} is refused")))
}
