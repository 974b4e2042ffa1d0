//! Which pages may ask. A browser sends cookies and reaches loopback addresses from any page: a page that is not ours, and was
//! not allowed, is refused.

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
