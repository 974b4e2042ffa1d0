//! What can go wrong with a dataset, and what to do about it.

use std::error::Error;
use std::io;
use std::ops::RangeInclusive;

use bytes::Bytes;
use orrery_schemas::{BatchError, Hash32, LedgerSequence};

use super::grid::GridError;

/// What a failure asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatasetErrorClass {
    /// Another command line or configuration.
    Usage,
    /// A person: data contradicts data. Trying again cannot help.
    Data,
    /// Time: the store did not answer, or has no room. Trying again may help.
    Unavailable,
    /// A change of this program.
    Bug,
}

/// A failure to read or write a dataset. Each names the object or setting, and the way out.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The dataset's URL cannot be used.
    #[error("dataset {url}: {problem}")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it, and what to write instead.
        problem: String,
    },
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The grid of the settings or of the table makes no sense.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// Nothing is there yet, and what is needed to begin was not given.
    #[error("{table}: there is no table yet: {fix}")]
    NoTable {
        /// Where the table would be.
        table: String,
        /// What to give.
        fix: &'static str,
    },
    /// The table that is there was made with other settings.
    #[error("{table}: its {setting} is {found}, but {expected} was asked for: {fix}")]
    OtherSettings {
        /// The table.
        table: String,
        /// Which setting.
        setting: &'static str,
        /// The table's.
        found: String,
        /// The one given.
        expected: String,
        /// The way out.
        fix: &'static str,
    },
    /// A slot, checkpoint or data file whose content is not what this program writes.
    #[error("{path}: {problem}")]
    Content {
        /// The object.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// Rows that do not belong into the slot. Nothing was written.
    #[error("rows of ledgers {}..={}: {problem}", range.start(), range.end())]
    Rows {
        /// The slot.
        range: RangeInclusive<LedgerSequence>,
        /// What is wrong.
        problem: String,
    },
    /// The ledgers do not hang on those that the table has. Nothing was written; the ledgers want to be looked at.
    #[error(
        "ledgers {}..={}: their parent ledger is {found}, the table's last one is {expected}: the source tells of another \
         network or of changed history; compare with another source",
        range.start(), range.end()
    )]
    Parent {
        /// The slot.
        range: RangeInclusive<LedgerSequence>,
        /// Hash of the table's last ledger.
        expected: Hash32,
        /// Hash of the parent of the first ledger.
        found: Hash32,
    },
    /// Two datasets that should be copies of each other are not. Nothing was written.
    #[error("{table}: {problem}: {fix}")]
    NoCopy {
        /// The table that would have been written to.
        table: String,
        /// What is in the way.
        problem: String,
        /// The way out.
        fix: &'static str,
    },
    /// Two writers have different results for one ledger range.
    #[error(transparent)]
    Halted(#[from] Box<Halt>),
    /// An epoch that cannot be announced.
    #[error("epoch {epoch} from ledger {from_ledger}: {problem}")]
    Epoch {
        /// Its number.
        epoch: u32,
        /// Where it would begin.
        from_ledger: LedgerSequence,
        /// Why not.
        problem: String,
    },
    /// The encoder failed on sound rows, which would be a defect.
    #[error("{action}: {source}")]
    Encode {
        /// What was tried.
        action: &'static str,
        /// What the encoder says.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// A table is halted: what is in the store contradicts what was about to be written. Both byte strings are kept.
#[derive(Debug, thiserror::Error)]
#[error(
    "{path}: the store holds other content for ledgers {}..={} than this node derived: {reason}; the table is halted, nothing \
     was overwritten; compare the two under `{kept}`, find which side is wrong, and see `orrery verify`",
    range.start(), range.end()
)]
pub struct Halt {
    /// The object.
    pub path: String,
    /// The ledgers in dispute.
    pub range: RangeInclusive<LedgerSequence>,
    /// What differs.
    pub reason: String,
    /// What this node was about to write.
    pub ours: Bytes,
    /// What is there.
    pub theirs: Bytes,
    /// Folder of the store where both are kept; empty if that failed too.
    pub kept: String,
}

/// A store that did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It says no, and would say so again.
    #[error("{action} {path}: {reason}: {fix}")]
    Refused {
        /// What was tried, as a verb.
        action: &'static str,
        /// The object.
        path: String,
        /// What the store says.
        reason: String,
        /// The way out.
        fix: &'static str,
    },
    /// It did not answer well, as often as it was asked.
    #[error("{action} {path}: {reason}: gave up after attempt {attempts}; see whether the store is up")]
    Unavailable {
        /// What was tried, as a verb.
        action: &'static str,
        /// The object.
        path: String,
        /// The last answer.
        reason: String,
        /// How often it was asked.
        attempts: u32,
    },
    /// The disk, or what the user may use of it, is full.
    #[error("{path}: no space is left: free some, and the run goes on where it was")]
    Full {
        /// The object.
        path: String,
    },
    /// An object is larger than anything this program writes.
    #[error("read {path}: it has {bytes} bytes, at most {bytes_max} are expected here: it is not ours")]
    TooLarge {
        /// The object.
        path: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// An object ends before what it should hold.
    #[error(
        "read {path}: it has {bytes} bytes, at least {end} are expected: it was cut short; see `orrery verify`"
    )]
    CutShort {
        /// The object.
        path: String,
        /// Its size.
        bytes: u64,
        /// Where the part that is wanted ends.
        end: u64,
    },
    /// The one promise that everything rests on is not kept.
    #[error(
        "{store} does not honour put-if-absent ({finding}): two writers would destroy each other's work. Use a store that \
         supports If-None-Match (S3, GCS, SeaweedFS, MinIO) or a local file system with hard links; nothing need be deleted once \
         this one is mended"
    )]
    IgnoresPutIfAbsent {
        /// The store.
        store: String,
        /// How it was found.
        finding: String,
    },
}

impl DatasetError {
    /// What the failure asks for.
    pub fn class(&self) -> DatasetErrorClass {
        match self {
            Self::Url { .. } | Self::Grid(_) | Self::NoTable { .. } | Self::OtherSettings { .. } => {
                DatasetErrorClass::Usage
            }
            Self::Epoch { .. } => DatasetErrorClass::Usage,
            Self::Store(error) => error.class(),
            Self::Content { .. } | Self::Parent { .. } | Self::NoCopy { .. } | Self::Halted(_) => {
                DatasetErrorClass::Data
            }
            Self::Rows { .. } | Self::Encode { .. } => DatasetErrorClass::Bug,
        }
    }

    /// Content that is not ours.
    pub(super) fn content(path: &str, problem: impl ToString) -> Self {
        Self::Content { path: path.to_owned(), problem: problem.to_string() }
    }

    /// An encoder's error.
    pub(super) fn encode(action: &'static str, error: impl Error + Send + Sync + 'static) -> Self {
        Self::Encode { action, source: Box::new(error) }
    }

    /// Rows that were refused.
    pub(super) fn rows(range: &RangeInclusive<LedgerSequence>, problem: impl ToString) -> Self {
        Self::Rows { range: range.clone(), problem: problem.to_string() }
    }
}

impl StoreError {
    /// What the failure asks for.
    pub fn class(&self) -> DatasetErrorClass {
        match self {
            Self::Refused { .. } | Self::IgnoresPutIfAbsent { .. } => DatasetErrorClass::Usage,
            Self::Unavailable { .. } | Self::Full { .. } => DatasetErrorClass::Unavailable,
            Self::TooLarge { .. } | Self::CutShort { .. } => DatasetErrorClass::Data,
        }
    }

    /// From the operating system, for what trying again cannot change.
    pub(super) fn io(action: &'static str, path: &str, error: &io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::Refused {
                action,
                path,
                reason: error.to_string(),
                fix: "give this user write access, or name another folder",
            },
            io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::Unsupported => Self::Refused {
                action,
                path,
                reason: error.to_string(),
                fix: "name a folder of a file system that has hard links",
            },
            _ => Self::Unavailable { action, path, reason: error.to_string(), attempts: 1 },
        }
    }
}

impl From<BatchError> for DatasetError {
    fn from(error: BatchError) -> Self {
        Self::encode("read rows of a batch", error)
    }
}
