//! URLs of remote sources: `SCHEME://HOST/PATH?OPTION=VALUE&...`. Text only, no I/O.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{SourceError, SourceErrorKind};

/// A remote source as the operator named it.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteUrl {
    /// In lower case: `s3`, `gs`, `http`, `https`, `rpc+http` or `rpc+https`.
    pub scheme: String,
    /// Host and port, or bucket.
    pub host: String,
    /// What follows the host, with its slash.
    pub path: String,
    /// Options, as given.
    query: String,
    /// For people: no options, and of an RPC server neither path, since providers put keys into both.
    pub name: Arc<str>,
}

/// The name: options and paths may be secrets.
impl fmt::Debug for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteUrl({})", self.name)
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl RemoteUrl {
    /// `rest` is what follows `scheme://`.
    pub(super) fn parse(scheme: String, rest: &str) -> Result<Self, SourceError> {
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let at = place.find('/').unwrap_or(place.len());
        let (host, path) = place.split_at(at);
        let host_shown = host.rsplit('@').next().unwrap_or_default();
        let path_shown = match scheme.starts_with("rpc+") {
            true if !path.trim_matches('/').is_empty() || !query.is_empty() => "/...",
            true => "",
            false => path,
        };
        let name: Arc<str> = format!("{scheme}://{host_shown}{path_shown}").into();
        let error =
            |reason: &str| Err(SourceError::new(name.clone(), SourceErrorKind::BadUrl(reason.to_owned())));
        if host.contains('@') {
            return error("credentials in a URL end up in logs; give them in the environment");
        }
        if host.is_empty() {
            return error("names no host or bucket");
        }
        if rest.contains(|char: char| char.is_whitespace() || char.is_control() || char == '#') {
            return error("a URL has no spaces, no control characters and no `#`");
        }
        Ok(Self { host: host.to_owned(), path: path.to_owned(), query: query.to_owned(), scheme, name })
    }

    /// The options; one that is not `known`, or has no value, is an error.
    pub(super) fn options(&self, known: &[&str]) -> Result<BTreeMap<String, String>, SourceError> {
        let error = |reason| Err(SourceError::new(self.name.clone(), SourceErrorKind::BadUrl(reason)));
        let mut options = BTreeMap::new();
        for part in self.query.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            if !known.contains(&key) {
                let accepted = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return error(format!("unknown option `{key}`; accepted: {accepted}"));
            }
            if value.is_empty() {
                return error(format!("option `{key}` has no value"));
            }
            let is_flag = ["anonymous", "virtual_hosted"].contains(&key);
            if is_flag && !["true", "false"].contains(&value) {
                return error(format!("option `{key}` is `true` or `false`"));
            }
            options.insert(key.to_owned(), value.to_owned());
        }
        Ok(options)
    }

    /// The URL that requests of an RPC server go to.
    pub(super) fn rpc_address(&self) -> String {
        let scheme = self.scheme.trim_start_matches("rpc+");
        let question = if self.query.is_empty() { "" } else { "?" };
        format!("{scheme}://{}{}{question}{}", self.host, self.path, self.query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RemoteUrl, SourceError> {
        let (scheme, rest) = text.split_once("://").unwrap();
        RemoteUrl::parse(scheme.to_owned(), rest)
    }

    #[test]
    fn name_shows_no_secret() {
        let check = |text, name| assert_eq!(parse(text).unwrap().to_string(), name);
        check("s3://bucket/v1/pubnet?region=us-east-2", "s3://bucket/v1/pubnet");
        check("https://host:8443/lake", "https://host:8443/lake");
        check("rpc+https://host", "rpc+https://host");
        check("rpc+https://host/", "rpc+https://host");
        check("rpc+https://host/v1/s3cret", "rpc+https://host/...");
        check("rpc+https://host?key=s3cret", "rpc+https://host/...");
        assert_eq!(format!("{:?}", parse("rpc+http://h/s3cret").unwrap()), "RemoteUrl(rpc+http://h/...)");
        assert_eq!(parse("rpc+https://h/v1/k?x=1").unwrap().rpc_address(), "https://h/v1/k?x=1");
    }

    #[test]
    fn bad_url_is_refused_without_its_secret() {
        let check = |text, fragment: &str| {
            let error =
                parse(text).and_then(|url| url.options(&["region", "anonymous"])).unwrap_err().to_string();
            assert!(error.contains(fragment) && !error.contains("s3cret"), "{error}");
        };
        check("s3://user:s3cret@bucket/x", "credentials in a URL");
        check("s3:///x", "no host or bucket");
        check("s3://b/x y", "no spaces");
        check("s3://b/x#y", "no `#`");
        check("s3://b\0/x", "no control characters");
        check("s3://b/x?regoin=a", "unknown option `regoin`; accepted: region, anonymous");
        check("s3://b/x?region", "option `region` has no value");
        check("s3://b/x?anonymous=yes", "`true` or `false`");
    }
}
