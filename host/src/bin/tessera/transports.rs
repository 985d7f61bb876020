//! Where a session's token may stand in a request, as flags.

use axum::http::HeaderName;
use clap::Args;
use tessera::Sessions;
use tessera::http::Carrier;
use tessera::http::api::{Api, check_transports, parse_transport};

use crate::Failure;

/// How tokens travel.
#[derive(Args)]
#[command(next_help_heading = "Transports")]
pub(crate) struct TransportFlags {
    /// Where a token may stand: bearer, cookie:NAME or header:NAME; several in order of preference, by commas or one by
    /// one [default: bearer,cookie:__Host-tessera,cookie:tessera]
    #[arg(
        long = "transport",
        value_name = "TRANSPORT",
        value_delimiter = ',',
        value_parser = parse_transport,
        env = "TESSERA_TRANSPORTS"
    )]
    transports: Vec<Carrier>,
    /// The same for `/auth` alone [default: as --transport]
    #[arg(
        long = "auth-transport",
        value_name = "TRANSPORT",
        value_delimiter = ',',
        value_parser = parse_transport,
        env = "TESSERA_AUTH_TRANSPORTS"
    )]
    auth_transports: Vec<Carrier>,
}

impl TransportFlags {
    /// Refuses what cannot be, before anything is made. `told`: the headers that fields are told in at `/auth`.
    pub(crate) fn check(&self, told: &[(String, HeaderName)]) -> Result<(), Failure> {
        check_transports(&self.transports, told).map_err(Failure::new)?;
        check_transports(&self.auth_transports, told).map_err(Failure::new)
    }

    pub(crate) fn apply(self, api: Api<Sessions>) -> Api<Sessions> {
        api.transports(self.transports)
            .auth_transports(self.auth_transports)
    }
}
