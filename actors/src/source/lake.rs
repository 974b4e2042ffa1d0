//! A SEP-54 data lake in a directory: its ledgers, ascending and without gaps.

use std::fs::{self, File};
use std::io::Read;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use orrery_schemas::LedgerSequence;

use super::files::LAKE_CONFIG_NAME;
use super::lake_layout::{NamedRange, ObjectExtension};
use super::range::non_empty;
use super::{LakeConfig, LedgerBound, LedgerRange, LedgerReader, RawLedger, SourceError, SourceErrorKind};

/// A configuration has a few hundred bytes; whatever is longer is something else.
const CONFIG_BYTES_MAX: u64 = 64 << 10;

/// A lake whose configuration was read.
#[derive(Clone, Debug)]
pub struct Lake {
    root: PathBuf,
    config: LakeConfig,
}

/// One of the two ends of a lake.
#[derive(Clone, Copy)]
enum End {
    Oldest,
    Newest,
}

impl Lake {
    /// Reads the configuration of the lake in `root`.
    pub fn open(root: &Path) -> Result<Self, SourceError> {
        let path = root.join(LAKE_CONFIG_NAME);
        let name = path.to_string_lossy();
        let mut json = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut json));
        read.map_err(|error| match fs::metadata(root) {
            Ok(_) if error.kind() == std::io::ErrorKind::NotFound => {
                let reason = "none here, so this is no lake; give the path without file:// to read files";
                SourceError::new(&*name, SourceErrorKind::BadConfig(reason.to_owned()))
            }
            Ok(_) => SourceError::io(&*name, error),
            Err(error) => SourceError::io(root.to_string_lossy(), error),
        })?;
        let config = match json.len() as u64 > CONFIG_BYTES_MAX {
            true => Err(format!("longer than {CONFIG_BYTES_MAX} bytes")),
            false => LakeConfig::parse(&json),
        };
        let config = config.map_err(|reason| SourceError::new(&*name, SourceErrorKind::BadConfig(reason)))?;
        Ok(Self { root: root.to_owned(), config })
    }

    /// What the lake says about itself.
    pub fn config(&self) -> &LakeConfig {
        &self.config
    }

    /// The oldest ledger in the lake, by listing.
    pub fn oldest(&self) -> Result<LedgerSequence, SourceError> {
        self.end(End::Oldest).map(|range| *range.start())
    }

    /// The newest ledger in the lake, by listing.
    pub fn tip(&self) -> Result<LedgerSequence, SourceError> {
        self.end(End::Newest).map(|range| *range.end())
    }

    /// The ledgers that `range` names: what it leaves open is the lake's own end. Lists only if it must.
    pub fn resolve(&self, range: LedgerRange) -> Result<RangeInclusive<LedgerSequence>, SourceError> {
        let resolve = |bound| match bound {
            LedgerBound::Number(sequence) => Ok(sequence),
            LedgerBound::Genesis => Ok(LedgerBound::FIRST_CLOSED),
            LedgerBound::Latest => self.tip(),
        };
        let from = range.from.map_or_else(|| self.oldest(), resolve)?;
        let to = range.to.map_or_else(|| self.tip(), resolve)?;
        if non_empty(from, to).is_err() {
            let (oldest, tip) = (self.oldest()?, self.tip()?);
            let reason = format!("no ledger from {from} to {to}: the lake holds {oldest} to {tip}");
            return Err(self.error(SourceErrorKind::BadRange(reason)));
        }
        Ok(from..=to)
    }

    /// Reads the ledgers of `range` in ascending order; one that is missing is an error.
    pub fn read(self, range: RangeInclusive<LedgerSequence>, chain: u32) -> LakeLedgers {
        let (next, last) = range.into_inner();
        LakeLedgers { next: (next <= last).then_some(next), last, lake: self, chain, object: None }
    }

    /// Opens the object that holds `sequence`, whichever ending it has; its key names it.
    fn open_object(&self, sequence: LedgerSequence, chain: u32) -> Result<LedgerReader<File>, SourceError> {
        for extension in ObjectExtension::ALL {
            let key = self.config.layout.object_key(sequence, extension);
            match File::open(self.root.join(&key)) {
                Ok(file) => return Ok(LedgerReader::new(key, chain, file)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(SourceError { ledger: Some(sequence), ..SourceError::io(key, error) });
                }
            }
        }
        Err(self.missing(sequence, self.config.layout.object_key(sequence, ObjectExtension::Zst)))
    }

    fn missing(&self, sequence: LedgerSequence, key: String) -> SourceError {
        let lake = self.root.to_string_lossy().into_owned();
        let kind = SourceErrorKind::MissingLedger { lake, key: key.clone() };
        SourceError { ledger: Some(sequence), ..SourceError::new(key, kind) }
    }

    fn error(&self, kind: SourceErrorKind) -> SourceError {
        SourceError::new(self.root.to_string_lossy(), kind)
    }

    /// Ledgers of the object at one end. Partitions may be empty, so the next one is looked at as well.
    fn end(&self, end: End) -> Result<NamedRange, SourceError> {
        let layout = self.config.layout;
        let mut partitions = vec![self.root.clone()];
        if layout.has_partitions() {
            let mut named: Vec<_> = self.names(&self.root)?;
            named.retain(|name| layout.parse_partition_name(name).is_some());
            // Names sort newest first.
            named.sort_unstable();
            if let End::Oldest = end {
                named.reverse();
            }
            partitions = named.into_iter().map(|name| self.root.join(name)).collect();
        }
        for partition in partitions {
            let names = self.names(&partition)?;
            let ranges = names.iter().filter_map(|name| layout.parse_object_name(name));
            let found = match end {
                End::Oldest => ranges.min_by_key(|range| *range.start()),
                End::Newest => ranges.max_by_key(|range| *range.start()),
            };
            if let Some(range) = found {
                return self.content_range(range);
            }
        }
        Err(self.error(SourceErrorKind::EmptyInput))
    }

    /// What the object named for `range` holds: the first begins later than its name says, the last may be unfinished.
    fn content_range(&self, range: NamedRange) -> Result<NamedRange, SourceError> {
        if range.start() == range.end() {
            return Ok(range);
        }
        let inside = self.open_object(*range.start(), 0)?.peek_batch_range()?;
        Ok(inside.map_or(range, |(first, last)| first..=last))
    }

    fn names(&self, directory: &Path) -> Result<Vec<String>, SourceError> {
        let failed = |error| SourceError::io(directory.to_string_lossy(), error);
        let entries = fs::read_dir(directory).map_err(failed)?;
        let names = entries.map(|entry| entry.map(|entry| entry.file_name().into_string()));
        // A name that is not Unicode is none of ours.
        names.filter_map(|name| name.map(Result::ok).transpose()).collect::<Result<_, _>>().map_err(failed)
    }
}

/// Ledgers of a lake in ascending order. Ends at the first error.
pub struct LakeLedgers {
    lake: Lake,
    chain: u32,
    /// The ledger that is due; `None` at the end.
    next: Option<LedgerSequence>,
    last: LedgerSequence,
    object: Option<Object>,
}

struct Object {
    reader: LedgerReader<File>,
    named: NamedRange,
    /// A ledger of it was given; from then on every other one must be the one that is due.
    begun: bool,
}

impl LakeLedgers {
    fn step(&mut self, due: LedgerSequence) -> Result<RawLedger, SourceError> {
        loop {
            let object = match &mut self.object {
                Some(object) => object,
                None => {
                    let reader = self.lake.open_object(due, self.chain)?;
                    let named = self.lake.config.layout.batch_range(due);
                    self.object.insert(Object { reader, named, begun: false })
                }
            };
            let found = object.reader.next().transpose();
            let found = found.map_err(|error| SourceError { ledger: error.ledger.or(Some(due)), ..error })?;
            match found {
                Some(ledger) if ledger.sequence == due && object.named.contains(&due) => {
                    object.begun = true;
                    return Ok(ledger);
                }
                // The range begins inside this object.
                Some(RawLedger { sequence, .. })
                    if sequence < due && !object.begun && object.named.contains(&sequence) => {}
                Some(RawLedger { file, offset, sequence: found, .. }) => {
                    let kind = SourceErrorKind::WrongSequence { expected: due, found };
                    return Err(SourceError { file, offset: Some(offset), ledger: Some(due), kind });
                }
                None if object.named.contains(&due) => {
                    return Err(self.lake.missing(due, object.reader.name().to_owned()));
                }
                None => self.object = None,
            }
        }
    }
}

impl Iterator for LakeLedgers {
    type Item = Result<RawLedger, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let due = self.next.take()?;
        let ledger = self.step(due);
        if ledger.is_ok() && due < self.last {
            self.next = due.next();
        }
        Some(ledger)
    }
}
