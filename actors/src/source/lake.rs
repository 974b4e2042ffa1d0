//! A SEP-54 data lake behind any object store: a directory, S3, Google Cloud Storage, a plain web server.
//!
//! One request brings one object. A key that is not there is *not yet* beyond the newest ledger that is known to be there,
//! and an error below it. Lists only to find the ends; where a server cannot list, the tip is found by probing.

use std::io::Cursor;
use std::ops::RangeInclusive;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{GetOptions, GetResult, ObjectStore, ObjectStoreExt};
use orrery_schemas::LedgerSequence;

use super::files::LAKE_CONFIG_NAME;
use super::lake_layout::{NamedRange, ObjectExtension};
use super::lake_objects::{Listing, ObjectPlace, failure};
use super::tip_probe::TipProbe;
use super::{
    Fetched, FetchedObject, LakeConfig, LedgerBound, LedgerReader, LedgerStore, OBJECT_BYTES_MAX,
    SourceError, SourceErrorKind,
};

/// A configuration has a few hundred bytes; whatever is longer is something else.
const CONFIG_BYTES_MAX: u64 = 64 << 10;

/// Assumed of an object before one was seen: ledgers of today have 200 KB.
const OBJECT_BYTES_FIRST: usize = 1 << 20;

/// A lake whose configuration was read.
#[derive(Debug)]
pub struct Lake {
    name: Arc<str>,
    place: ObjectPlace,
    config: LakeConfig,
    /// Newest ledger known to be there; 0 before one is.
    newest: AtomicU32,
    /// Index of the ending that was found last, plus one.
    ending: AtomicU8,
    /// Largest of the recent objects.
    object_bytes: AtomicUsize,
}

/// One of the two ends of a lake.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Oldest,
    Newest,
}

impl Lake {
    /// Reads the configuration of the lake in the directory `root`.
    pub async fn open_directory(root: &FilePath) -> Result<Self, SourceError> {
        Self::open(ObjectPlace::directory(root)?).await
    }

    /// Reads the configuration of the lake at `place`.
    pub(super) async fn open(place: ObjectPlace) -> Result<Self, SourceError> {
        let key: Arc<str> = place.display_key(LAKE_CONFIG_NAME).into();
        let bad = |reason: String| SourceError::new(key.clone(), SourceErrorKind::BadConfig(reason));
        let found = place.store.get(&place.key(LAKE_CONFIG_NAME)).await;
        let found = found.map_err(|error| match error {
            object_store::Error::NotFound { .. } => {
                bad("none here, so this is no lake; give the path without file:// to read files".to_owned())
            }
            error => failure(key.clone(), error),
        })?;
        if found.meta.size > CONFIG_BYTES_MAX {
            return Err(bad(format!("longer than {CONFIG_BYTES_MAX} bytes")));
        }
        let json = read_all(&key, found, CONFIG_BYTES_MAX as usize).await?;
        Ok(Self {
            name: place.name.clone(),
            config: LakeConfig::parse(&json).map_err(bad)?,
            place,
            newest: AtomicU32::new(0),
            ending: AtomicU8::new(0),
            object_bytes: AtomicUsize::new(OBJECT_BYTES_FIRST),
        })
    }

    /// What the lake says about itself.
    pub fn config(&self) -> &LakeConfig {
        &self.config
    }

    async fn fetch_object(
        &self,
        range: RangeInclusive<LedgerSequence>,
        bytes_max: usize,
    ) -> Result<Fetched, SourceError> {
        let first = *range.start();
        // Read before the request: a newer ledger may appear while it runs.
        let newest = self.newest.load(Ordering::Relaxed);
        let Some((extension, found)) = self.get(first, first.0 <= newest, GetOptions::default()).await?
        else {
            return match first.0 <= newest {
                true => Err(self.missing(first)),
                false => Ok(Fetched::NotYet),
            };
        };
        let size = found.meta.size;
        if size > OBJECT_BYTES_MAX as u64 {
            let key = self.config.layout.object_key(first, extension);
            let kind = SourceErrorKind::ObjectTooLarge { bytes: size };
            return Err(SourceError { ledger: Some(first), ..SourceError::new(key, kind) });
        }
        self.learn(size as usize);
        if size > bytes_max as u64 {
            return Ok(Fetched::TooLarge { bytes: size as usize });
        }
        let file: Arc<str> = self.config.layout.object_key(first, extension).into();
        let bytes = read_all(&file, found, bytes_max).await;
        let bytes = bytes.map_err(|error| SourceError { ledger: Some(first), ..error })?;
        self.newest.fetch_max(range.end().0, Ordering::Relaxed);
        self.ending.store(extension as u8 + 1, Ordering::Relaxed);
        let named = self.config.layout.batch_range(first);
        Ok(Fetched::Objects(vec![FetchedObject { file, named, range, bytes }]))
    }

    /// The object that holds `sequence`, whichever ending it has: the one seen last is tried first, and alone if the object
    /// need not be there.
    async fn get(
        &self,
        sequence: LedgerSequence,
        is_expected: bool,
        options: GetOptions,
    ) -> Result<Option<(ObjectExtension, GetResult)>, SourceError> {
        let seen = usize::from(self.ending.load(Ordering::Relaxed)).checked_sub(1);
        let seen = seen.and_then(|index| ObjectExtension::ALL.get(index).copied());
        let others = ObjectExtension::ALL.into_iter().filter(|extension| Some(*extension) != seen);
        let is_alone = seen.is_some() && !is_expected && self.place.listing != Listing::Unordered;
        for extension in seen.into_iter().chain(others.filter(|_| !is_alone)) {
            let key = self.config.layout.object_key(sequence, extension);
            match self.place.store.get_opts(&self.place.key(&key), options.clone()).await {
                Ok(found) => return Ok(Some((extension, found))),
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(SourceError { ledger: Some(sequence), ..failure(key, error) }),
            }
        }
        Ok(None)
    }

    /// The largest object counts at once, smaller ones slowly.
    fn learn(&self, bytes: usize) {
        let known = self.object_bytes.load(Ordering::Relaxed);
        let learned = if bytes > known { bytes } else { known - (known - bytes) / 16 };
        self.object_bytes.store(learned, Ordering::Relaxed);
    }

    fn error(&self, kind: SourceErrorKind) -> SourceError {
        SourceError::new(self.name.clone(), kind)
    }

    async fn find_tip(&self, known: Option<LedgerSequence>) -> Result<LedgerSequence, SourceError> {
        let tip = match self.place.listing {
            Listing::None => self.probe_tip(known).await?,
            Listing::NewestFirst | Listing::Unordered => *self.end(End::Newest).await?.end(),
        };
        self.newest.fetch_max(tip.0, Ordering::Relaxed);
        Ok(tip)
    }

    /// Asks for the objects that a search names, from a ledger that should be there.
    async fn probe_tip(&self, known: Option<LedgerSequence>) -> Result<LedgerSequence, SourceError> {
        let seen = LedgerSequence(self.newest.load(Ordering::Relaxed));
        let base = known.into_iter().chain([seen]).max().filter(|base| base.0 > 0);
        let mut probe = TipProbe::new(self.config.layout, base.unwrap_or(LedgerBound::FIRST_CLOSED));
        while let Some(sequence) = probe.next() {
            let found = self.get(sequence, true, GetOptions::new().with_head(true)).await?;
            probe.answer(found.is_some());
            if found.is_some() {
                // A search that is broken off goes on from here.
                self.newest.fetch_max(sequence.0, Ordering::Relaxed);
            }
        }
        match probe.found() {
            Some(tip) => Ok(*self.content_range(tip).await?.end()),
            None => {
                let base = base.unwrap_or(LedgerBound::FIRST_CLOSED);
                let reason = format!(
                    "the newest ledger is searched for from ledger {base} on, which is not there, and this server cannot \
                     list; give a ledger that is there as --from"
                );
                Err(self.error(SourceErrorKind::BadRange(reason)))
            }
        }
    }

    /// Ledgers of the object at one end. Partitions may be empty, so the next one is looked at as well.
    async fn end(&self, end: End) -> Result<NamedRange, SourceError> {
        let layout = self.config.layout;
        let mut partitions = vec![self.place.root.clone()];
        if layout.has_partitions() {
            let listed = self.place.store.list_with_delimiter(Some(&self.place.root)).await;
            let listed = listed.map_err(|error| failure(self.name.clone(), error))?;
            partitions = listed.common_prefixes;
            partitions
                .retain(|path| path.filename().is_some_and(|it| layout.parse_partition_name(it).is_some()));
            // Names sort newest first.
            partitions.sort_unstable();
            if end == End::Oldest {
                partitions.reverse();
            }
        }
        for partition in partitions {
            if let Some(range) = self.end_of(&partition, end).await? {
                return self.content_range(range).await;
            }
        }
        Err(self.error(SourceErrorKind::EmptyInput))
    }

    /// The first or last object of one directory. A store that lists in order is read only as far as needed.
    async fn end_of(&self, partition: &Path, end: End) -> Result<Option<NamedRange>, SourceError> {
        let mut objects = self.place.store.list(Some(partition));
        let mut found: Option<NamedRange> = None;
        while let Some(object) = objects.next().await {
            let object = object.map_err(|error| failure(partition.to_string(), error))?;
            let is_below = object.location.prefix_matches(partition)
                && object.location.parts_count() == partition.parts_count() + 1;
            let name = object.location.filename().filter(|_| is_below);
            let Some(range) = name.and_then(|name| self.config.layout.parse_object_name(name)) else {
                continue;
            };
            let is_further = found.as_ref().is_none_or(|found| match end {
                End::Oldest => range.start() < found.start(),
                End::Newest => range.start() > found.start(),
            });
            if is_further {
                found = Some(range);
            }
            if self.place.listing == Listing::NewestFirst && end == End::Newest {
                break;
            }
        }
        Ok(found)
    }

    /// What the object named for `range` holds: the first begins later than its name says, the last may be unfinished.
    async fn content_range(&self, range: NamedRange) -> Result<NamedRange, SourceError> {
        if range.start() == range.end() {
            return Ok(range);
        }
        let options = GetOptions::default();
        let Some((extension, found)) = self.get(*range.start(), true, options).await? else {
            return Err(self.missing(*range.start()));
        };
        let key: Arc<str> = self.config.layout.object_key(*range.start(), extension).into();
        let bytes = read_all(&key, found, OBJECT_BYTES_MAX).await?;
        let inside = LedgerReader::new(key, 0, Cursor::new(bytes)).peek_batch_range()?;
        Ok(inside.map_or(range, |(first, last)| first..=last))
    }
}

impl LedgerStore for Lake {
    fn name(&self) -> &str {
        &self.name
    }

    fn network_passphrase(&self) -> Option<&str> {
        self.config.network_passphrase.as_deref()
    }

    fn unit(&self, sequence: LedgerSequence) -> RangeInclusive<LedgerSequence> {
        self.config.layout.batch_range(sequence)
    }

    fn bytes_estimate(&self, _: &RangeInclusive<LedgerSequence>) -> usize {
        let largest = self.object_bytes.load(Ordering::Relaxed);
        largest + largest / 4
    }

    fn fetch(
        &self,
        range: RangeInclusive<LedgerSequence>,
        bytes_max: usize,
    ) -> BoxFuture<'_, Result<Fetched, SourceError>> {
        Box::pin(self.fetch_object(range, bytes_max))
    }

    fn oldest(&self) -> BoxFuture<'_, Result<LedgerSequence, SourceError>> {
        Box::pin(async move {
            if self.place.listing == Listing::None {
                let reason = "this server cannot list, so the first ledger is not known; give --from";
                return Err(self.error(SourceErrorKind::BadRange(reason.to_owned())));
            }
            self.end(End::Oldest).await.map(|range| *range.start())
        })
    }

    fn tip(&self, known: Option<LedgerSequence>) -> BoxFuture<'_, Result<LedgerSequence, SourceError>> {
        Box::pin(self.find_tip(known))
    }

    fn missing(&self, sequence: LedgerSequence) -> SourceError {
        let key = self.config.layout.object_key(sequence, ObjectExtension::Zst);
        let kind = SourceErrorKind::MissingLedger { lake: self.name.to_string(), key: key.clone() };
        SourceError { ledger: Some(sequence), ..SourceError::new(key, kind) }
    }
}

/// All bytes of an object, exactly as many as were announced.
async fn read_all(file: &Arc<str>, found: GetResult, bytes_max: usize) -> Result<Bytes, SourceError> {
    let announced = found.range.end - found.range.start;
    let mut body = found.into_stream();
    let mut bytes = BytesMut::new();
    while let Some(part) = body.next().await {
        bytes.extend_from_slice(&part.map_err(|error| failure(file.clone(), error))?);
        if bytes.len() > bytes_max {
            break;
        }
    }
    let received = bytes.len() as u64;
    if received != announced {
        return Err(SourceError::new(file.clone(), SourceErrorKind::Incomplete { announced, received }));
    }
    Ok(bytes.freeze())
}
