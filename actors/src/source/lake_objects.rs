//! Object stores that a lake may lie in, made from URLs, and what their errors mean.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientConfigKey, ClientOptions, ObjectStore, RetryConfig};

use super::remote_url::RemoteUrl;
use super::{SourceError, SourceErrorKind};

/// Where values such as credentials are looked up: the environment, for a program.
pub type Lookup<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// A request that makes no progress for this long has failed.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A dense batch of 64 ledgers over 10 Mbit/s takes 90 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// What listing a store gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    /// Keys in lexicographic order, so newest first; page by page.
    NewestFirst,
    /// Keys in any order.
    Unordered,
    /// Nothing: keys can only be asked for.
    None,
}

/// A place below which a lake's keys lie.
#[derive(Debug)]
pub(super) struct ObjectPlace {
    /// As the operator gave it, without options.
    pub(super) name: Arc<str>,
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) root: Path,
    pub(super) listing: Listing,
}

impl ObjectPlace {
    /// A directory. It must exist.
    pub(super) fn directory(root: &FilePath) -> Result<Self, SourceError> {
        let name = root.to_string_lossy();
        let metadata = std::fs::metadata(root).map_err(|error| SourceError::io(&*name, error))?;
        if !metadata.is_dir() {
            let reason = "this is a file, so it is no lake; give the path without file:// to read files";
            return Err(SourceError::new(&*name, SourceErrorKind::BadConfig(reason.to_owned())));
        }
        let store = LocalFileSystem::new_with_prefix(root).map_err(|error| failure(&*name, error))?;
        let (name, store) = (name.as_ref().into(), Arc::new(store));
        Ok(Self { name, store, root: Path::default(), listing: Listing::Unordered })
    }

    /// `s3://BUCKET/PREFIX`. Credentials are looked up, and never elsewhere.
    pub(super) fn s3(url: &RemoteUrl, lookup: Lookup<'_>) -> Result<Self, SourceError> {
        let options = url.options(&["endpoint", "region", "anonymous", "virtual_hosted"])?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&url.host)
            .with_retry(no_retries())
            .with_client_options(client(options.get("endpoint").or(lookup("AWS_ENDPOINT_URL").as_ref())));
        for name in S3_VARIABLES {
            if let (Some(value), Ok(key)) =
                (lookup(name), name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>())
            {
                builder = builder.with_config(key, value);
            }
        }
        for (option, key) in [
            ("endpoint", AmazonS3ConfigKey::Endpoint),
            ("region", AmazonS3ConfigKey::Region),
            ("anonymous", AmazonS3ConfigKey::SkipSignature),
            ("virtual_hosted", AmazonS3ConfigKey::VirtualHostedStyleRequest),
        ] {
            if let Some(value) = options.get(option) {
                builder = builder.with_config(key, value);
            }
        }
        let store = builder.build().map_err(|error| unusable(url, &error))?;
        Self::remote(url, Arc::new(store), Listing::NewestFirst)
    }

    /// `gs://BUCKET/PREFIX`.
    pub(super) fn gs(url: &RemoteUrl, lookup: Lookup<'_>) -> Result<Self, SourceError> {
        let options = url.options(&["endpoint", "anonymous"])?;
        let mut builder = GoogleCloudStorageBuilder::new()
            .with_bucket_name(&url.host)
            .with_retry(no_retries())
            .with_client_options(client(options.get("endpoint")));
        for name in GS_VARIABLES {
            let key = name.to_ascii_lowercase().parse::<GoogleConfigKey>();
            if let (Some(value), Ok(key)) = (lookup(name), key) {
                builder = builder.with_config(key, value);
            }
        }
        if let Some(endpoint) = options.get("endpoint") {
            builder = builder.with_base_url(endpoint);
        }
        if let Some(anonymous) = options.get("anonymous") {
            builder = builder.with_config(GoogleConfigKey::SkipSignature, anonymous);
        }
        let store = builder.build().map_err(|error| unusable(url, &error))?;
        Self::remote(url, Arc::new(store), Listing::NewestFirst)
    }

    /// `http(s)://HOST/PATH`: a web server, which need not list anything.
    pub(super) fn http(url: &RemoteUrl) -> Result<Self, SourceError> {
        url.options(&[])?;
        let origin = format!("{}://{}", url.scheme, url.host);
        let builder = HttpBuilder::new()
            .with_url(&origin)
            .with_retry(no_retries())
            .with_client_options(client(Some(&origin)));
        let store = builder.build().map_err(|error| unusable(url, &error))?;
        Self::remote(url, Arc::new(store), Listing::None)
    }

    fn remote(url: &RemoteUrl, store: Arc<dyn ObjectStore>, listing: Listing) -> Result<Self, SourceError> {
        let root = Path::parse(url.path.trim_matches('/'))
            .map_err(|error| SourceError::new(&*url.name, SourceErrorKind::BadUrl(error.to_string())))?;
        Ok(Self { name: url.name.clone(), store, root, listing })
    }

    /// `key` below the root. Keys of lakes have no part that needs encoding.
    pub(super) fn key(&self, key: &str) -> Path {
        self.root.parts().chain(key.split('/').map(Into::into)).collect()
    }

    /// `key` for a person.
    pub(super) fn display_key(&self, key: &str) -> String {
        format!("{}/{key}", self.name.trim_end_matches('/'))
    }
}

/// What [`ObjectPlace::s3`] looks up.
const S3_VARIABLES: [&str; 12] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// What [`ObjectPlace::gs`] looks up.
const GS_VARIABLES: [&str; 3] =
    ["GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_APPLICATION_CREDENTIALS"];

/// One try: who retries is the stream, which knows of other sources.
fn no_retries() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

/// Plain HTTP only where the operator wrote it.
fn client(endpoint: Option<&String>) -> ClientOptions {
    let is_plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    ClientOptions::new()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_timeout(REQUEST_TIMEOUT)
        .with_read_timeout(READ_TIMEOUT)
        .with_allow_http(is_plain)
        .with_config(ClientConfigKey::UserAgent, concat!("orrery/", env!("CARGO_PKG_VERSION")))
}

fn unusable(url: &RemoteUrl, error: &object_store::Error) -> SourceError {
    SourceError::new(&*url.name, SourceErrorKind::BadUrl(one_line(&error.to_string())))
}

/// What an error of a store means.
pub(super) fn failure(file: impl Into<Arc<str>>, error: object_store::Error) -> SourceError {
    use object_store::Error;
    let text = one_line(&with_cause(&error));
    let kind = match error {
        _ if CREDENTIAL_SERVERS.iter().any(|server| text.contains(server)) => SourceErrorKind::Denied(
            "there are no credentials in the environment, and this machine has none".to_owned(),
        ),
        Error::NotFound { .. } => SourceErrorKind::NotFound,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => SourceErrorKind::Denied(text),
        Error::InvalidPath { .. }
        | Error::NotSupported { .. }
        | Error::NotImplemented { .. }
        | Error::UnknownConfigurationKey { .. } => SourceErrorKind::Refused(text),
        _ => match status_of(&text) {
            Some(status @ (429 | 503)) => SourceErrorKind::Throttled { status, after: None },
            Some(400..=499) if status_of(&text) != Some(408) => SourceErrorKind::Refused(text),
            _ if text.contains("redirect without LOCATION") => {
                let reason = "the bucket is in another region; give `region=` in the URL, or AWS_REGION";
                SourceErrorKind::Refused(reason.to_owned())
            }
            _ => SourceErrorKind::Fetch(text),
        },
    };
    SourceError::new(file, kind)
}

/// Where the libraries look for credentials when they were given none: the machine's own, in a cloud.
const CREDENTIAL_SERVERS: [&str; 3] = ["169.254.169.254", "169.254.170.2", "metadata.google.internal"];

/// An error and its innermost cause, which the libraries leave out of the text.
fn with_cause(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    let cause = std::iter::successors(error.source(), |cause| cause.source()).last().map(ToString::to_string);
    match cause.filter(|cause| !text.contains(cause.as_str())) {
        Some(cause) => format!("{text}: {cause}"),
        None => text,
    }
}

/// The library gives the HTTP status as text only; a test against a server holds the text fixed.
fn status_of(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("non-2xx status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// Servers answer with pages; what is shown of one fits a log line, and tells a terminal nothing.
pub(super) fn one_line(text: &str) -> String {
    const CHARACTERS_MAX: usize = 300;
    let is_blank = |letter: char| letter.is_whitespace() || letter.is_control();
    let line = text.split(is_blank).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
