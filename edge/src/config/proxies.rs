//! What proxies and clients see: where tokens may stand, and what `/auth` answers.

use http::HeaderName;
use tessera_http::api::{check_headers, check_transports, parse_header, parse_transport};
use tessera_http::{Preflight, TokenTransport};
use worker::Env;

use super::error::ConfigError;
use super::value::variable;
use super::variables::{AUTH_HEADERS, AUTH_METHOD_HEADER, AUTH_OPTIONS, PROTECTED_FIELDS};

/// The fields that proxies receive as headers, as in `role=X-Role,team=X-Team`.
pub(super) fn auth_headers(env: &Env) -> Result<Vec<(String, HeaderName)>, ConfigError> {
    let Some(variable) = variable(env, AUTH_HEADERS) else {
        return Ok(Vec::new());
    };
    let auth_headers: Result<Vec<_>, String> = variable.texts()?.into_iter().map(parse_header).collect();
    let auth_headers = auth_headers.map_err(|reason| variable.refused(reason))?;
    check_headers(&auth_headers).map_err(|reason| variable.refused(reason))?;
    Ok(auth_headers)
}

/// Further fields that only the service key writes.
pub(super) fn protected(env: &Env) -> Result<Vec<String>, ConfigError> {
    let Some(variable) = variable(env, PROTECTED_FIELDS) else {
        return Ok(Vec::new());
    };
    Ok(variable.texts()?.into_iter().map(str::to_owned).collect())
}

/// Where tokens may stand, as in `bearer,cookie:__Host-tessera`.
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

/// What `/auth` answers to `OPTIONS`.
pub(super) fn auth_options(env: &Env) -> Result<Preflight, ConfigError> {
    let is_passed = match variable(env, AUTH_OPTIONS) {
        Some(options) => options.word(&["check", "pass"])? == "pass",
        None => false,
    };
    let method_header = variable(env, AUTH_METHOD_HEADER);
    if let (Some(header), false) = (&method_header, is_passed) {
        return Err(header.refused(format!("it is for {AUTH_OPTIONS} = \"pass\" alone")));
    }
    let name = |header: super::value::Variable| {
        let name = HeaderName::try_from(header.text()?);
        name.map_err(|_| header.refused("it is no name of a header".into()))
    };
    let method_header = method_header.map(name).transpose()?;
    Ok(if is_passed {
        Preflight::Pass { method_header }
    } else {
        Preflight::Check
    })
}
