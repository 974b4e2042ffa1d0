//! Slots whose files are stored before it is their turn in the log: several writers work at different ledgers at once, and
//! each appends when the slot before its own is there.

use std::ops::RangeInclusive;

use orrery_schemas::{CloseTime, LedgerSequence};

use super::commit::{Append, Intent, Outcome};
use super::slot::{SLOT_BYTES_MAX, slot_path};
use super::table::content;
use super::{DatasetError, SlotRows, Table};

/// A slot whose file is in the store, and that is not in the log yet.
#[derive(Clone, Debug)]
pub struct StoredSlot(Append);

impl StoredSlot {
    /// Its ledgers.
    pub fn range(&self) -> &RangeInclusive<LedgerSequence> {
        &self.0.range
    }

    /// Close time of its last ledger.
    pub fn closed_at(&self) -> CloseTime {
        self.0.closed_at
    }
}

impl Table {
    /// The ledgers of the slot that begins at `next`, which may lie ahead of the tip; a bounded run ends at `to`. `None` if
    /// `next` is past `to`.
    pub fn range_at(
        &self,
        next: LedgerSequence,
        to: Option<LedgerSequence>,
    ) -> Option<RangeInclusive<LedgerSequence>> {
        let configuration = self.announced.as_ref().map(|(_, after)| after);
        configuration.unwrap_or_else(|| self.chain.configuration()).slot_range(next, to)
    }

    /// Stores the file of a slot, and leaves the log alone. A file of this name with other bytes halts.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Halted`], [`DatasetError::Store`].
    pub async fn store_ahead(&mut self, rows: SlotRows) -> Result<StoredSlot, DatasetError> {
        let SlotRows { range, parent_hash, last_hash, closed_at, file, digest } = rows;
        let add = file.as_ref().map(|file| file.to_add(digest, closed_at));
        if let (Some(add), Some(file)) = (&add, file) {
            self.perform(Intent::Store(add.clone()), Some(file.bytes)).await?;
        }
        Ok(StoredSlot(Append { range, parent_hash, last_hash, closed_at, digest, file: add }))
    }

    /// Appends a slot that was stored; `None` if the tip has not come to it. Otherwise as [`Self::commit`].
    ///
    /// # Errors
    ///
    /// As [`Self::commit`].
    pub async fn commit_stored(&mut self, slot: &StoredSlot) -> Result<Option<Outcome>, DatasetError> {
        match self.tip().next_ledger.cmp(slot.range().start()) {
            std::cmp::Ordering::Less => Ok(None),
            std::cmp::Ordering::Greater => Ok(Some(Outcome::Superseded)),
            std::cmp::Ordering::Equal => self.append(slot.0.clone(), None).await.map(Some),
        }
    }

    /// Looks whether the log went on, and follows it to its end if it did. One request if it did not.
    ///
    /// # Errors
    ///
    /// As [`Self::refresh`].
    pub async fn look(&mut self) -> Result<bool, DatasetError> {
        let path = slot_path(self.chain.tip.slot + 1);
        let Some(bytes) = self.store.read(&path, SLOT_BYTES_MAX).await? else { return Ok(false) };
        self.chain.follow(&bytes).map_err(|problem| content(&self.store, &path, problem))?;
        self.refresh().await?;
        self.hear().await?;
        Ok(true)
    }
}
