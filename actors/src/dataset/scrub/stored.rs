//! Data files, evidence, and the object of the self-test: bytes against the hash that log or name has of them.

use bytes::Bytes;
use futures::{StreamExt, stream};
use orrery_schemas::Hash32;
use sha2::{Digest, Sha256};

use super::follow::Followed;
use super::{AT_ONCE, FROM_PROGRAM, FROM_SOURCE, Fault, Scrub};
use crate::dataset::file::FILE_BYTES_MAX;
use crate::dataset::inventory::{ObjectKind, SELF_TEST_PATH};
use crate::dataset::kind::TableKind;
use crate::dataset::slot::{FileName, sha256};
use crate::dataset::store::SELF_TEST_CONTENTS;
use crate::dataset::{DatasetError, Pace, Store};

/// Bytes that are read at once: larger files are hashed part by part.
const PART_BYTES: u64 = 8 << 20;

const FIX_FILE: &str = "scrub with --repair-from another copy of the dataset, or with --source its ledgers; see ops/runbooks/corruption.md";
const FIX_EVIDENCE: &str = "scrub with --repair-from a copy that has it; nothing else has these bytes";

impl Scrub<'_> {
    /// Size and SHA-256 of an object, at the pace that is asked for; `None` if it is not there.
    pub(super) async fn hash(&mut self, path: &str) -> Result<Option<Hash32>, DatasetError> {
        let hashed = hash(self.dataset, &self.settings.pace, path).await?;
        Ok(self.counted(hashed))
    }

    fn counted(&mut self, hashed: Option<(u64, Hash32)>) -> Option<Hash32> {
        let (bytes, sha256) = hashed?;
        self.report.objects += 1;
        self.report.bytes += bytes;
        self.progress.read(bytes);
        Some(sha256)
    }

    /// Every data file that a slot names or that is there.
    pub(super) async fn data(&mut self, kind: TableKind, followed: &Followed) -> Result<(), DatasetError> {
        let mut files: Vec<(String, FileName, Option<Hash32>)> = Vec::new();
        let listed = self.listed.keys().filter(|path| !followed.named.contains_key(*path));
        for path in followed.named.keys().chain(listed) {
            if let ObjectKind::Data(of, name) = ObjectKind::of(path)
                && of == kind
            {
                files.push((path.clone(), name, followed.named.get(path).copied()));
            }
        }
        let (dataset, pace) = (self.dataset.clone(), self.settings.pace.clone());
        let hashed = stream::iter(files).map(|(path, name, expected)| {
            let (dataset, pace) = (dataset.clone(), pace.clone());
            async move { (hash(&dataset, &pace, &path).await, path, name, expected) }
        });
        let mut hashed = std::pin::pin!(hashed.buffered(AT_ONCE));
        while let Some((hashed, path, name, expected)) = hashed.next().await {
            let found = self.counted(hashed?);
            let is_good = |sha256: Hash32| expected.map_or(name.is_of(sha256), |expected| expected == sha256);
            if found.is_some_and(is_good) {
                continue;
            }
            let what = match (found, expected) {
                (Some(found), Some(expected)) => format!("its SHA-256 is {found}, the log says {expected}"),
                (Some(found), None) => format!("its SHA-256 is {found}, and no slot names it"),
                (None, _) => "the file is not there".to_owned(),
            };
            let mut good =
                self.ask_other(&path, FILE_BYTES_MAX, |bytes: &Bytes| is_good(sha256(bytes))).await?;
            if good.is_none() {
                good = self.made_anew(kind, &name, followed).await;
                good = good.filter(|(bytes, _)| is_good(sha256(bytes)));
            }
            self.settle(Fault { path, found, what }, good, FIX_FILE).await?;
        }
        Ok(())
    }

    /// The file as ledgers of the source give it.
    async fn made_anew(
        &self,
        kind: TableKind,
        name: &FileName,
        followed: &Followed,
    ) -> Option<(Bytes, &'static str)> {
        let maker = self.settings.maker.filter(|_| self.settings.repairs)?;
        let network = followed.network.as_ref()?;
        match maker.make(kind, network, name.range.clone()).await {
            Ok(file) => Some((file?.bytes, FROM_SOURCE)),
            Err(problem) => {
                tracing::warn!(%name, problem, "data file cannot be made from the source");
                None
            }
        }
    }

    /// Evidence has a part of its hash in its name.
    pub(super) async fn evidence(&mut self) -> Result<(), DatasetError> {
        let evidence = |path: &String| match ObjectKind::of(path) {
            ObjectKind::Evidence(digits) => Some((path.clone(), digits)),
            _ => None,
        };
        let all: Vec<_> = self.listed.keys().filter_map(evidence).collect();
        for (path, digits) in all {
            let Some(found) = self.hash(&path).await? else { continue };
            let is_good = |sha256: Hash32| sha256.to_string().starts_with(&digits);
            if is_good(found) {
                continue;
            }
            let good = self.ask_other(&path, FILE_BYTES_MAX, |bytes: &Bytes| is_good(sha256(bytes))).await?;
            let what = format!("its SHA-256 is {found}, its name says {digits}...");
            self.settle(Fault { path, found: Some(found), what }, good, FIX_EVIDENCE).await?;
        }
        Ok(())
    }

    /// The object of the self-test. Where it is missing, the next start of a writer makes it.
    pub(super) async fn self_test(&mut self) -> Result<(), DatasetError> {
        let Some(found) = self.hash(SELF_TEST_PATH).await? else { return Ok(()) };
        if SELF_TEST_CONTENTS.iter().any(|content| sha256(content) == found) {
            return Ok(());
        }
        let good = Bytes::from_static(SELF_TEST_CONTENTS[0]);
        let what = "it holds what no self-test has written".to_owned();
        let fault = Fault { path: SELF_TEST_PATH.to_owned(), found: Some(found), what };
        self.settle(fault, Some((good, FROM_PROGRAM)), "scrub with --repair").await.map(drop)
    }
}

/// Size and SHA-256 of an object, read part by part; `None` if it is not there.
async fn hash(dataset: &Store, pace: &Pace, path: &str) -> Result<Option<(u64, Hash32)>, DatasetError> {
    let Some(bytes) = dataset.head(path).await? else { return Ok(None) };
    let (mut hasher, mut at) = (Sha256::new(), 0);
    while at < bytes {
        let range = at..bytes.min(at + PART_BYTES);
        pace.take(range.end - at).await;
        at = range.end;
        let parts = dataset.read_ranges(path, std::slice::from_ref(&range)).await?;
        let Some(part) = parts.and_then(|parts| parts.into_iter().next()) else { return Ok(None) };
        hasher = add(hasher, part).await?;
    }
    Ok(Some((bytes, Hash32(hasher.finalize().into()))))
}

/// Hashing takes longer than a runtime's thread may be held.
async fn add(mut hasher: Sha256, part: Bytes) -> Result<Sha256, DatasetError> {
    let added = tokio::task::spawn_blocking(move || {
        hasher.update(&part);
        hasher
    });
    added.await.map_err(|error| DatasetError::encode("hash an object", error))
}
