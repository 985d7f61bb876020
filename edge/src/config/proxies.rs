//! Settings of the interface to proxies and clients: token transports, and the answers of `/auth`.

use http::HeaderName;
use tessera_http::api::{check_headers, check_transports, parse_header, parse_transport};
use tessera_http::{Preflight, TokenTransport};
use worker::Env;

use super::error::ConfigError;
use super::value::variable;
use super::variables::{AUTH_HEADERS, AUTH_METHOD_HEADER, AUTH_OPTIONS, PROTECTED_FIELDS};

/// Reads the fields that proxies receive as headers, such as `role=X-Role,team=X-Team`.
pub(super) fn auth_headers(env: &Env) -> Result<Vec<(String, HeaderName)>, ConfigError> {
    let Some(variable) = variable(env, AUTH_HEADERS) else {
        return Ok(Vec::new());
    };
    let auth_headers: Result<Vec<_>, String> = variable.texts()?.into_iter().map(parse_header).collect();
    let auth_headers = auth_headers.map_err(|reason| variable.refused(reason))?;
    check_headers(&auth_headers).map_err(|reason| variable.refused(reason))?;
    Ok(auth_headers)
}

/// Reads the additional fields that only the service key may write.
pub(super) fn protected(env: &Env) -> Result<Vec<String>, ConfigError> {
    let Some(variable) = variable(env, PROTECTED_FIELDS) else {
        return Ok(Vec::new());
    };
    Ok(variable.texts()?.into_iter().map(str::to_owned).collect())
}

/// Reads a list of token transports, such as `bearer,cookie:__Host-tessera`. Empty if the variable is not set.
pub(super) fn transports(
    env: &Env,
    name: &'static str,
    auth_headers: &[(String, HeaderName)],
) -> Result<Vec<TokenTransport>, ConfigError> {
    let Some(variable) = variable(env, name) else {
        return Ok(Vec::new());
    };
    let transports: Result<Vec<_>, String> = variable.texts()?.into_iter().map(parse_transport).collect();
    let transports = transports.map_err(|reason| variable.refused(reason))?;
    check_transports(&transports, auth_headers).map_err(|reason| variable.refused(reason))?;
    Ok(transports)
}

/// Reads the answer of `/auth` to `OPTIONS`.
pub(super) fn auth_options(env: &Env) -> Result<Preflight, ConfigError> {
    let is_passed = match variable(env, AUTH_OPTIONS) {
        Some(options) => options.word(&["check", "pass"])? == "pass",
        None => false,
    };
    let method_header = variable(env, AUTH_METHOD_HEADER);
    if let (Some(header), false) = (&method_header, is_passed) {
        return Err(header.refused(format!("it requires {AUTH_OPTIONS} = \"pass\"")));
    }
    let name = |header: super::value::Variable| {
        let name = HeaderName::try_from(header.text()?);
        name.map_err(|_| header.refused("it is not a header name".into()))
    };
    let method_header = method_header.map(name).transpose()?;
    Ok(if is_passed {
        Preflight::Pass { method_header }
    } else {
        Preflight::Check
    })
}
