//! A request as handlers see it: split, decoded and bounded.

use std::net::SocketAddr;

use bytes::Bytes;
use warp::http::{HeaderMap, HeaderName};
use warp::hyper::upgrade::OnUpgrade;

use super::access::Principal;
use super::patience::Room;
use super::problem::Problem;
use super::router::PathValues;

/// Longest query that is read.
const QUERY_BYTES_MAX: usize = 64 << 10;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// As it stands in the request line, without the query.
    pub(crate) path: String,
    pub(crate) path_values: PathValues,
    /// The query's pairs, decoded, in order.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    /// Who is at the other end of the connection.
    pub(crate) peer: SocketAddr,
    /// For last words, where the connection goes on in another protocol.
    pub(crate) room: Room,
    /// Who asks.
    pub(crate) principal: Principal,
    /// Where the connection goes on in another protocol, if the client may ask for that.
    pub(crate) upgrade: Option<OnUpgrade>,
    /// Empty unless the method has one.
    pub(crate) body: Bytes,
}

impl Request {
    /// One that asks this, of nobody.
    #[cfg(test)]
    pub(crate) fn of_query(query: Vec<(String, String)>) -> Self {
        Self {
            path: "/v1/events".to_owned(),
            path_values: Vec::new(),
            query,
            headers: HeaderMap::new(),
            peer: ([127, 0, 0, 1], 1).into(),
            room: Room::default(),
            principal: Principal::anonymous(None),
            upgrade: None,
            body: Bytes::new(),
        }
    }

    /// The value of a name in the path template.
    pub(crate) fn path_value(&self, name: &str) -> &str {
        self.path_values.iter().find(|(found, _)| *found == name).map_or("", |(_, value)| value)
    }

    /// The value of a parameter in the query, which may be given once.
    ///
    /// # Errors
    ///
    /// It is given twice.
    pub(crate) fn parameter(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values =
            self.query.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Problem::parameter(name, "is given twice: give it once")),
            (value, None) => Ok(value),
        }
    }

    /// A header, if it is text.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The pairs of a query.
///
/// # Errors
///
/// It is too long, or not percent-encoded UTF-8.
pub(crate) fn pairs(query: &str) -> Result<Vec<(String, String)>, Problem> {
    if query.len() > QUERY_BYTES_MAX {
        return Err(Problem::parameter("query", format_args!("is longer than {QUERY_BYTES_MAX} bytes")));
    }
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let of_form = |text: &str| decoded(&text.replace('+', " "));
            Ok((of_form(name)?, of_form(value)?))
        })
        .collect()
}

/// A part of a URL without its percent-encoding.
///
/// # Errors
///
/// It is not UTF-8 then.
pub(crate) fn decoded(text: &str) -> Result<String, Problem> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| {
        let shown: String = text.chars().take(72).collect();
        Problem::parameter("url", format_args!("{shown:?} is not percent-encoded UTF-8"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_split_and_decoded() {
        let check = |query: &str, expect: &[(&str, &str)]| {
            let found = pairs(query).unwrap();
            let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(found, expect, "{query}");
        };
        check("", &[]);
        check("a=1&b=2&a=3", &[("a", "1"), ("b", "2"), ("a", "3")]);
        check("&&a", &[("a", "")]);
        check("asset=USDC%3AG&x=a+b%2Bc", &[("asset", "USDC:G"), ("x", "a b+c")]);
        check("a=b=c", &[("a", "b=c")]);
        assert_eq!(pairs("a=%ff").unwrap_err().detail, "url: \"%ff\" is not percent-encoded UTF-8");
        assert!(pairs(&"a".repeat(QUERY_BYTES_MAX + 1)).is_err());
    }
}
