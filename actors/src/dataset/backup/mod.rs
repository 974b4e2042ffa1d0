//! A dataset copied to another place, slot by slot: `orrery backup` and `orrery restore`, which is the way back.
//!
//! In: two stores. Out: in the second, the log of the first up to its end or to a point, byte for byte, with the files that it
//! names. A slot is put when its file is there and was read back: the copy is at every moment a dataset that every reader can
//! read. Its own log says what it has, so that whoever goes on (after a kill, or tomorrow) copies only what comes after. All
//! writes are put-if-absent; two copies at once do the same work.
//!
//! Nothing damaged is copied: files are held against their hash, slots against the slots before. Checkpoints of the log are not
//! copied but made from it; announcements of epochs go first. What is in `_orrery/` (leases, the self-test) stays behind: it is of the nodes, not of the dataset.
//!
//! Memory: the files in work, [`IN_WORK_BYTES_MAX`] together or one larger file, and the list of live files.

mod core;
mod table;
mod beside;

use std::sync::Arc;

use orrery_schemas::{CloseTime, Hash32, LedgerSequence, RowDigest};
use tokio::sync::Semaphore;

use super::kind::TableKind;
use super::store::Store;
use super::{DatasetError, DatasetSettings, Pace};
use core::whose_turn;
use table::Copying;

/// Bytes of files that are in memory at once: more would not make a disk or a network faster.
const IN_WORK_BYTES_MAX: usize = 256 << 20;

/// Slots that a table copies before the other one has its turn: fewer leave no room for several at once.
const SLOTS_A_TURN: u64 = 64;

/// How far a dataset is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyUntil {
    /// To the end of its logs.
    End,
    /// Up to this slot of each table.
    Slot(u64),
    /// Up to the last slot that has no later ledger.
    Ledger(LedgerSequence),
}

/// How a dataset is copied.
#[derive(Clone)]
pub struct CopySettings {
    /// How far.
    pub until: CopyUntil,
    /// Most files at once, at least one.
    pub concurrency: usize,
    /// Bytes a second, at most.
    pub pace: Pace,
}

/// What became of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableCopy {
    /// Which table.
    pub kind: TableKind,
    /// Slots that were copied now.
    pub slots: u64,
    /// Files that were copied now.
    pub files: u64,
    /// Their bytes, and those of the slots.
    pub bytes: u64,
    /// Pieces of evidence that were copied now.
    pub evidence: u64,
    /// The last slot that the copy has.
    pub slot: u64,
    /// SHA-256 of that slot: equal in both places, the logs are equal up to there.
    pub slot_sha256: Hash32,
    /// The last ledger of the copy, `None` if it has none yet.
    pub last_ledger: Option<LedgerSequence>,
    /// When that ledger closed: whatever closed later would be lost with the original.
    pub closed_at: Option<CloseTime>,
    /// Rows of the copy, by its log.
    pub rows: u64,
    /// Their digest.
    pub digest: RowDigest,
    /// What does no harm but wants to be known.
    pub notes: Vec<String>,
    /// The point that was asked for is not reached.
    pub falls_short: Option<String>,
}

/// What a copy did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyReport {
    /// Each table.
    pub tables: Vec<TableCopy>,
}

/// What copies of several files share.
#[derive(Clone)]
struct Limits {
    /// One permit a KiB of a file.
    memory: Arc<Semaphore>,
    pace: Pace,
    concurrency: usize,
}

/// Copies the dataset `from` to `to`, which has nothing or an earlier part of the same. `progress` hears of the bytes of every
/// object that is there and was read back.
///
/// # Errors
///
/// [`DatasetError::NoCopy`] if `to` has another history or more than was asked for; [`DatasetError::Content`] if an object is
/// damaged, with what was copied before it in place; [`DatasetError::NoTable`]; [`DatasetError::Store`].
pub async fn copy(
    from: &Store,
    to: &Store,
    settings: &CopySettings,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<CopyReport, DatasetError> {
    let limits = Limits {
        memory: Arc::new(Semaphore::new(IN_WORK_BYTES_MAX >> 10)),
        pace: settings.pace.clone(),
        concurrency: settings.concurrency.max(1),
    };
    // Nothing is written anywhere before it is certain that there is something to copy, and that it may go there.
    let mut tables = Vec::new();
    for kind in TableKind::ALL {
        tables.push(Copying::look(from, to, kind, settings.until, limits.clone()).await?);
    }
    to.self_test().await?;
    for table in &mut tables {
        table.begin(progress).await?;
    }
    loop {
        let next: Vec<_> = tables.iter().map(Copying::next_ledger).collect();
        let Some(table) = whose_turn(&next).and_then(|index| tables.get_mut(index)) else { break };
        table.go_on(SLOTS_A_TURN, progress).await?;
    }
    let mut report = CopyReport { tables: Vec::new() };
    for table in tables {
        report.tables.push(table.finish(progress).await?);
    }
    Ok(report)
}

/// Checkpoints of a copy stand where those of any dataset do.
fn slots_per_checkpoint() -> u64 {
    DatasetSettings::default().slots_per_checkpoint
}
