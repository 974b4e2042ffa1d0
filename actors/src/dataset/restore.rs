//! Opening by the newest checkpoint, and writing the next one. Nothing here can fail a commit.

use orrery_supervisor::seeded_bug;

use super::chain::Chain;
use super::checkpoint::{
    CHECKPOINT_BYTES_MAX, HINT_BYTES_MAX, HINT_PATH, checkpoint_path, encode, encode_hint, parse, parse_hint,
};
use super::compaction::blocking;
use super::slot::{SLOT_BYTES_MAX, sha256, slot_path};
use super::{DatasetError, StoreError, Table};

/// Why a checkpoint is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// This slot has one, whoever writes it: two writers write the same.
    OfSlot,
    /// Two that there should be are not.
    Late,
}

/// Whether slot `slot`, the tip, is to have a checkpoint when `newest` is the newest one that is known.
fn due(slot: u64, newest: Option<u64>, interval: u64) -> Option<Due> {
    let behind = slot.saturating_sub(newest.unwrap_or(0));
    if behind > 0 && slot.is_multiple_of(interval) {
        Some(Due::OfSlot)
    } else {
        (behind >= interval.saturating_mul(2)).then_some(Due::Late)
    }
}

impl Table {
    /// Moves to the newest checkpoint, if there is one that fits slot 0 and its own slot.
    pub(super) async fn restore(&mut self) -> Result<(), DatasetError> {
        let Some(hint) = self.store.read(HINT_PATH, HINT_BYTES_MAX).await? else { return Ok(()) };
        match self.follow_hint(&hint).await? {
            Ok(chain) => {
                self.checkpoint = Some(chain.tip.slot);
                self.chain = chain;
            }
            Err(problem) => {
                let table = self.store.name("");
                tracing::warn!(table, problem, "checkpoint is of no use, reading the whole log");
            }
        }
        Ok(())
    }

    /// The chain at the checkpoint, or what is wrong with it. Only a store that fails is an error.
    async fn follow_hint(&self, hint: &[u8]) -> Result<Result<Chain, String>, StoreError> {
        let slot = match parse_hint(hint) {
            Ok(slot) => slot,
            Err(problem) => return Ok(Err(problem)),
        };
        let path = checkpoint_path(slot);
        let checkpoint = match self.store.read(&path, CHECKPOINT_BYTES_MAX).await {
            Ok(Some(checkpoint)) => checkpoint,
            Ok(None) => return Ok(Err(format!("{path} is not there"))),
            Err(error @ StoreError::TooLarge { .. }) => return Ok(Err(error.to_string())),
            Err(error) => return Err(error),
        };
        let Some(bytes) = self.store.read(&slot_path(slot), SLOT_BYTES_MAX).await? else {
            return Ok(Err(format!("slot {slot} is not there")));
        };
        let first = self.chain.metadata.clone();
        Ok(blocking(move || {
            let checkpoint = parse(checkpoint)?;
            if checkpoint.slot_sha256 != sha256(&bytes) {
                return Err(format!("it is of another slot {slot}"));
            }
            if checkpoint.metadata.id != first.id {
                return Err("it is of another table".to_owned());
            }
            let chain = Chain::at_checkpoint(slot, &bytes, checkpoint.metadata, checkpoint.files)?;
            let (found, first) = (chain.configuration(), &first.configuration);
            let is_same = found.network_passphrase == first.network_passphrase
                && found.start_ledger == first.start_ledger
                && found.kind == first.kind
                && found.grid.steps().starts_with(first.grid.steps())
                && found.epochs.as_slice().starts_with(first.epochs.as_slice());
            if is_same { Ok(chain) } else { Err("its settings are not those of slot 0".to_owned()) }
        })
        .await)
    }

    /// Writes a checkpoint where there should have been one. The table was opened just now: what it knows of checkpoints is
    /// what there is.
    pub(super) async fn repair_checkpoint(&mut self) {
        if self.due().is_some() {
            self.write_checkpoint().await;
        }
    }

    /// Writes a checkpoint at every multiple of the interval, and where others have left out two.
    pub(super) async fn checkpoint_if_due(&mut self) {
        if self.due() == Some(Due::Late) {
            // Most are written by others when there are several writers: this one has not looked since it was opened.
            self.look_for_checkpoint().await;
        }
        if self.due().is_some() {
            self.write_checkpoint().await;
        }
    }

    fn due(&self) -> Option<Due> {
        due(self.chain.tip.slot, self.checkpoint, self.slots_per_checkpoint)
    }

    /// Notes the newest one that the hint names. If it cannot be read, nothing is known that was not.
    async fn look_for_checkpoint(&mut self) {
        let hint = self.store.read(HINT_PATH, HINT_BYTES_MAX).await.ok().flatten();
        self.checkpoint = self.checkpoint.max(hint.and_then(|hint| parse_hint(&hint).ok()));
    }

    /// What fails here costs time at the next opening, and no more: it is logged.
    async fn write_checkpoint(&mut self) {
        match self.try_checkpoint().await {
            Ok(()) => {
                self.checkpoint = Some(self.chain.tip.slot);
                seeded_bug!(B7, self.collect_garbage().await, ());
            }
            Err(error) => {
                let (table, slot) = (self.store.name(""), self.chain.tip.slot);
                tracing::warn!(table, slot, %error, "checkpoint could not be written, trying again later");
            }
        }
    }

    #[cfg(feature = "seeded-bugs")]
    async fn collect_garbage(&self) {
        for slot in 1..self.chain.tip.slot {
            let _ = self.store.remove_slot(&super::slot::slot_path(slot)).await;
        }
    }

    async fn try_checkpoint(&self) -> Result<(), DatasetError> {
        let chain = self.chain.clone();
        let path = checkpoint_path(chain.tip.slot);
        let hint = encode_hint(&chain);
        let bytes = blocking(move || encode(&chain)).await;
        let bytes = bytes.map_err(|problem| DatasetError::content(&self.store.name(&path), problem))?;
        self.store.replace(&path, bytes).await?;
        // Another writer may be ahead: the hint should not go back. If it does, opening takes a little longer.
        let newest =
            self.store.read(HINT_PATH, HINT_BYTES_MAX).await?.and_then(|hint| parse_hint(&hint).ok());
        if newest.is_none_or(|newest| newest < self.chain.tip.slot || self.checkpoint.is_none()) {
            self.store.replace(HINT_PATH, hint).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_are_at_multiples_and_elsewhere_only_when_two_are_missing() {
        let check = |slot, newest, expect| assert_eq!(due(slot, newest, 64), expect, "{slot} {newest:?}");
        check(0, None, None);
        check(63, None, None);
        check(64, None, Some(Due::OfSlot));
        check(64, Some(64), None);
        check(65, None, None);
        check(127, None, None);
        check(128, Some(64), Some(Due::OfSlot));
        check(129, Some(64), None);
        check(129, None, Some(Due::Late));
        check(192, Some(64), Some(Due::OfSlot));
        check(193, Some(64), Some(Due::Late));
        // Another writer is ahead.
        check(64, Some(128), None);
    }
}
