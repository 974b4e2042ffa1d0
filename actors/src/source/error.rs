//! What can go wrong while ledgers are read, and what to do about it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use orrery_schemas::LedgerSequence;

use super::{DECOMPRESSION_RATIO_MAX, LEDGER_XDR_BYTES_MAX, OBJECT_BYTES_MAX, ZSTD_WINDOW_LOG_MAX};
use crate::ledger::cursor::DEPTH_MAX;

/// A failure to read ledgers: which input, where in it, which ledger, why, and the way out.
#[derive(Debug)]
pub struct SourceError {
    /// The input as given, or its key inside a lake or directory.
    pub file: Arc<str>,
    /// Byte in the decompressed content of `file`, where known.
    pub offset: Option<u64>,
    /// The ledger that could not be read, where known.
    pub ledger: Option<LedgerSequence>,
    /// The reason.
    pub kind: SourceErrorKind,
}

/// Reasons that reading fails. The text of each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum SourceErrorKind {
    /// The operating system refused or failed.
    #[error("cannot read: {0}")]
    Io(#[source] io::Error),
    /// Nothing has this name.
    #[error(
        "no such file or directory; give a file, a directory, a pattern, file://LAKE, stream:FILE, stream:-, synthetic:?... or \
         the URL of a remote source"
    )]
    NotFound,
    /// A pattern that no file matches.
    #[error("no file matches this pattern")]
    NoMatch,
    /// The parameters of a source make no sense.
    #[error("{0}")]
    BadUrl(String),
    /// The pattern does not parse.
    #[error("not a valid pattern: {0}")]
    BadPattern(String),
    /// A URL scheme that names no kind of source.
    #[error(
        "unknown kind of source `{scheme}`; accepted are a file, a directory, a pattern, file://LAKE, s3://BUCKET/LAKE, \
         gs://BUCKET/LAKE, https://HOST/LAKE, rpc+https://HOST, stream:FILE, stream:- and synthetic:?..."
    )]
    UnknownScheme {
        /// What stands before the colon.
        scheme: String,
    },
    /// The range asked for cannot be met by this kind of source, or is empty.
    #[error("{0}")]
    BadRange(String),
    /// `.config.json` of a lake is missing, unreadable or contradicts itself.
    #[error("bad lake configuration: {0}")]
    BadConfig(String),
    /// No bytes, or a lake without ledgers.
    #[error("empty: no ledger in it")]
    EmptyInput,
    /// The content is no form of ledgers that we know.
    #[error(
        "not ledgers: expected a LedgerCloseMeta, a LedgerCloseMetaBatch or a framed stream of LedgerCloseMeta, each \
         optionally compressed with zstd; found {found}"
    )]
    Unrecognised {
        /// The first bytes, in hexadecimal, or what they look like.
        found: String,
    },
    /// The input ends inside a ledger, a record or a compressed frame.
    #[error("truncated: {0}; fetch the file again")]
    Truncated(&'static str),
    /// One ledger is larger than we hold in memory.
    #[error("larger than the limit of {LEDGER_XDR_BYTES_MAX} bytes for one ledger")]
    TooLarge,
    /// XDR nests deeper than any ledger may.
    #[error("XDR nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// The content contradicts the format.
    #[error("malformed: {0}")]
    Malformed(String),
    /// Decompression yields implausibly much.
    #[error(
        "decompresses to more than {DECOMPRESSION_RATIO_MAX} times its size, as no ledgers do; if you trust it, decompress \
         it first"
    )]
    RatioExceeded,
    /// A zstd frame asks for more window memory than we grant.
    #[error(
        "compressed with a zstd window above {} MiB; compress it again without --long and --ultra",
        (1u64 << ZSTD_WINDOW_LOG_MAX) >> 20
    )]
    WindowTooLarge,
    /// The checksum of a zstd frame does not fit its content.
    #[error("zstd checksum mismatch: the file is damaged; fetch it again")]
    Checksum,
    /// A ledger stands where another was due.
    #[error("holds ledger {found} where ledger {expected} is due")]
    WrongSequence {
        /// The ledger that was due.
        expected: LedgerSequence,
        /// The ledger that was found.
        found: LedgerSequence,
    },
    /// A server did not answer, or not with what was asked for; it may the next time.
    #[error("cannot fetch: {0}")]
    Fetch(String),
    /// A server asks to be asked later.
    #[error("the server is busy (HTTP status {status}); ask for less at once, or later")]
    Throttled {
        /// HTTP status: 429 or 503.
        status: u16,
        /// How long the server wants to be left alone.
        after: Option<Duration>,
    },
    /// A server refuses, and would again.
    #[error("the server refuses: {0}")]
    Refused(String),
    /// A server wants other credentials, or any.
    #[error(
        "access denied: {0}; give credentials in the environment, or `anonymous=true` in the URL of a public bucket"
    )]
    Denied(String),
    /// Fewer or more bytes arrived than were announced.
    #[error("{received} bytes arrived of {announced} announced")]
    Incomplete {
        /// By the server.
        announced: u64,
        /// Until the end.
        received: u64,
    },
    /// One object or answer is larger than we fetch.
    #[error("{bytes} bytes, above the limit of {OBJECT_BYTES_MAX} for one object")]
    ObjectTooLarge {
        /// As announced, or as far as it was read.
        bytes: u64,
    },
    /// The server has dropped ledgers that are asked for.
    #[error(
        "ledgers {from} to {to} are older than what this server keeps (from {oldest} on); take them from a \
         lake"
    )]
    RetentionGap {
        /// First ledger that is asked for and gone.
        from: LedgerSequence,
        /// Last ledger that is gone.
        to: LedgerSequence,
        /// Oldest ledger that the server has.
        oldest: LedgerSequence,
    },
    /// What was tried again until the budget was spent.
    #[error("{last} (given up after {attempts} tries in {:.1} s)", elapsed.as_secs_f64())]
    GaveUp {
        /// Tries.
        attempts: u32,
        /// From the first to the last.
        elapsed: Duration,
        /// What the last one failed with.
        last: Box<SourceErrorKind>,
    },
    /// A lake lacks a ledger inside the range asked for.
    #[error("lake {lake} lacks this ledger (object {key}); fill the gap or narrow --from and --to")]
    MissingLedger {
        /// Root of the lake.
        lake: String,
        /// Object that should hold the ledger.
        key: String,
    },
}

/// Who can mend a failure; the command line maps it to its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceErrorClass {
    /// What was asked for makes no sense: exit code 2.
    Usage,
    /// The input is damaged or is not what it claims to be; trying again cannot help: exit code 65.
    Data,
    /// The input is not there or cannot be read now: exit code 69.
    Unavailable,
}

impl SourceError {
    /// A failure of a whole input, at no particular place in it.
    pub fn new(file: impl Into<Arc<str>>, kind: SourceErrorKind) -> Self {
        Self { file: file.into(), offset: None, ledger: None, kind }
    }

    pub(crate) fn io(file: impl Into<Arc<str>>, error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => SourceErrorKind::NotFound,
            _ => SourceErrorKind::Io(error),
        };
        Self::new(file, kind)
    }

    /// Who can mend it.
    pub fn class(&self) -> SourceErrorClass {
        self.kind.class()
    }

    /// True if the input itself is bad, so that reading it again gives the same error.
    pub fn is_bad_data(&self) -> bool {
        self.class() == SourceErrorClass::Data
    }
}

impl SourceErrorKind {
    /// Who can mend it.
    pub fn class(&self) -> SourceErrorClass {
        match self {
            Self::UnknownScheme { .. } | Self::BadUrl(_) | Self::BadPattern(_) | Self::BadRange(_) => {
                SourceErrorClass::Usage
            }
            Self::Io(_)
            | Self::NotFound
            | Self::NoMatch
            | Self::Fetch(_)
            | Self::Throttled { .. }
            | Self::Refused(_)
            | Self::Denied(_)
            | Self::Incomplete { .. }
            | Self::RetentionGap { .. }
            | Self::MissingLedger { .. } => SourceErrorClass::Unavailable,
            Self::BadConfig(_)
            | Self::EmptyInput
            | Self::Unrecognised { .. }
            | Self::Truncated(_)
            | Self::TooLarge
            | Self::TooDeep
            | Self::Malformed(_)
            | Self::RatioExceeded
            | Self::WindowTooLarge
            | Self::Checksum
            | Self::ObjectTooLarge { .. }
            | Self::WrongSequence { .. } => SourceErrorClass::Data,
            Self::GaveUp { last, .. } => last.class(),
        }
    }

    /// What went wrong, in one of few words.
    pub(crate) fn word(&self) -> &'static str {
        match (self, self.class()) {
            (Self::Throttled { .. }, _) => "throttled",
            (Self::Denied(_) | Self::Refused(_), _) => "refused",
            (Self::MissingLedger { .. } | Self::RetentionGap { .. } | Self::NotFound, _) => "missing",
            (Self::Incomplete { .. }, _) => "incomplete",
            (Self::GaveUp { last, .. }, _) => last.word(),
            (_, SourceErrorClass::Data) => "data",
            (_, SourceErrorClass::Usage) => "usage",
            (_, SourceErrorClass::Unavailable) => "unavailable",
        }
    }

    /// True if the same request may succeed a little later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Io(_) | Self::Fetch(_) | Self::Throttled { .. } | Self::Incomplete { .. })
    }

    /// How long the server wants to be left alone.
    pub(super) fn pause_wanted(&self) -> Option<Duration> {
        match self {
            Self::Throttled { after, .. } => *after,
            _ => None,
        }
    }
}

/// `FILE: byte N: ledger N: reason`. Control characters of a file name are escaped: the text goes to terminals and logs.
impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.file.chars() {
            match character.is_control() {
                true => write!(f, "{}", character.escape_default())?,
                false => write!(f, "{character}")?,
            }
        }
        if let Some(offset) = self.offset {
            write!(f, ": byte {offset}")?;
        }
        if let Some(ledger) = self.ledger {
            write!(f, ": ledger {ledger}")?;
        }
        write!(f, ": {}", self.kind)
    }
}

impl std::error::Error for SourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.kind.source()
    }
}
