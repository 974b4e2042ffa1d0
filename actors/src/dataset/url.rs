//! The names of datasets.

use std::fmt;
use std::path::{PathBuf, absolute};
use std::str::FromStr;

use super::DatasetError;

/// Where a dataset is. Parsing looks at the text alone; credentials are never part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatasetUrl {
    /// `file://PATH`: a folder. The path is taken as it stands, without percent-decoding.
    File(PathBuf),
    /// `s3://BUCKET/PREFIX?endpoint=URL&region=NAME&anonymous=true`.
    S3(Bucket),
    /// `gs://BUCKET/PREFIX?endpoint=URL&anonymous=true`.
    Gs(Bucket),
    /// `memory://`: gone with the process; for tests.
    Memory,
}

/// A place in an object store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Name of the bucket.
    pub bucket: String,
    /// Folder inside of it, without slashes at its ends; empty for the whole bucket.
    pub prefix: String,
    /// Another server than the provider's own.
    pub endpoint: Option<String>,
    /// Region of the bucket; `None`: from the environment.
    pub region: Option<String>,
    /// Who asks.
    pub access: Access,
}

/// Who asks an object store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The account that the environment names, as the provider's own tools find it.
    Environment,
    /// Nobody: requests are not signed.
    Anonymous,
}

const FORMS: &str = "write file:///FOLDER, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX (untested)";

impl FromStr for DatasetUrl {
    type Err = DatasetError;

    fn from_str(text: &str) -> Result<Self, DatasetError> {
        let error = |problem: String| DatasetError::Url { url: without_credentials(text), problem };
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(error(format!("not a URL: {FORMS}")));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "file" if rest.is_empty() => Err(error("no folder is named: write file:///FOLDER".to_owned())),
            "file" => Ok(Self::File(rest.into())),
            "s3" => Bucket::parse(rest, &OPTIONS).map(Self::S3).map_err(error),
            "gs" => Bucket::parse(rest, &["endpoint", "anonymous"]).map(Self::Gs).map_err(error),
            "memory" if rest.is_empty() => Ok(Self::Memory),
            other => Err(error(format!("a dataset cannot be at `{other}`: {FORMS}"))),
        }
    }
}

/// Options that buckets have.
const OPTIONS: [&str; 3] = ["endpoint", "region", "anonymous"];

/// The text of a dataset's URL, good or not, as errors and logs may show it: who has put a password or a key there is not to
/// find it again.
pub fn without_credentials(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) if !scheme.eq_ignore_ascii_case("file") => (scheme, rest),
        Some(_) => return text.to_owned(),
        // A path that lacks its scheme, or a secret that is in the wrong place.
        None if text.contains(['@', '?', '=']) => return "(not a URL)".to_owned(),
        None => return text.to_owned(),
    };
    let rest = rest.rsplit_once('@').map_or_else(|| rest.to_owned(), |(_, rest)| format!("...@{rest}"));
    let Some((place, query)) = rest.split_once('?') else { return format!("{scheme}://{rest}") };
    let shown = |option: &str| match option.split_once('=') {
        Some((key, _)) if !OPTIONS.contains(&key) => format!("{key}=..."),
        None if !option.is_empty() && !OPTIONS.contains(&option) => "...".to_owned(),
        _ => option.to_owned(),
    };
    let query: Vec<_> = query.split('&').map(shown).collect();
    format!("{scheme}://{place}?{}", query.join("&"))
}

impl Bucket {
    fn parse(rest: &str, keys: &[&str]) -> Result<Self, String> {
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let prefix = prefix.trim_matches('/');
        let is_name = |char: char| char.is_ascii_alphanumeric() || "-._".contains(char);
        // Keys may have slashes: what is before the sign is not repeated, wherever it is.
        if rest.contains('@') {
            return Err("credentials do not belong into a URL: give them in the environment".to_owned());
        }
        if !(3..=222).contains(&bucket.len()) || !bucket.chars().all(is_name) {
            return Err(format!(
                "`{bucket}` is no bucket: its name has 3 to 222 letters, digits, dots and dashes"
            ));
        }
        let is_segment = |segment: &str| {
            !["", ".", ".."].contains(&segment) && segment.chars().all(|char| is_name(char) || char == '=')
        };
        if !prefix.is_empty() && !prefix.split('/').all(is_segment) {
            return Err(format!(
                "`{prefix}` is no folder: use letters, digits, dots, dashes, `=`, and single slashes between"
            ));
        }
        let mut parsed = Self {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: None,
            region: None,
            access: Access::Environment,
        };
        for option in query.split('&').filter(|option| !option.is_empty()) {
            parsed.set(option, keys)?;
        }
        Ok(parsed)
    }

    fn set(&mut self, option: &str, keys: &[&str]) -> Result<(), String> {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        if !keys.contains(&key) {
            let key = if option.contains('=') { key } else { "..." };
            return Err(format!("unknown option `{key}`: options are {}", keys.join(", ")));
        }
        match (key, value) {
            ("endpoint", value) if value.starts_with("http://") || value.starts_with("https://") => {
                self.endpoint = Some(value.trim_end_matches('/').to_owned());
            }
            ("endpoint", _) => return Err(format!("endpoint `{value}`: write endpoint=http://HOST:PORT")),
            ("region", "") => return Err("region is empty: write region=us-east-1".to_owned()),
            ("region", value) => self.region = Some(value.to_owned()),
            ("anonymous", "true") => self.access = Access::Anonymous,
            ("anonymous", "false") => self.access = Access::Environment,
            _ => return Err(format!("`{option}`: write {key}=true or {key}=false")),
        }
        Ok(())
    }
}

impl DatasetUrl {
    /// What tells the dataset apart from every other, whoever asks and from whichever folder; `None` for memory.
    pub(super) fn place(&self) -> Option<String> {
        let nobody = |bucket: &Bucket| Bucket { region: None, access: Access::Environment, ..bucket.clone() };
        match self {
            // A path that cannot be made absolute is empty, and names no dataset.
            Self::File(path) => Some(Self::File(absolute(path).ok()?.components().collect()).to_string()),
            Self::S3(bucket) => Some(Self::S3(nobody(bucket)).to_string()),
            Self::Gs(bucket) => Some(Self::Gs(nobody(bucket)).to_string()),
            Self::Memory => None,
        }
    }
}

impl fmt::Display for DatasetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file://{}", path.display()),
            Self::S3(bucket) => write!(f, "s3://{bucket}"),
            Self::Gs(bucket) => write!(f, "gs://{bucket}"),
            Self::Memory => f.write_str("memory://"),
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.bucket)?;
        if !self.prefix.is_empty() {
            write!(f, "/{}", self.prefix)?;
        }
        let endpoint = self.endpoint.as_ref().map(|endpoint| format!("endpoint={endpoint}"));
        let region = self.region.as_ref().map(|region| format!("region={region}"));
        let anonymous = (self.access == Access::Anonymous).then(|| "anonymous=true".to_owned());
        for (index, option) in [endpoint, region, anonymous].into_iter().flatten().enumerate() {
            write!(f, "{}{option}", if index == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::DatasetErrorClass;

    fn bucket(bucket: &str, prefix: &str) -> Bucket {
        let (bucket, prefix) = (bucket.to_owned(), prefix.to_owned());
        Bucket { bucket, prefix, endpoint: None, region: None, access: Access::Environment }
    }

    #[test]
    fn url_names_a_place_and_prints_as_it_was_given() {
        let check = |text: &str, expect: DatasetUrl| {
            let url: DatasetUrl = text.parse().unwrap();
            assert_eq!(url, expect, "{text}");
            assert_eq!(url.to_string(), text);
        };
        check("file:///data/set", DatasetUrl::File("/data/set".into()));
        check("file://set?x", DatasetUrl::File("set?x".into()));
        check("memory://", DatasetUrl::Memory);
        check("s3://lake", DatasetUrl::S3(bucket("lake", "")));
        check("gs://lake/a/b=1", DatasetUrl::Gs(bucket("lake", "a/b=1")));
        check(
            "s3://lake/a?endpoint=http://127.0.0.1:9000&region=eu&anonymous=true",
            DatasetUrl::S3(Bucket {
                endpoint: Some("http://127.0.0.1:9000".to_owned()),
                region: Some("eu".to_owned()),
                access: Access::Anonymous,
                ..bucket("lake", "a")
            }),
        );
    }

    #[test]
    fn a_place_is_the_same_whoever_asks() {
        let check = |text: &str, expect: Option<&str>| {
            assert_eq!(text.parse::<DatasetUrl>().unwrap().place().as_deref(), expect, "{text}");
        };
        check("file:///data/./set/", Some("file:///data/set"));
        check("s3://lake/a?region=eu&anonymous=true", Some("s3://lake/a"));
        check("s3://lake/a?endpoint=http://h:1&region=eu", Some("s3://lake/a?endpoint=http://h:1"));
        check("gs://lake", Some("gs://lake"));
        check("memory://", None);
        let relative = "file://set".parse::<DatasetUrl>().unwrap().place().unwrap();
        assert!(relative.starts_with("file:///") && relative.ends_with("/set"), "{relative}");
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_repeated() {
        let error = "s3://lake/a?region=eu&key=s3cret".parse::<DatasetUrl>().unwrap_err().to_string();
        assert!(error.contains("s3://lake/a?region=eu&key=...") && !error.contains("s3cret"), "{error}");
        for text in ["key:s3cret@lake/x", "s3://lake/a?s3cret", "lake?key=s3cret"] {
            let error = text.parse::<DatasetUrl>().unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
        for text in [
            "s3://key:s3cret@lake/x",
            "http://key:s3cret@host/x",
            "gs://s3cret@",
            "s3://key:s3cret/s3cret/s3cret@lake",
            "s3://lake/a?endpoint=http://key:s3cret@h:1",
        ] {
            let error = text.parse::<DatasetUrl>().unwrap_err().to_string();
            assert!(error.contains("://...@") && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn other_texts_are_refused_with_the_form_that_is_meant() {
        let check = |text: &str, fragment: &str| {
            let error = text.parse::<DatasetUrl>().unwrap_err();
            assert!(error.to_string().contains(fragment), "{error}");
            assert!(error.to_string().contains(&without_credentials(text)), "{error}");
            assert_eq!(error.class(), DatasetErrorClass::Usage);
        };
        check("", "write file:///FOLDER");
        check("/data/set", "write file:///FOLDER");
        check("http://h/x", "a dataset cannot be at `http`");
        check("file://", "no folder is named");
        check("memory://x", "a dataset cannot be at `memory`");
        check("s3://", "is no bucket");
        check("s3://ab/x", "is no bucket");
        check("s3://lake/a//b", "is no folder");
        check("s3://lake/../b", "is no folder");
        check("s3://lake/a?colour=red", "unknown option `colour`: options are endpoint, region, anonymous");
        check("gs://lake/a?region=x", "unknown option `region`");
        check("s3://lake/a?endpoint=h:1", "write endpoint=http://HOST:PORT");
        check("s3://lake/a?region=", "write region=us-east-1");
        check("s3://lake/a?anonymous", "write anonymous=true");
    }
}
