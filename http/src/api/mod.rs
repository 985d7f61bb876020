//! The JSON API under `/v1`, the answers to proxies at `/auth`, and their description at `/openapi.json`.
//!
//! A thin layer over the engine, independent of connections, runtimes and files, so that a Worker serves the same API.

mod answer;
mod auth;
mod auth_headers;
mod credentials;
mod fields;
mod members;
mod openapi;
mod router;
mod service;
mod service_key;
mod session;
mod subjects;
mod transports;
mod verify;
mod view;

#[cfg(feature = "connections")]
pub(crate) use answer::{Answer, answer};
#[cfg(feature = "connections")]
pub(crate) use credentials::{ByService, Token, refuse_second_cookie_header, token_of_stream};
#[cfg(feature = "connections")]
pub(crate) use members::MessageMembers;

pub use auth_headers::{check_field, check_headers, parse_header};
pub use fields::{InvalidField, read_field, write_field};
pub use members::{MAXIMUM_BODY_BYTES, Members};
pub use service::{Api, Task};
pub use service_key::{MINIMUM_SERVICE_KEY_BYTES, ServiceKey, WeakServiceKey};
pub use transports::{check_transports, parse_transport};
