//! A bucket of an object store.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path;
use object_store::{
    ClientOptions, Error, GetOptions, OBJECT_STORE_COALESCE_DEFAULT, ObjectStore, ObjectStoreExt, PutMode,
    PutOptions, PutPayload, RetryConfig, UpdateVersion, coalesce_ranges,
};
use orrery_schemas::Hash32;
use sha2::{Digest, Sha256};

use super::{Failure, Listed, Put, Replaced};
use crate::dataset::error::StoreError;
use crate::dataset::url::{Access, Bucket};

/// Longest request: a file of 100 MB at 1 MB/s. A put that takes longer is unknown and read back.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(100);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What Amazon's own tools read, as far as the library knows it.
const S3_VARIABLES: [&str; 14] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_ALLOW_HTTP",
];

/// What Google's own tools read, as far as the library knows it.
const GS_VARIABLES: [&str; 3] =
    ["GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY"];

pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
}

pub(super) fn s3(
    bucket: &Bucket,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Arc<dyn ObjectStore>, Error> {
    let mut builder = settings(&S3_VARIABLES, environment)
        .fold(AmazonS3Builder::new(), |builder, (key, value)| builder.with_config(key, value));
    if let Some(endpoint) = &bucket.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = &bucket.region {
        builder = builder.with_region(region);
    }
    let endpoint = bucket.endpoint.clone();
    let endpoint =
        endpoint.or_else(|| environment("AWS_ENDPOINT_URL_S3")).or_else(|| environment("AWS_ENDPOINT_URL"));
    let builder = builder
        .with_bucket_name(&bucket.bucket)
        .with_skip_signature(bucket.access == Access::Anonymous)
        .with_retry(no_retry())
        .with_client_options(client_options(endpoint.as_deref()));
    Ok(Arc::new(builder.build()?))
}

pub(super) fn gs(
    bucket: &Bucket,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Arc<dyn ObjectStore>, Error> {
    let mut builder = settings(&GS_VARIABLES, environment)
        .fold(GoogleCloudStorageBuilder::new(), |builder, (key, value)| builder.with_config(key, value));
    if let Some(endpoint) = &bucket.endpoint {
        builder = builder.with_config(GoogleConfigKey::BaseUrl, endpoint);
    }
    let builder = builder
        .with_bucket_name(&bucket.bucket)
        .with_skip_signature(bucket.access == Access::Anonymous)
        .with_retry(no_retry())
        .with_client_options(client_options(bucket.endpoint.as_deref()));
    Ok(Arc::new(builder.build()?))
}

/// What the environment says, in the library's terms.
fn settings<K: FromStr>(
    variables: &[&str],
    environment: &dyn Fn(&str) -> Option<String>,
) -> impl Iterator<Item = (K, String)> {
    variables.iter().filter_map(|variable| {
        let value = environment(variable).filter(|value| !value.is_empty())?;
        Some((variable.to_ascii_lowercase().parse().ok()?, value))
    })
}

/// The dataset has one budget of its own; the library's would multiply with it and hide unknown puts.
fn no_retry() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

/// Without encryption only where the endpoint's URL says so.
fn client_options(endpoint: Option<&str>) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")))
        .with_timeout(REQUEST_TIMEOUT)
        .with_connect_timeout(CONNECT_TIMEOUT)
}

impl Objects {
    pub(super) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    pub(super) async fn create(&self, path: &str, bytes: Bytes) -> Result<Put, StoreError> {
        let options = PutOptions::from(PutMode::Create);
        match self.store.put_opts(&Path::from(path), PutPayload::from(bytes), options).await {
            Ok(_) => Ok(Put::Created),
            // A 409 comes as this error too, and means that somebody is writing: whoever put reads back either way.
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(Put::Exists),
            Err(error) => match failure("write", path, error) {
                Failure::Final(error) => Err(error),
                Failure::Passing(reason) => {
                    tracing::debug!(path, reason, "put without a clear answer");
                    Ok(Put::Unknown)
                }
            },
        }
    }

    pub(super) async fn replace(&self, path: &str, bytes: Bytes) -> Result<(), Failure> {
        let put = self.store.put(&Path::from(path), PutPayload::from(bytes)).await;
        put.map(|_| ()).map_err(|error| failure("write", path, error))
    }

    pub(super) async fn read(&self, path: &str, bytes_max: u64) -> Result<Option<Bytes>, Failure> {
        let failure = |error| failure("read", path, error);
        let found = match self.store.get_opts(&Path::from(path), GetOptions::default()).await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failure(error)),
        };
        let bytes = found.meta.size;
        let too_large =
            |bytes| Failure::Final(StoreError::TooLarge { path: path.to_owned(), bytes, bytes_max });
        if bytes > bytes_max {
            return Err(too_large(bytes));
        }
        let mut content = BytesMut::with_capacity(usize::try_from(bytes).unwrap_or(0));
        let mut stream = found.into_stream();
        while let Some(chunk) = stream.try_next().await.map_err(failure)? {
            content.extend_from_slice(&chunk);
            if content.len() as u64 > bytes_max {
                return Err(too_large(content.len() as u64));
            }
        }
        if content.len() as u64 != bytes {
            return Err(Failure::Passing(format!("{} of {bytes} bytes came", content.len())));
        }
        Ok(Some(content.freeze()))
    }

    pub(super) async fn read_ranges(
        &self,
        path: &str,
        ranges: &[Range<u64>],
    ) -> Result<Option<Vec<Bytes>>, Failure> {
        let location = Path::from(path);
        let failed = match parts(ranges, |range| self.store.get_range(&location, range)).await {
            Ok(parts) => return Ok(Some(parts)),
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => failure("read", path, error),
        };
        // Stores answer in many ways to a range behind the end.
        let end = ranges.iter().map(|range| range.end).max().unwrap_or(0);
        match self.head(path).await {
            Ok(Some(bytes)) if bytes < end => {
                Err(Failure::Final(StoreError::CutShort { path: path.to_owned(), bytes, end }))
            }
            _ => Err(failed),
        }
    }

    pub(super) async fn head(&self, path: &str) -> Result<Option<u64>, Failure> {
        match self.store.head(&Path::from(path)).await {
            Ok(found) => Ok(Some(found.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failure("look up", path, error)),
        }
    }

    pub(super) async fn remove(&self, path: &str) -> Result<(), Failure> {
        match self.store.delete(&Path::from(path)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failure("delete", path, error)),
        }
    }

    /// Only if nobody has written meanwhile, where the store can tell (`If-Match`).
    pub(super) async fn replace_damaged(
        &self,
        path: &str,
        bytes: Bytes,
        damaged: Hash32,
    ) -> Result<Replaced, Failure> {
        let location = Path::from(path);
        let failure = |error| failure("replace", path, error);
        let found = match self.store.get_opts(&location, GetOptions::default()).await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => return Ok(Replaced::Changed),
            Err(error) => return Err(failure(error)),
        };
        let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
        let mut hasher = Sha256::new();
        let mut stream = found.into_stream();
        while let Some(chunk) = stream.try_next().await.map_err(failure)? {
            hasher.update(&chunk);
        }
        if Hash32(hasher.finalize().into()) != damaged {
            return Ok(Replaced::Changed);
        }
        let options = PutOptions::from(PutMode::Update(version));
        match self.store.put_opts(&location, PutPayload::from(bytes.clone()), options).await {
            Ok(_) => Ok(Replaced::Done),
            Err(Error::Precondition { .. } | Error::NotFound { .. }) => Ok(Replaced::Changed),
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
                self.replace(path, bytes).await.map(|()| Replaced::Done)
            }
            Err(error) => Err(failure(error)),
        }
    }

    pub(super) async fn walk(&self, folder: &str) -> Result<Vec<Listed>, Failure> {
        let prefix = Path::from(folder);
        let objects = self.store.list(Some(&prefix));
        let objects: Vec<_> = objects.try_collect().await.map_err(|error| failure("list", folder, error))?;
        let listed = objects.into_iter().map(|object| {
            let name: Vec<_> = object.location.prefix_match(&prefix).into_iter().flatten().collect();
            let name: Vec<_> = name.iter().map(AsRef::as_ref).collect();
            Listed { name: name.join("/"), bytes: object.size }
        });
        Ok(listed.collect())
    }

    pub(super) async fn list(&self, folder: &str) -> Result<Vec<Listed>, Failure> {
        let prefix = Path::from(folder);
        let found = self.store.list_with_delimiter(Some(&prefix)).await;
        let found = found.map_err(|error| failure("list", folder, error))?;
        let listed = found.objects.into_iter().filter_map(|object| {
            Some(Listed { name: object.location.filename()?.to_owned(), bytes: object.size })
        });
        Ok(listed.collect())
    }
}

impl fmt::Display for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

/// Parts of an object in the order of `ranges`; those that lie close are fetched together. The library cuts what came without a
/// look at how much that is, and panics if it is too little: so that is looked at before.
async fn parts<F, B>(ranges: &[Range<u64>], mut fetch: F) -> Result<Vec<Bytes>, Error>
where
    F: FnMut(Range<u64>) -> B + Send,
    B: Future<Output = Result<Bytes, Error>> + Send,
{
    let whole = |range: Range<u64>| {
        let (wanted, came) = (range.end.saturating_sub(range.start), fetch(range));
        async move {
            let bytes = came.await?;
            match bytes.len() as u64 == wanted {
                true => Ok(bytes),
                false => {
                    let source = format!("{} bytes came where {wanted} were asked for", bytes.len()).into();
                    Err(Error::Generic { store: "part of an object", source })
                }
            }
        }
    };
    coalesce_ranges(ranges, whole, OBJECT_STORE_COALESCE_DEFAULT).await
}

fn failure(action: &'static str, path: &str, error: Error) -> Failure {
    let fix = match &error {
        Error::NotFound { .. } => "create the bucket, or correct its name",
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } if passes(&error.to_string()) => {
            return Failure::Passing(error.to_string());
        }
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            "give an account that may read and write here in the environment (AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY, or GOOGLE_APPLICATION_CREDENTIALS)"
        }
        Error::NotImplemented { .. }
        | Error::NotSupported { .. }
        | Error::InvalidPath { .. }
        | Error::UnknownConfigurationKey { .. } => "use another store, or another folder of it",
        _ => return Failure::Passing(error.to_string()),
    };
    Failure::Final(StoreError::Refused { action, path: path.to_owned(), reason: error.to_string(), fix })
}

/// Refusals that end when credentials are renewed or a clock is set: a node must not give up because of them.
fn passes(refusal: &str) -> bool {
    ["ExpiredToken", "TokenRefreshRequired", "RequestTimeTooSkewed", "RequestExpired"]
        .iter()
        .any(|code| refusal.contains(code))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn parts_of_which_too_little_or_too_much_came_are_an_error_and_no_panic() {
        let object = Bytes::from_iter(0..100_u8);
        let read = |shift: i64| {
            let object = object.clone();
            let fetch = move |range: Range<u64>| {
                let end = range.end.saturating_add_signed(shift).max(range.start);
                std::future::ready(Ok(object.slice(range.start as usize..end as usize)))
            };
            parts(&[40..50, 10..20, 60..61], fetch).now_or_never().unwrap()
        };
        let sound = read(0).unwrap();
        assert_eq!(sound, [object.slice(40..50), object.slice(10..20), object.slice(60..61)]);
        for shift in [-1, -25, -60, 1] {
            let error = read(shift).unwrap_err().to_string();
            assert!(error.contains("where 51 were asked for"), "{shift}: {error}");
        }
    }

    #[test]
    fn an_account_that_may_not_is_refused_and_one_that_has_expired_is_asked_again() {
        let check = |code: &str, is_passing: bool| {
            let source = format!("status code: 403 Forbidden: <Error><Code>{code}</Code></Error>").into();
            let error = Error::PermissionDenied { path: "x".to_owned(), source };
            assert_eq!(matches!(failure("write", "x", error), Failure::Passing(_)), is_passing, "{code}");
        };
        check("AccessDenied", false);
        check("SignatureDoesNotMatch", false);
        check("ExpiredToken", true);
        check("RequestTimeTooSkewed", true);
    }
}
