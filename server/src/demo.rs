//! The demonstration at `/`, restricted so that it can do no harm.
//!
//! Anyone who reaches its page can sign in under any name, without the service key. Therefore:
//!
//! - It has **a key and a store of its own**, in memory: `/v1` and `/auth` refuse its tokens, and none of its records
//!   reaches the service's store. In addition, its subjects begin with `demo:`, and its cookie has another name.
//! - By default it is served only if the service **listens on a loopback address**.
//! - By default it answers only requests **for a loopback name**: a page on the internet whose name resolves to this
//!   machine (DNS rebinding) sends that name in `Host`. It also refuses requests from a proxy, as far as they are
//!   recognisable.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{Version, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use clap::{Args, ValueEnum};
use tessera::Sessions;
use tessera::connections::{Connections, MemoryMailbox};
use tessera::http::demo::{AGENT, Demo};
use tessera::http::{Cookie, Problem};
use tessera::store::MemoryStore;

use crate::failure::Failure;
use crate::key_ring::new_key;
use crate::limits::Limits;
use crate::policy::PolicyFlags;

/// Maximum number of sessions. Anyone can create sessions here, so this bounds their memory.
const MAXIMUM_SESSIONS: usize = 10_000;
/// Maximum number of open pages, and the part of the process's connections that they may occupy.
const MAXIMUM_STREAMS: usize = 256;
const STREAMS_PART: usize = 8;
/// Differs from the cookies of `/v1`, because a browser may hold both.
const COOKIE: &str = "tessera-demo";
const HOST_COOKIE: &str = "__Host-tessera-demo";

#[derive(Args, Clone, Copy)]
pub(crate) struct DemoFlags {
    /// Serve the demonstration at `/`, where anyone can sign in under any name, with keys and sessions of its own: auto
    /// serves it on a loopback address alone; on requires TLS in front
    #[arg(
        long,
        value_name = "WHEN",
        ignore_case = true,
        default_value = "auto",
        env = "TESSERA_DEMO",
        help_heading = "Demonstration"
    )]
    demo: When,
}

/// The demonstration as it is served.
pub(crate) struct Served {
    pub(crate) router: Router,
    /// The streams of its pages.
    pub(crate) connections: Arc<Connections<MemoryMailbox>>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    Auto,
    #[value(alias = "true")]
    On,
    #[value(alias = "false")]
    Off,
}

impl DemoFlags {
    /// The routes of the demonstration, if it is to be served when the service listens on this address.
    /// It has the service's policy, so that the timeouts can be observed.
    pub(crate) fn at(
        self,
        address: SocketAddr,
        policy: PolicyFlags,
        limits: &Limits,
    ) -> Result<Option<Served>, Failure> {
        let is_local = is_loopback_address(address.ip());
        if self.demo == When::Off || (self.demo == When::Auto && !is_local) {
            return Ok(None);
        }
        let what = "cannot set up the demonstration (`--demo off` leaves it out)";
        let cookie = if self.demo == When::Auto {
            // Over plain http, over which not every browser sends `Secure` cookies.
            Cookie::builder().name(COOKIE).secure(false)
        } else {
            Cookie::builder().name(HOST_COOKIE)
        };
        let cookie = cookie.build().map_err(Failure::during(what))?;
        let sessions = sessions(policy, what)?;
        let grace = sessions.policy().rotation_grace;
        let pause = |time: Duration| Box::pin(tokio::time::sleep(time)) as _;
        let part = limits.maximum_connections as usize / STREAMS_PART;
        let streams = part.clamp(1, MAXIMUM_STREAMS);
        let connections = Connections::builder(&sessions).on_node(streams);
        let connections = connections
            .build(MemoryMailbox::new())
            .map_err(Failure::during(what))?;
        let connections = Arc::new(connections);
        let demo = Demo::new(sessions, cookie, grace, pause).connections(&connections);
        let router = match self.demo {
            When::Auto => demo.router().layer(from_fn(only_locally)),
            When::On | When::Off => demo.router(),
        };
        Ok(Some(Served { router, connections }))
    }

    /// The lines about the demonstration that the service prints at its start.
    pub(crate) fn introduction(self, address: SocketAddr) -> String {
        let whence = match self.demo {
            When::Auto => "from this machine only",
            When::On | When::Off => "FROM WHEREVER THIS ADDRESS CAN BE REACHED, over TLS",
        };
        format!(
            "\nOpen http://{address}/ to see it work: a demonstration, {whence}, where anyone can sign in under any name,
with a key and sessions of its own; --demo off turns it off.\n"
        )
    }
}

fn sessions(policy: PolicyFlags, what: &'static str) -> Result<Sessions, Failure> {
    let builder = Sessions::builder();
    let builder = policy.apply(builder)?.policy(|policy| {
        policy.public_fields = vec![AGENT.into()];
        // Only a JWT contains them, and the demonstration issues none.
        policy.token_fields.clear();
    });
    builder
        .key(new_key(Some("demo".into()))?)
        .instances(1)
        .build(MemoryStore::builder().capacity(MAXIMUM_SESSIONS).build())
        .map_err(Failure::during(what))
}

fn is_loopback_address(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

async fn only_locally(request: Request, next: Next) -> Response {
    if is_for_this_machine(&request) {
        return next.run(request).await;
    }
    let detail = "the demonstration can be used only on this machine, under a name such as localhost, and not through a proxy";
    Problem::new(403, "host-refused", detail).into_response()
}

/// The headers that proxies add to the requests that they forward.
const FORWARDED: [&str; 7] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-real-ip",
];

/// Whether the request names this machine as its host, by a name that cannot be made to mean another, and shows no sign of
/// a proxy. A proxy that adds no header cannot be distinguished from a browser.
fn is_for_this_machine(request: &Request) -> bool {
    // Browsers use HTTP/1.1; nginx uses 1.0 towards upstreams by default.
    let is_forwarded = request.version() != Version::HTTP_11;
    if is_forwarded || FORWARDED.iter().any(|name| request.headers().contains_key(*name)) {
        return false;
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let named = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().is_ok_and(is_loopback),
        _ => false,
    };
    // A client of a proxy names the host in the request line as well.
    named
        && request
            .uri()
            .authority()
            .is_none_or(|host| is_loopback(host.as_str()))
}

/// `localhost` or a loopback address, with any port.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(is_loopback_address)
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_names_of_this_machine_are_taken_for_it() {
        for host in [
            "localhost",
            "LocalHost:8787",
            "127.0.0.1:8787",
            "127.0.0.1",
            "[::1]:8787",
            "[::1]",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            ":80",
            "example.com",
            "localhost.example.com:8787",
            "127.0.0.1.example.com",
            "example.com:127.0.0.1",
            "192.168.0.2:8787",
            "[::2]:8787",
            "user@localhost",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
