//! Putting sound bytes where damaged ones are: the one place that replaces an object of a dataset.
//!
//! What is damaged is kept first, under a name made of its content, and read back; then the object is replaced by a rename, or
//! in a bucket by a put that holds only for the version that was judged; then it is read back. A kill in between leaves the
//! damaged object or the sound one, and the evidence; scrubbing again goes on.

use bytes::Bytes;
use orrery_schemas::Hash32;

use crate::dataset::StoreError;
use crate::dataset::file::FILE_BYTES_MAX;
use crate::dataset::inventory::QUARANTINE;
use crate::dataset::kind::TableKind;
use crate::dataset::slot::sha256;
use crate::dataset::store::{Replaced, Store};

/// Where the damaged bytes of an object are kept. Paths are below the dataset.
pub(super) fn evidence_path(path: &str, damaged: Hash32) -> String {
    let digits: String = damaged.to_string().chars().take(16).collect();
    let table = TableKind::ALL.into_iter().find_map(|kind| {
        let rest = path.strip_prefix(kind.as_str())?.strip_prefix('/')?;
        Some((format!("{}/", kind.as_str()), rest))
    });
    let (folder, rest) = table.unwrap_or((String::new(), path));
    format!("{folder}{QUARANTINE}/{}/damaged-{digits}", rest.replace('/', "."))
}

/// Puts `good` at `path`, where there is nothing or an object whose SHA-256 is `damaged`. Gives where the damaged bytes are
/// kept, or why nothing was done.
pub(super) async fn mend(
    dataset: &Store,
    path: &str,
    damaged: Option<Hash32>,
    good: Bytes,
) -> Result<Result<Option<String>, String>, StoreError> {
    let expected = sha256(&good);
    let mut kept = None;
    match damaged {
        None => drop(dataset.put_create(path, good).await?),
        Some(damaged) => {
            let evidence = evidence_path(path, damaged);
            if let Err(problem) = keep(dataset, path, &evidence, damaged).await? {
                return Ok(Err(problem));
            }
            kept = Some(dataset.name(&evidence));
            if dataset.replace_damaged(path, good, damaged).await? == Replaced::Changed
                && hash(dataset, path).await? != Some(expected)
            {
                return Ok(Err("it changed meanwhile; scrub again".to_owned()));
            }
        }
    }
    match hash(dataset, path).await? {
        Some(found) if found == expected => Ok(Ok(kept)),
        Some(_) => Ok(Err("it was written, and other bytes came back".to_owned())),
        None => Ok(Err("it was written, and is not there".to_owned())),
    }
}

async fn keep(
    dataset: &Store,
    path: &str,
    evidence: &str,
    damaged: Hash32,
) -> Result<Result<(), String>, StoreError> {
    let bytes = match dataset.read(path, FILE_BYTES_MAX).await {
        Ok(Some(bytes)) if sha256(&bytes) == damaged => bytes,
        Ok(_) => return Ok(Err("it changed meanwhile; scrub again".to_owned())),
        Err(error @ StoreError::TooLarge { .. }) => return Ok(Err(error.to_string())),
        Err(error) => return Err(error),
    };
    dataset.put_create(evidence, bytes).await?;
    Ok(match hash(dataset, evidence).await? {
        Some(found) if found == damaged => Ok(()),
        _ => Err(format!("its damaged bytes could not be kept at {}", dataset.name(evidence))),
    })
}

async fn hash(dataset: &Store, path: &str) -> Result<Option<Hash32>, StoreError> {
    Ok(dataset.read(path, FILE_BYTES_MAX).await?.map(|bytes| sha256(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::inventory::ObjectKind;

    #[test]
    fn evidence_is_named_by_object_and_content_and_is_known_as_such() {
        let check = |path: &str, expect: &str| {
            let evidence = evidence_path(path, Hash32([0xab; 32]));
            assert_eq!(evidence, format!("{expect}/damaged-abababababababab"));
            assert_eq!(ObjectKind::of(&evidence), ObjectKind::Evidence("ab".repeat(8)));
        };
        check(
            "ledgers/_delta_log/00000000000000000001.json",
            "ledgers/_quarantine/_delta_log.00000000000000000001.json",
        );
        check("ledgers/data/1-2-x.parquet", "ledgers/_quarantine/data.1-2-x.parquet");
        check("_orrery/put-if-absent", "_quarantine/_orrery.put-if-absent");
        check(
            "token_transfers/_quarantine/a/ours-0123456789abcdef",
            "token_transfers/_quarantine/_quarantine.a.ours-0123456789abcdef",
        );
    }
}
