//! Every stored object of a dataset, hashed again: `orrery scrub`. And the one place where an object is replaced.
//!
//! | object | held against | made good from |
//! |---|---|---|
//! | slot | the hash in the slot after it; the last one: its file, and `ledgers` | the other dataset, what is stored |
//! | data file | the SHA-256 that the log has, or its name | the other dataset, ledgers of the source |
//! | checkpoint, `_last_checkpoint` | what the log gives, byte for byte | the log |
//! | announcement of an epoch | the log, once it has come there; before, its form | the log, the other dataset |
//! | evidence | its name | the other dataset |
//! | object of the self-test | what it may hold | that |
//! | decision about traffic | its form, with the number of its name | the other dataset |
//! | lease | its form | nothing: the next coordinator takes another one |
//!
//! `verify` decodes rows and holds tables against each other; this holds bytes against hashes, and reads files that a compaction
//! replaced too. Whatever is taken from elsewhere counts by its hash alone, so that nobody need be trusted.
//!
//! Beside writers all of this holds too: what they write is put if absent, and the log is read after the list of objects.
//!
//! Memory: the list of objects, two hashes a slot, a name a file, parts of a few objects, one that is repaired.

mod log;
mod mend;
mod own;
mod slots;
mod follow;
mod stored;
mod rebuild;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bytes::Bytes;
use futures::future::BoxFuture;
use orrery_schemas::{CloseTime, Hash32, LedgerSequence};

use super::file::SlotFile;
use super::inventory::ObjectKind;
use super::kind::TableKind;
use super::store::Store;
use super::{DatasetError, Listed, Pace};

/// What is wrong with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Its bytes are not those that were written.
    Damaged,
    /// It is not there.
    Missing,
    /// It is not of this program.
    Foreign,
}

/// What became of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// It is as it was written again.
    Repaired {
        /// Where the bytes are from.
        from: &'static str,
        /// Where the damaged bytes are kept, if there were any.
        kept: Option<String>,
    },
    /// It is as it was found.
    Remains {
        /// The way out.
        fix: String,
    },
    /// Nothing need be done.
    Harmless,
}

/// An object that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The object.
    pub path: String,
    /// What kind of fault.
    pub wrong: Wrong,
    /// What was found, for a person.
    pub what: String,
    /// What became of it.
    pub remedy: Remedy,
}

/// What a scrub saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrubReport {
    /// Objects that were read.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// All that is not as it should be.
    pub findings: Vec<Finding>,
}

impl ScrubReport {
    /// Whether something is wrong and was not repaired.
    pub fn remains(&self) -> bool {
        self.findings.iter().any(|finding| matches!(finding.remedy, Remedy::Remains { .. }))
    }

    /// How many were repaired.
    pub fn repaired(&self) -> usize {
        let is_repaired = |finding: &&Finding| matches!(finding.remedy, Remedy::Repaired { .. });
        self.findings.iter().filter(is_repaired).count()
    }
}

/// Makes a data file anew from ledgers. The bytes follow from them: the caller compares.
pub trait MakeFile: Send + Sync {
    /// The file of `range`, `None` if it has no rows; otherwise why it could not be made, for a person.
    fn make(
        &self,
        kind: TableKind,
        network_passphrase: &str,
        range: RangeInclusive<LedgerSequence>,
    ) -> BoxFuture<'_, Result<Option<SlotFile>, String>>;
}

/// What a scrub may do, and whom it may ask.
#[derive(Clone)]
pub struct ScrubSettings<'a> {
    /// Whether anything is repaired at all.
    pub repairs: bool,
    /// Another copy of the dataset.
    pub other: Option<&'a Store>,
    /// What makes data files anew.
    pub maker: Option<&'a dyn MakeFile>,
    /// Bytes a second, at most.
    pub pace: Pace,
}

/// Hears how far it is.
pub trait ScrubProgress: Send + Sync {
    /// All that is to be read, when that is known.
    fn total(&self, bytes: u64);
    /// An object was read.
    fn read(&self, bytes: u64);
}

/// What of `ledgers` the other table's slots repeat: hash before, hash and close time of the last ledger, by that.
type LedgerEnds = BTreeMap<LedgerSequence, (Hash32, Hash32, CloseTime)>;

/// A scrub at work.
struct Scrub<'a> {
    dataset: &'a Store,
    settings: &'a ScrubSettings<'a>,
    progress: &'a dyn ScrubProgress,
    report: ScrubReport,
    /// All objects by their paths below the dataset, with their sizes. What is not listed is looked for where it should be.
    listed: BTreeMap<String, u64>,
    ledger_ends: LedgerEnds,
}

/// Something wrong, before anything was done about it.
struct Fault {
    /// Below the dataset.
    path: String,
    /// SHA-256 of what is there, `None` if nothing is.
    found: Option<Hash32>,
    what: String,
}

/// Reads every object of a dataset, and repairs what it may.
///
/// # Errors
///
/// [`DatasetError`] if a store fails; whatever is wrong with the dataset is in the report.
pub async fn scrub(
    dataset: &Store,
    settings: &ScrubSettings<'_>,
    progress: &dyn ScrubProgress,
) -> Result<ScrubReport, DatasetError> {
    let listed: BTreeMap<_, _> =
        dataset.walk("").await?.into_iter().map(|Listed { name, bytes }| (name, bytes)).collect();
    progress.total(listed.values().sum());
    let (report, ledger_ends) = (ScrubReport::default(), LedgerEnds::new());
    let mut scrub = Scrub { dataset, settings, progress, report, listed, ledger_ends };
    // What `ledgers` knows of a slot's end is needed for the other table.
    for kind in [TableKind::Ledgers, TableKind::TokenTransfers] {
        scrub.table(kind).await?;
    }
    scrub.evidence().await?;
    scrub.self_test().await?;
    scrub.own().await?;
    scrub.foreign();
    scrub.report.findings.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(scrub.report)
}

impl Scrub<'_> {
    /// Counts an object that was read.
    async fn count(&mut self, bytes: u64) {
        self.settings.pace.take(bytes).await;
        self.report.objects += 1;
        self.report.bytes += bytes;
        self.progress.read(bytes);
    }

    /// Repairs a fault with `good`, if there is such and it may; otherwise it remains, with the way out.
    async fn settle(
        &mut self,
        fault: Fault,
        good: Option<(Bytes, &'static str)>,
        fix: &str,
    ) -> Result<bool, DatasetError> {
        let remedy = match good.filter(|_| self.settings.repairs) {
            None => Remedy::Remains { fix: fix.to_owned() },
            Some((bytes, from)) => match mend::mend(self.dataset, &fault.path, fault.found, bytes).await? {
                Ok(kept) => Remedy::Repaired { from, kept },
                Err(problem) => Remedy::Remains { fix: problem },
            },
        };
        let is_repaired = matches!(remedy, Remedy::Repaired { .. });
        let wrong = if fault.found.is_some() { Wrong::Damaged } else { Wrong::Missing };
        self.report.findings.push(Finding {
            path: self.dataset.name(&fault.path),
            wrong,
            what: fault.what,
            remedy,
        });
        Ok(is_repaired)
    }

    /// The bytes of the other dataset's object at `path`, if it has some that `is_good`.
    async fn ask_other(
        &self,
        path: &str,
        bytes_max: u64,
        is_good: impl Fn(&Bytes) -> bool + Send,
    ) -> Result<Option<(Bytes, &'static str)>, DatasetError> {
        let Some(other) = self.settings.other.filter(|_| self.settings.repairs) else { return Ok(None) };
        let found = match other.read(path, bytes_max).await {
            Err(super::StoreError::TooLarge { .. }) => None,
            found => found?,
        };
        Ok(found.filter(|bytes| is_good(bytes)).map(|bytes| (bytes, FROM_OTHER)))
    }

    /// What is not of this program: readers of the log may look at what is beside it, nobody at the rest.
    fn foreign(&mut self) {
        let foreign = self.listed.keys().filter(|path| ObjectKind::of(path) == ObjectKind::Foreign);
        for path in foreign {
            let is_in_log = path.contains("/_delta_log/");
            let remedy = if is_in_log {
                Remedy::Remains {
                    fix: "readers may take it for a part of the log: move it elsewhere".to_owned(),
                }
            } else {
                Remedy::Harmless
            };
            let what = "nothing of this program has such a name".to_owned();
            let path = self.dataset.name(path);
            self.report.findings.push(Finding { path, wrong: Wrong::Foreign, what, remedy });
        }
    }
}

/// Objects that are read ahead: one by one, a bucket's answers would take most of the time.
const AT_ONCE: usize = 8;

const FROM_OTHER: &str = "the other dataset";
const FROM_LOG: &str = "the log";
const FROM_STORED: &str = "what is stored";
const FROM_SOURCE: &str = "the source's ledgers";
const FROM_PROGRAM: &str = "this program";
