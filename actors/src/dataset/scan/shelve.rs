//! Making row files of data files, one at a time, the newest first, when nothing more urgent happens.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use orrery_schemas::token_transfers_from_batch;

use super::footer::Source;
use super::pruning::Piece;
use super::rows::Rows;
use super::view::{DatasetView, Snapshot};
use crate::dataset::error::DatasetError;
use crate::dataset::lookup::{Candidate, Shelf};
use crate::dataset::slot::AddFile;

/// Rows that are taken over at once.
const BATCH_ROWS: usize = 8 * 1024;

/// How long nothing must have been committed: a backfill is not slowed down by what can wait until it is over.
const QUIET: Duration = Duration::from_secs(4);

/// After a failure, until the next attempt; and after nothing was committed, until it is looked for what was removed.
const PAUSE: Duration = Duration::from_secs(60);

/// Why a row file is not made.
#[derive(Debug, thiserror::Error)]
pub enum RowFileError {
    /// The data file cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The folder of row files cannot be used.
    #[error(
        "rows for look-ups: {0}: see that the node's own disk has room and is writable, or give it none for them"
    )]
    Folder(#[from] io::Error),
}

impl DatasetView {
    /// Makes row files for ever, as the dataset grows, if the view has a place for them.
    pub async fn keep_row_files(&self) {
        let Some(shelf) = self.shelf().cloned() else { return std::future::pending().await };
        let mut seen = self.subscribe();
        let loading = Arc::clone(&shelf);
        if let Err(error) = in_background(move || loading.load()).await {
            tracing::warn!(%error, "rows for look-ups cannot be kept on this node's disk: look-ups are slow");
            return std::future::pending().await;
        }
        let mut is_new = true;
        loop {
            while is_new && let Ok(changed) = tokio::time::timeout(QUIET, seen.changed()).await {
                if changed.is_err() {
                    return;
                }
            }
            let snapshot = seen.borrow_and_update().clone();
            let made = match snapshot {
                Some(snapshot) => self.make_row_file(&snapshot).await,
                None => Ok(false),
            };
            if let Err(error) = &made {
                tracing::warn!(%error, "rows for look-ups are not made now, trying again");
            }
            is_new = match made {
                Ok(true) => seen.has_changed().unwrap_or(false),
                Ok(false) | Err(_) => tokio::time::timeout(PAUSE, seen.changed()).await.is_ok(),
            };
        }
    }

    /// Makes the row files that are missing. What has lost its place goes.
    ///
    /// # Errors
    ///
    /// [`RowFileError`].
    pub async fn make_row_files(&self, snapshot: &Arc<Snapshot>) -> Result<(), RowFileError> {
        let Some(shelf) = self.shelf().cloned() else { return Ok(()) };
        in_background(move || shelf.load()).await?;
        while self.make_row_file(snapshot).await? {}
        Ok(())
    }

    /// Makes the newest row file that is missing; `false` if none is.
    async fn make_row_file(&self, snapshot: &Arc<Snapshot>) -> Result<bool, RowFileError> {
        let Some(shelf) = self.shelf() else { return Ok(false) };
        let (tidied, seen) = (Arc::clone(shelf), Arc::clone(snapshot));
        let next = in_background(move || {
            let files = seen.token_transfers.files.values().rev();
            Ok(tidied.tidy(files.map(|file| Candidate { name: file.name.to_string(), rows: file.rows })))
        });
        let Some(next) = next.await? else { return Ok(false) };
        let file =
            snapshot.token_transfers.files.values().rev().find(|file| file.name.to_string() == next.name);
        let Some(file) = file else { return Ok(false) };
        self.take_over(shelf, file).await?;
        Ok(true)
    }

    async fn take_over(&self, shelf: &Arc<Shelf>, file: &AddFile) -> Result<(), RowFileError> {
        let (store, files, turns) = self.reading();
        let source = Source::new(&store, file, &Arc::default());
        let started = Arc::clone(shelf);
        let mut writer = in_background(move || started.writer()).await?;
        let footer = files.footer(&source).await?;
        let columns: Vec<_> = (0..footer.reader.parquet_schema().num_columns()).collect();
        for row_group in 0..footer.reader.metadata().num_row_groups() {
            let rows = footer.reader.metadata().row_group(row_group).num_rows();
            let rows = usize::try_from(rows).map_err(|error| source.damaged(error))?;
            let piece = Piece { row_group, rows: vec![0..rows] };
            let mut rows = Rows::new(&source, &footer.reader, &piece, &columns, BATCH_ROWS)?;
            while let Some(batch) = rows.next(&source, turns).await? {
                let turn = turns.acquire().await.map_err(|error| source.damaged(error))?;
                let taken = in_background(move || {
                    let events = token_transfers_from_batch(&batch).map_err(io::Error::other)?;
                    writer.append(&events)?;
                    Ok(writer)
                });
                writer = taken.await?;
                drop(turn);
            }
        }
        let (shelf, name) = (Arc::clone(shelf), file.name.to_string());
        in_background(move || shelf.finish(&name, writer)).await
    }
}

/// Runs what reads and writes the disk.
pub(super) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, RowFileError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(io::Error::other)??)
}
