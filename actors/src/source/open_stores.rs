//! From URLs to stores.

use std::path::Path;
use std::sync::Arc;

use super::files::{Found, find};
use super::lake_objects::ObjectPlace;
use super::rpc::RpcStore;
use super::sequential::SyntheticStore;
use super::synthetic::SyntheticSpec;
use super::{Lake, LedgerStore, Lookup, SourceError, SourceErrorKind, SourceUrl};

/// Opens what each URL names, in order. All must be of one network. Credentials are looked up with `lookup`, by the names
/// of environment variables.
///
/// # Errors
///
/// One cannot be opened, has no ledgers by number (files, streams), or is of another network than an earlier one.
pub async fn open_stores(
    urls: &[SourceUrl],
    lookup: Lookup<'_>,
) -> Result<Vec<Arc<dyn LedgerStore>>, SourceError> {
    let mut stores: Vec<Arc<dyn LedgerStore>> = Vec::new();
    for url in urls {
        let store = open_store(url, lookup).await?;
        let network = store.network_passphrase();
        let other = stores.iter().find_map(|earlier| {
            earlier.network_passphrase().filter(|it| network.is_some_and(|network| network != *it))
        });
        if let (Some(network), Some(other)) = (network, other) {
            let reason =
                format!("it holds `{network}` and an earlier source `{other}`; give one network's sources");
            return Err(SourceError::new(store.name(), SourceErrorKind::BadConfig(reason)));
        }
        stores.push(store);
    }
    Ok(stores)
}

/// Opens what one URL names.
pub(super) async fn open_store(
    url: &SourceUrl,
    lookup: Lookup<'_>,
) -> Result<Arc<dyn LedgerStore>, SourceError> {
    let unordered = || {
        let reason = "has no ledgers by number: give a lake (a directory with .config.json, file://, s3://, gs://, \
                      https://), rpc+https:// or synthetic:";
        SourceError::new(url.to_string(), SourceErrorKind::BadUrl(reason.to_owned()))
    };
    let place = match url {
        SourceUrl::Lake(root) => ObjectPlace::directory(root)?,
        SourceUrl::Path(path) | SourceUrl::Pattern(path) => match find(Path::new(path)) {
            Ok(Found::Lake) => ObjectPlace::directory(Path::new(path))?,
            Ok(_) => return Err(unordered()),
            Err(error) => return Err(SourceError::io(path.as_str(), error)),
        },
        SourceUrl::Stream(_) | SourceUrl::Stdin => return Err(unordered()),
        SourceUrl::Synthetic(query) => {
            let spec = SyntheticSpec::from_query(query).map_err(|error| {
                SourceError::new(url.to_string(), SourceErrorKind::BadUrl(error.to_string()))
            })?;
            return Ok(Arc::new(SyntheticStore::new(spec)));
        }
        SourceUrl::Remote(remote) => match remote.scheme.as_str() {
            "s3" => ObjectPlace::s3(remote, lookup)?,
            "gs" => ObjectPlace::gs(remote, lookup)?,
            "http" | "https" => ObjectPlace::http(remote)?,
            _ => return Ok(Arc::new(RpcStore::open(remote).await?)),
        },
    };
    Ok(Arc::new(Lake::open(place).await?))
}
