//! Reading ledgers: whatever a [`SourceUrl`] names becomes a sequence of [`RawLedger`].
//!
//! In: files, directories, framed streams, SEP-54 lakes in folders, buckets and on web servers, RPC servers. Out: the XDR of one `LedgerCloseMeta` at a time, each exactly
//! delimited, not decoded and not yet checked against its hashes.
//!
//! Order: inputs in the order given; files of a directory in the order of their paths; ledgers of an input in its own
//! order; ledgers of a lake ascending and without gaps. Ledgers with one [`RawLedger::chain`] claim to follow each other.
//!
//! Errors: an input ends at its first error; the source then goes on with the next input, if the caller does. Bad input
//! is a [`SourceError`] that names file, byte and ledger, and costs at most 64 MiB, however it was made; an object of a lake
//! is held whole while it is read, up to [`OBJECT_BYTES_MAX`].
//!
//! Two faces of the same stores: [`ledger_stream`] for actors (asynchronous, follows the tip, falls back from one store to
//! the next) and [`open`] for commands (blocking, a range, one input after the other). What decides (`form`, `lake_layout`,
//! `lake_config`, `range`, `url`, `fetch_plan`, `cadence`, `retry_budget`, `tip_probe`) does no I/O.

mod content;
mod error;
mod files;
mod form;
mod generated;
mod inputs;
mod lake;
mod lake_config;
mod lake_layout;
mod lake_objects;
mod lake_writer;
mod prefetch;
mod progress;
mod range;
mod reader;
pub mod synthetic;
mod url;
mod window;

mod remote_url;
mod store;
mod open_stores;
mod rpc;
pub mod rpc_answer;
pub mod rpc_page;
mod sequential;
mod tip_probe;

mod blocking;
mod cadence;
mod chunk;
mod fetch_plan;
mod retry_budget;
mod stream;
mod stream_limits;
mod actor;

use std::sync::Arc;

use bytes::Bytes;
use orrery_schemas::LedgerSequence;

pub use actor::{Fetcher, FetcherSettings, FetcherState, Ledgers, OpenLedgers};
pub use chunk::{ChunkLedgers, ChunkOrigin, FetchedObject, LedgerChunk, ObjectFingerprint};
pub use error::{SourceError, SourceErrorClass, SourceErrorKind};
pub use inputs::{open, open_with};
pub use lake::Lake;
pub use lake_config::LakeConfig;
pub use lake_layout::{LakeLayout, NamedRange, ObjectExtension};
pub use lake_objects::Lookup;
pub use lake_writer::{LakeWriter, LakeWriterError};
pub use open_stores::open_stores;
pub use prefetch::{Prefetch, PrefetchError, PrefetchLimits, WORKER_STACK_BYTES};
pub use progress::{Progress, ProgressUnit};
pub use range::{LedgerBound, LedgerRange};
pub use reader::LedgerReader;
pub use remote_url::RemoteUrl;
pub use retry_budget::RetryBudget;
pub use store::{Fetched, LedgerStore, resolve_range};
pub use stream::{SystemTimer, Timer, ledger_stream, patiently};
pub use stream_limits::{AtTip, Rejected, StreamError, StreamLimits, StreamStart, Tried};
pub use url::SourceUrl;

/// Most bytes of XDR one ledger may have. Ledgers of today's densest load tests have 15 MiB; the limit and a zstd window
/// together stay below 64 MiB, which is what bad input may cost.
pub const LEDGER_XDR_BYTES_MAX: usize = 32 << 20;

/// First read of a ledger whose length is not known. Smaller repeats walks of ledgers, which have 1.7 MB today; larger
/// costs memory for nothing.
const LEDGER_BYTES_FIRST_FILL: usize = 4 << 20;

/// Log2 of the largest zstd window granted: 16 MiB, above what compression levels up to 19 use.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 24;

/// Decompressed bytes per compressed byte above which content is refused. Ledgers reach 10; zstd can reach 32,000.
pub const DECOMPRESSION_RATIO_MAX: u64 = 1000;

/// Decompressed bytes before the ratio counts: little content may be all repetition.
const DECOMPRESSION_GRACE_BYTES: u64 = 8 << 20;

/// Most bytes of one object of a lake, or of one answer of a server, as they are fetched. 64 dense ledgers of today have
/// 13 MB compressed and 110 MB plain.
pub const OBJECT_BYTES_MAX: usize = 256 << 20;

/// One ledger as it was found: bytes, and where they come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawLedger {
    /// The input as given, or its key inside a lake or directory.
    pub file: Arc<str>,
    /// Ledgers with equal numbers come from one file, stream or lake and claim to be consecutive; a new number starts
    /// a new chain.
    pub chain: u32,
    /// Where `xdr` begins in the decompressed content of `file`.
    pub offset: u64,
    /// Number in the ledger's header.
    pub sequence: LedgerSequence,
    /// XDR of exactly one `LedgerCloseMeta`.
    pub xdr: Bytes,
}

/// Gives ledgers in order until there are no more.
pub trait LedgerSource: Send {
    /// The next ledger; `None` at the end, and ever after. After an error the source goes on with its next input.
    fn next_ledger(&mut self) -> Option<Result<RawLedger, SourceError>>;

    /// Passphrase of the network as the source itself states it; only lakes do.
    fn network_passphrase(&self) -> Option<&str> {
        None
    }

    /// The running count of what was read.
    fn progress(&self) -> Arc<Progress>;
}
