//! Which pages may ask. A browser sends cookies and reaches loopback addresses from any page: a page that is not ours, and was
//! not allowed, is refused.

use std::net::IpAddr;

use warp::http::header::HOST;
use warp::http::{HeaderMap, HeaderValue};

use crate::exit::Failure;
use crate::settings::wrong;

/// Pages of these origins may ask, and the node's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Origins(Vec<String>);

impl Origins {
    /// As configured.
    ///
    /// # Errors
    ///
    /// One of them is no origin.
    pub(super) fn new(origins: &[String]) -> Result<Self, Failure> {
        for origin in origins {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            let is_origin = host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', ' ', '@']));
            if !is_origin {
                return Err(wrong("http.origins", origin, "give SCHEME://HOST or SCHEME://HOST:PORT"));
            }
        }
        Ok(Self(origins.to_vec()))
    }

    /// Whether a page of this origin may ask.
    pub(super) fn allow(&self, origin: &HeaderValue, headers: &HeaderMap) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let own = |scheme: &str| origin.strip_prefix(scheme).is_some_and(|found| Some(found) == host);
        own("http://") || own("https://") || self.0.iter().any(|allowed| allowed == origin)
    }
}

/// Whether a request is to this machine by what it says. A page whose name leads here since its own server was asked the second
/// time has its own origin, and says that name. Programs that say nothing are no pages.
pub(super) fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    match name.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => name.eq_ignore_ascii_case("localhost") || name.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leads_here_is_not_this_machine() {
        let check = |host: &str, expect: bool| {
            let headers = [(HOST, host.parse().unwrap())].into_iter().collect();
            assert_eq!(names_this_machine(&headers), expect, "{host}");
        };
        check("127.0.0.1:9464", true);
        check("127.7.0.1", true);
        check("[::1]:9464", true);
        check("localhost:9464", true);
        check("LOCALHOST", true);
        check("orrery.localhost:80", true);
        check("evil.example:9464", false);
        check("localhost.evil.example:9464", false);
        check("127.0.0.1.evil.example", false);
        check("192.0.2.7:9464", false);
        check("", false);
        assert!(names_this_machine(&HeaderMap::new()));
    }
}
