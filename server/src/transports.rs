//! Where a session's token may stand in a request, as flags.

use axum::http::HeaderName;
use clap::{Args, ValueEnum};
use tessera::Sessions;
use tessera::http::api::{Api, check_transports, parse_transport};
use tessera::http::{Preflight, TokenTransport};

use crate::failure::Failure;

/// How tokens travel.
#[derive(Args)]
#[command(next_help_heading = "Transports")]
pub(crate) struct TransportFlags {
    /// Where a token may stand: bearer, cookie:NAME or header:NAME; several in order of preference, by commas or one by
    /// one [default: bearer,cookie:__Host-tessera,cookie:tessera]
    ///
    /// A cookie that an application sets with other attributes than Tessera does is written with them, so that /auth can
    /// renew it: cookie:shop;Domain=example.com;Secure.
    #[arg(
        long = "transport",
        value_name = "TRANSPORT",
        value_delimiter = ',',
        value_parser = |text: &str| parse_transport(text.trim()),
        env = "TESSERA_TRANSPORTS"
    )]
    transports: Vec<TokenTransport>,
    /// The same for `/auth` alone [default: as --transport]
    #[arg(
        long = "auth-transport",
        value_name = "TRANSPORT",
        value_delimiter = ',',
        value_parser = |text: &str| parse_transport(text.trim()),
        env = "TESSERA_AUTH_TRANSPORTS"
    )]
    auth_transports: Vec<TokenTransport>,
    /// What `/auth` answers to OPTIONS, which browsers send without credentials before a request from another origin:
    /// check refuses it, pass leaves the answer to the application behind the proxy
    #[arg(
        long,
        value_name = "WHAT",
        ignore_case = true,
        default_value = "check",
        env = "TESSERA_AUTH_OPTIONS"
    )]
    auth_options: WithOptions,
    /// The header in which the proxy names the method of the request, such as X-Forwarded-Method, for
    /// `--auth-options pass`; the proxy has to set it over any that the client sent [default: the method of the question]
    #[arg(long, value_name = "HEADER", env = "TESSERA_AUTH_METHOD_HEADER")]
    auth_method_header: Option<HeaderName>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WithOptions {
    Check,
    Pass,
}

impl TransportFlags {
    /// Refuses what cannot be, before anything is made. `auth_headers`: the fields that proxies receive at `/auth`, each with its header.
    pub(crate) fn check(&self, auth_headers: &[(String, HeaderName)]) -> Result<(), Failure> {
        check_transports(&self.transports, auth_headers).map_err(Failure::new)?;
        check_transports(&self.auth_transports, auth_headers).map_err(Failure::new)?;
        if self.auth_method_header.is_some() && self.auth_options == WithOptions::Check {
            return Err(Failure::new(
                "--auth-method-header is for --auth-options pass alone",
            ));
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
