//! Many small files to one: a full window of ledgers, in one commit, with the same rows.
//!
//! What is compacted follows from the log and the window's width alone, and so do the bytes: two nodes that compact at
//! once do the same work, and one of them finds it done. A live writer that loses the race for a slot number puts its
//! slot behind; totals do not change.

use std::ops::RangeInclusive;

use arrow::array::RecordBatch;
use bytes::Bytes;
use orrery_schemas::{Ledger, LedgerSequence};

use super::chain::{Chain, sums};
use super::commit::{Intent, Outcome};
use super::file::{FILE_BYTES_MAX, FileContent, SlotFile, SlotFileEncoder, read_content};
use super::grid::last_of_slot;
use super::kind::TableKind;
use super::slot::{AddFile, Change, RemovedFile, sha256};
use super::{DatasetError, Table};

/// Files that are replaced by one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) range: RangeInclusive<LedgerSequence>,
    pub(super) files: Vec<AddFile>,
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionReport {
    /// Windows that were replaced by one file each.
    pub windows: u64,
    /// Files that were replaced.
    pub files: u64,
    /// Rows that were moved.
    pub rows: u64,
}

/// The first window of `width` ledgers at or after `from` that is complete and has several files.
pub(super) fn plan(chain: &Chain, width: u32, from: LedgerSequence) -> Option<Window> {
    let mut window: Option<Window> = None;
    for file in chain.files.range(from..).map(|(_, file)| file) {
        if let Some(open) = &mut window
            && open.range.contains(file.name.range.start())
        {
            open.files.push(file.clone());
            continue;
        }
        if let Some(full) = window.take().filter(|window| is_due(window, chain)) {
            return Some(full);
        }
        let start = *file.name.range.start();
        let first = LedgerSequence(start.0 - start.0 % width.max(1)).max(chain.configuration().start_ledger);
        window = Some(Window { range: first..=last_of_slot(start, width), files: vec![file.clone()] });
    }
    window.filter(|window| is_due(window, chain))
}

fn is_due(window: &Window, chain: &Chain) -> bool {
    let is_complete = *window.range.end() < chain.tip.next_ledger;
    let is_inside = window.files.iter().all(|file| window.range.contains(file.name.range.end()));
    // A file that began before the window would be in it with its end.
    let before = chain.files.range(..*window.range.start()).next_back();
    let is_apart = before.is_none_or(|(_, file)| file.name.range.end() < window.range.start());
    is_complete && is_inside && is_apart && window.files.len() > 1
}

impl Table {
    /// Replaces the small files of up to `windows_max` complete windows of `ledgers_per_file` ledgers (boundaries are
    /// its multiples). Safe beside writers and other compactions; the replaced files stay in the store.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Content`] if a file is not what the log says; nothing is committed then. [`DatasetError::Store`].
    pub async fn compact(
        &mut self,
        ledgers_per_file: u32,
        windows_max: usize,
    ) -> Result<CompactionReport, DatasetError> {
        self.refresh().await?;
        let mut report = CompactionReport::default();
        let mut from = LedgerSequence(0);
        for _ in 0..windows_max {
            let Some(window) = plan(&self.chain, ledgers_per_file, from) else { break };
            from = window.range.end().next().unwrap_or(LedgerSequence(u32::MAX));
            let (add, bytes) = self.merge(&window).await?;
            let (files, rows) = (window.files.len() as u64, add.rows);
            let remove = window.files.into_iter();
            let remove = remove.map(|file| RemovedFile { name: file.name, bytes: file.bytes }).collect();
            let change = Change::Compaction { add, remove };
            if self.perform(Intent::Change(change), Some(bytes)).await? == Outcome::Committed {
                report.windows += 1;
                report.files += files;
                report.rows += rows;
            }
            self.checkpoint_if_due().await;
            self.refresh().await?;
        }
        Ok(report)
    }

    /// One file with the rows of several, read back before anybody hears of it.
    async fn merge(&self, window: &Window) -> Result<(AddFile, Bytes), DatasetError> {
        let kind = self.kind();
        let mut encoder = self.encoder(window.range.clone())?;
        for file in &window.files {
            let path = file.name.to_string();
            let content = |problem: String| DatasetError::content(&self.store.name(&path), problem);
            let bytes = self.store.read(&path, FILE_BYTES_MAX).await?;
            let bytes = bytes.ok_or_else(|| content("the file is not there".to_owned()))?;
            if sha256(&bytes) != file.sha256 {
                return Err(content(format!("its SHA-256 is {}, not {}", sha256(&bytes), file.sha256)));
            }
            let range = file.name.range.clone();
            let copied = blocking(move || {
                let mut append = |batch: &RecordBatch, _: &[Ledger]| {
                    encoder.append_batch(batch).map_err(|error| error.to_string())
                };
                let content = read_content(kind, bytes, &range, &mut append)?;
                Ok((encoder, content))
            });
            let (next, copied) = copied.await.map_err(content)?;
            if copied != (FileContent { rows: file.rows, digest: file.digest }) {
                return Err(content(format!("its rows are {copied:?}, not what the log says")));
            }
            encoder = next;
        }
        let (merged, content) = finish(kind, encoder, window.range.clone()).await?;
        let (rows, digest) = sums(window.files.iter());
        let modified_at = window.files.last().map(|file| file.modified_at);
        match modified_at.filter(|_| content == FileContent { rows, digest }) {
            Some(modified_at) => Ok((merged.to_add(digest, modified_at), merged.bytes)),
            None => {
                Err(DatasetError::rows(&window.range, "the compacted file has other rows than its parts"))
            }
        }
    }
}

async fn finish(
    kind: TableKind,
    encoder: SlotFileEncoder,
    range: RangeInclusive<LedgerSequence>,
) -> Result<(SlotFile, FileContent), DatasetError> {
    let refuse = |problem: String| DatasetError::rows(&range, problem);
    let inner = range.clone();
    let finished = blocking(move || {
        let file = encoder.finish().map_err(|error| error.to_string())?.ok_or("it has no rows")?;
        let content = read_content(kind, file.bytes.clone(), &inner, &mut |_, _| Ok(()))?;
        Ok((file, content))
    });
    finished.await.map_err(refuse)
}

/// Decoding and encoding take longer than a runtime's thread may be held.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(error.to_string()),
    }
}
