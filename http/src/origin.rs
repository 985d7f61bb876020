//! Origins (RFC 6454), as sent by browsers and configured by applications, and the hosts that they are compared with.

use std::net::Ipv6Addr;

/// The reason why a text is not an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// The scheme is missing, or does not consist of a letter followed by letters, digits and `+-.`.
    #[error("an origin begins with a scheme, as in https://app.example.com")]
    Scheme,
    /// The text contains more than a scheme, a host and a port.
    #[error("an origin is a scheme, a host and a port, without path, query or user")]
    Rest,
    /// The host is invalid, or not in ASCII.
    #[error("the host of an origin is a name in ASCII, or an IP address (IPv6 in brackets)")]
    Host,
    /// The port is not a number from 1 to 65535.
    #[error("the port of an origin is a number from 1 to 65535")]
    Port,
}

/// Scheme, host and port in a canonical form: in lower case, and without the scheme's default port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin {
    scheme: String,
    host: Host,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Host {
    name: String,
    /// `None` for the scheme's default port.
    port: Option<u16>,
}

impl Origin {
    /// Parses the header `Origin`, or an origin that an application trusts.
    pub(crate) fn parse(text: &str) -> Result<Self, OriginError> {
        let (scheme, rest) = text.split_once("://").ok_or(OriginError::Scheme)?;
        let is_scheme_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if !scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            || !scheme.bytes().all(is_scheme_byte)
        {
            return Err(OriginError::Scheme);
        }
        if rest.contains(['/', '?', '#', '\\', '@']) {
            return Err(OriginError::Rest);
        }
        let scheme = scheme.to_ascii_lowercase();
        let host = Host::parse(rest, default_port(&scheme))?;
        Ok(Self { scheme, host })
    }

    /// Whether a page of this origin was served under this host, as named by the header `Host`.
    /// The scheme's default port may be present or absent there.
    pub(crate) fn is_of_host(&self, host: &str) -> bool {
        Host::parse(host, default_port(&self.scheme)).is_ok_and(|host| host == self.host)
    }
}

impl Host {
    fn parse(text: &str, default_port: Option<u16>) -> Result<Self, OriginError> {
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, port),
            _ => (text, ""),
        };
        let port = match port {
            "" => None,
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                let port = digits.parse().ok().filter(|port| *port > 0);
                Some(port.ok_or(OriginError::Port)?)
            }
            _ => return Err(OriginError::Port),
        };
        let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let name = match address {
            Some(address) => {
                let address: Ipv6Addr = address.parse().map_err(|_| OriginError::Host)?;
                format!("[{address}]")
            }
            None if !name.is_empty() && name.bytes().all(is_name_byte) => name.to_ascii_lowercase(),
            None => return Err(OriginError::Host),
        };
        Ok(Self {
            name,
            port: port.filter(|port| Some(*port) != default_port),
        })
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Origin, OriginError};

    #[test]
    fn an_origin_has_one_form_however_it_is_written() {
        for (one, other) in [
            ("https://app.example.com", "HTTPS://App.Example.com:443"),
            ("http://app.example.com", "http://app.example.com:80"),
            ("http://[::1]:8080", "http://[0:0::1]:8080"),
            ("capacitor://localhost", "capacitor://LOCALHOST"),
        ] {
            assert_eq!(Origin::parse(one), Origin::parse(other));
            assert!(Origin::parse(one).is_ok(), "{one}");
        }
        for (one, other) in [
            ("https://app.example.com", "http://app.example.com"),
            ("https://app.example.com", "https://app.example.com:80"),
            ("https://app.example.com", "https://app.example.com.evil"),
        ] {
            assert_ne!(Origin::parse(one), Origin::parse(other));
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_by_its_part() {
        for (text, error) in [
            ("", OriginError::Scheme),
            ("null", OriginError::Scheme),
            ("app.example.com", OriginError::Scheme),
            ("://app.example.com", OriginError::Scheme),
            ("1s://app.example.com", OriginError::Scheme),
            ("https://app.example.com/path", OriginError::Rest),
            ("https://app.example.com?x", OriginError::Rest),
            ("https://user@app.example.com", OriginError::Rest),
            ("https://", OriginError::Host),
            ("https://*.example.com", OriginError::Host),
            ("https://app example", OriginError::Host),
            ("https://b\u{fc}cher.example", OriginError::Host),
            ("https://::1", OriginError::Host),
            ("https://[::1", OriginError::Host),
            ("https://app.example.com:0", OriginError::Port),
            ("https://app.example.com:65536", OriginError::Port),
            ("https://app.example.com:x", OriginError::Port),
        ] {
            assert_eq!(Origin::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_host_may_name_the_port_that_the_scheme_has_anyway() {
        for (origin, host, is_own) in [
            ("https://a.example", "a.example:443", true),
            ("https://a.example:443", "A.example", true),
            ("http://a.example", "a.example:80", true),
            ("http://[::1]", "[::1]:80", true),
            ("https://a.example:8443", "a.example:8443", true),
            ("https://a.example", "a.example:80", false),
            ("http://a.example", "a.example:443", false),
            ("https://a.example", "a.example:8443", false),
            ("https://a.example", "b.example", false),
            ("https://a.example", "", false),
            ("https://a.example", "a.example, b.example", false),
        ] {
            let origin = Origin::parse(origin).unwrap();
            assert_eq!(origin.is_of_host(host), is_own, "{origin:?} {host}");
        }
    }
}
