//! The transports of a session's token, as flags.

use axum::http::HeaderName;
use clap::{Args, ValueEnum};
use tessera::Sessions;
use tessera::http::api::{Api, check_transports, parse_transport};
use tessera::http::{Preflight, TokenTransport};

use crate::failure::Failure;

/// The transports of tokens.
#[derive(Args)]
#[command(next_help_heading = "Transports")]
pub(crate) struct TransportFlags {
    /// A transport of the token: bearer, cookie:NAME or header:NAME; several in order of preference, separated by commas or
    /// given one by one [default: bearer,cookie:__Host-tessera,cookie:tessera]
    ///
    /// If an application sets a cookie with other attributes than Tessera does, add them, so that /auth can renew it:
    /// cookie:shop;Domain=example.com;Secure.
    #[arg(
        long = "transport",
        value_name = "TRANSPORT",
        value_delimiter = ',',
        value_parser = |text: &str| parse_transport(text.trim()),
        env = "TESSERA_TRANSPORTS"
    )]
    transports: Vec<TokenTransport>,
    /// A transport of the token at `/auth` alone [default: as --transport]
    #[arg(
        long = "auth-transport",
        value_name = "TRANSPORT",
        value_delimiter = ',',
        value_parser = |text: &str| parse_transport(text.trim()),
        env = "TESSERA_AUTH_TRANSPORTS"
    )]
    auth_transports: Vec<TokenTransport>,
    /// The response of `/auth` to OPTIONS, which browsers send without credentials before a request from another origin:
    /// check refuses it, pass leaves the response to the application behind the proxy
    #[arg(
        long,
        value_name = "WHAT",
        ignore_case = true,
        default_value = "check",
        env = "TESSERA_AUTH_OPTIONS"
    )]
    auth_options: WithOptions,
    /// The header in which the proxy names the method of the request, such as X-Forwarded-Method, for `--auth-options
    /// pass`; the proxy must set it, replacing any that the client sent [default: the method of the proxy's own request]
    #[arg(long, value_name = "HEADER", env = "TESSERA_AUTH_METHOD_HEADER")]
    auth_method_header: Option<HeaderName>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WithOptions {
    Check,
    Pass,
}

impl TransportFlags {
    /// Refuses an invalid combination before anything is created. `auth_headers` lists the fields that proxies receive at
    /// `/auth`, each with its header.
    pub(crate) fn check(&self, auth_headers: &[(String, HeaderName)]) -> Result<(), Failure> {
        check_transports(&self.transports, auth_headers).map_err(Failure::new)?;
        check_transports(&self.auth_transports, auth_headers).map_err(Failure::new)?;
        if self.auth_method_header.is_some() && self.auth_options == WithOptions::Check {
            return Err(Failure::new("--auth-method-header requires --auth-options pass"));
        }
        Ok(())
    }

    pub(crate) fn apply(self, api: Api<Sessions>) -> Api<Sessions> {
        api.transports(self.transports)
            .auth_transports(self.auth_transports)
            .auth_options(match self.auth_options {
                WithOptions::Check => Preflight::Check,
                WithOptions::Pass => Preflight::Pass {
                    method_header: self.auth_method_header,
                },
            })
    }
}
