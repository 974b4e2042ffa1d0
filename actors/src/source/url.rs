//! The names of ledger sources.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::{RemoteUrl, SourceError, SourceErrorKind};

/// Kinds that are read over a network.
const REMOTE_SCHEMES: [&str; 6] = ["s3", "gs", "http", "https", "rpc+http", "rpc+https"];

/// Where ledgers come from. Parsing looks at the text alone, not at the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceUrl {
    /// `file://PATH`: a SEP-54 lake. The path is taken as it stands, without percent-decoding.
    Lake(PathBuf),
    /// A file or a directory; a directory with `.config.json` is a lake.
    Path(String),
    /// A path with `*`, `?` or `[`; a file of exactly this name comes first.
    Pattern(String),
    /// `stream:FILE`: a file or named pipe.
    Stream(PathBuf),
    /// `stream:-`: standard input.
    Stdin,
    /// `synthetic:?QUERY`: made-up ledgers; the query without its question mark.
    Synthetic(String),
    /// `s3://`, `gs://`, `http(s)://`: a SEP-54 lake; `rpc+http(s)://`: a Stellar RPC server.
    Remote(RemoteUrl),
}

impl FromStr for SourceUrl {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let error = |kind| SourceError::new(text, kind);
        if text.is_empty() {
            return Err(error(SourceErrorKind::NotFound));
        }
        let Some((scheme, rest)) = split_scheme(text) else {
            return Ok(match text.contains(['*', '?', '[']) {
                true => Self::Pattern(text.to_owned()),
                false => Self::Path(text.to_owned()),
            });
        };
        match (scheme.as_str(), rest.strip_prefix("//")) {
            ("file", Some(path)) if !path.is_empty() => Ok(Self::Lake(path.into())),
            ("stream", _) if rest == "-" => Ok(Self::Stdin),
            ("stream", None) if !rest.is_empty() => Ok(Self::Stream(rest.into())),
            ("synthetic", None) if rest.is_empty() => Ok(Self::Synthetic(String::new())),
            ("synthetic", None) if rest.starts_with('?') => Ok(Self::Synthetic(rest[1..].to_owned())),
            (other, Some(rest)) if REMOTE_SCHEMES.contains(&other) => {
                RemoteUrl::parse(scheme, rest).map(Self::Remote)
            }
            _ => Err(error(SourceErrorKind::UnknownScheme { scheme })),
        }
    }
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lake(path) => write!(f, "file://{}", path.display()),
            Self::Path(path) | Self::Pattern(path) => f.write_str(path),
            Self::Stream(path) => write!(f, "stream:{}", path.display()),
            Self::Stdin => f.write_str("stream:-"),
            Self::Synthetic(query) => write!(f, "synthetic:?{query}"),
            Self::Remote(url) => url.fmt(f),
        }
    }
}

/// Scheme in lower case and what follows its colon. A path with a colon in it has no scheme, unless the colon is followed
/// by `//` or the word before it is one of ours.
fn split_scheme(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let is_word = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|char| char.is_ascii_alphanumeric() || "+-.".contains(char));
    let scheme = scheme.to_ascii_lowercase();
    let is_ours = ["file", "stream", "synthetic"].contains(&scheme.as_str());
    (is_word && (rest.starts_with("//") || is_ours)).then_some((scheme, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: SourceUrl) {
        assert_eq!(text.parse::<SourceUrl>().unwrap(), expect, "{text}");
    }

    fn check_refused(text: &str, fragment: &str) {
        let error = text.parse::<SourceUrl>().unwrap_err();
        assert!(error.to_string().contains(fragment), "{error}");
        assert!(error.to_string().starts_with(text), "{error}");
        assert_eq!(error.class(), super::super::SourceErrorClass::Usage, "{error}");
    }

    #[test]
    fn url_names_its_kind_of_source() {
        check("file:///data/lake", SourceUrl::Lake("/data/lake".into()));
        check("FILE://lake", SourceUrl::Lake("lake".into()));
        check("file:///a%20b", SourceUrl::Lake("/a%20b".into()));
        check("ledger.xdr", SourceUrl::Path("ledger.xdr".into()));
        check("a:b.xdr", SourceUrl::Path("a:b.xdr".into()));
        check("./stream", SourceUrl::Path("./stream".into()));
        check("dir/*.xdr", SourceUrl::Pattern("dir/*.xdr".into()));
        check("dir/[ab].xdr", SourceUrl::Pattern("dir/[ab].xdr".into()));
        check("stream:-", SourceUrl::Stdin);
        check("stream:meta.xdr", SourceUrl::Stream("meta.xdr".into()));
        check("stream:./-", SourceUrl::Stream("./-".into()));
        check("synthetic:", SourceUrl::Synthetic(String::new()));
        check("synthetic:?seed=1&ledgers=9", SourceUrl::Synthetic("seed=1&ledgers=9".into()));
    }

    #[test]
    fn url_of_another_kind_is_refused_with_the_accepted_ones() {
        check_refused("ftp://h/x", "unknown kind of source `ftp`; accepted are");
        check_refused("file:/x", "unknown kind of source `file`");
        check_refused("file://", "unknown kind");
        check_refused("stream:", "unknown kind");
        check_refused("stream://x", "unknown kind");
        check_refused("synthetic://x", "unknown kind");
    }

    #[test]
    fn remote_url_keeps_its_parts() {
        let check = |text: &str, scheme: &str, host: &str, path: &str| match text.parse() {
            Ok(SourceUrl::Remote(url)) => {
                assert_eq!((&*url.scheme, &*url.host, &*url.path), (scheme, host, path), "{text}");
            }
            other => panic!("{text}: {other:?}"),
        };
        check("s3://bucket/v1/ledgers?region=a", "s3", "bucket", "/v1/ledgers");
        check("GS://bucket", "gs", "bucket", "");
        check("http://127.0.0.1:80/x", "http", "127.0.0.1:80", "/x");
        check("https://h", "https", "h", "");
        check("rpc+http://h/k", "rpc+http", "h", "/k");
        check("rpc+https://h", "rpc+https", "h", "");
    }

    #[test]
    fn url_prints_as_it_was_given() {
        for text in ["file:///data/lake", "a.xdr", "*.xdr", "stream:-", "stream:x", "synthetic:?seed=1"] {
            assert_eq!(text.parse::<SourceUrl>().unwrap().to_string(), text);
        }
    }
}
