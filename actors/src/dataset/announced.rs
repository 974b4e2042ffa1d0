//! Epochs that are to come, agreed on before their first ledger.
//!
//! An epoch is announced by an object of the table, put-if-absent, while its first ledger is well ahead. Its slot goes into
//! the log right before the slot of that ledger, and nowhere else: so the log stays a function of ledgers and
//! announcements, and regions that were told alike write the same bytes, however far each was when it was told.
//!
//! | object below a table | written | content |
//! |---|---|---|
//! | `_epochs/0000000002.json` | once | the epoch, its first ledger, revisions of schema and rules, width of its slots |

use bytes::Bytes;
use orrery_schemas::LedgerSequence;
use serde::{Deserialize, Serialize};

use super::commit::{Intent, Outcome};
use super::configuration::{Configuration, Epoch};
use super::grid::{Grid, GridStep};
use super::slot::{Change, MetaData};
use super::store::Put;
use super::table::content;
use super::{DatasetError, Table};

/// An announcement has some hundred bytes.
pub(super) const ANNOUNCEMENT_BYTES_MAX: u64 = 4096;

/// What is worked on ahead of the log is some tasks of a thousand ledgers: an epoch begins behind all of it, or its
/// writers begin again.
const LEDGERS_AHEAD_MIN: u32 = 1024;

/// Most epochs that regions tell each other of: who lacks more begins anew.
pub(crate) const EPOCHS_TOLD_MAX: usize = 8;

/// From `from_ledger` on, rows are made and slots are cut in this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnnouncedEpoch {
    /// One more than that of the epoch before.
    pub epoch: u32,
    /// First ledger of the epoch.
    pub from_ledger: u32,
    /// Revision of the table's schema.
    pub schema_version: u32,
    /// Revision of the processor's rules.
    pub processor_version: u32,
    /// Width of its slots in ledgers, if that changes.
    pub ledgers_per_slot: Option<u32>,
}

impl AnnouncedEpoch {
    fn epoch(&self) -> Epoch {
        Epoch {
            epoch: self.epoch,
            from_ledger: LedgerSequence(self.from_ledger),
            schema_version: self.schema_version,
            processor_version: self.processor_version,
        }
    }

    /// The settings of a table from there on.
    pub(super) fn after(&self, before: &Configuration) -> Result<Configuration, DatasetError> {
        let mut steps = before.grid.steps().to_vec();
        steps.extend(self.ledgers_per_slot.map(|ledgers_per_slot| GridStep {
            from_ledger: LedgerSequence(self.from_ledger),
            ledgers_per_slot,
        }));
        Ok(Configuration {
            grid: Grid::new(steps)?,
            epochs: before.epochs.with(self.epoch())?,
            ..before.clone()
        })
    }

    /// What announced an epoch of these settings, which the log has.
    pub(super) fn of(configuration: &Configuration, epoch: u32) -> Option<Self> {
        let found = configuration.epochs.as_slice().iter().skip(1).find(|found| found.epoch == epoch)?;
        let steps = configuration.grid.steps().iter().skip(1);
        let mut steps = steps.filter(|step| step.from_ledger == found.from_ledger);
        Some(Self {
            epoch,
            from_ledger: found.from_ledger.0,
            schema_version: found.schema_version,
            processor_version: found.processor_version,
            ledgers_per_slot: steps.next().map(|step| step.ledgers_per_slot),
        })
    }

    /// The bytes of the announcement.
    pub(super) fn encode(&self) -> Bytes {
        // Numbers: there is nothing that JSON could not say.
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// The announcement of epoch `epoch`, if it is written as one.
    pub(super) fn parse(epoch: u32, bytes: &[u8]) -> Option<Self> {
        let found: Self = serde_json::from_slice(bytes).ok()?;
        (found.epoch == epoch && found.encode() == bytes).then_some(found)
    }

    fn refuse(&self, problem: String) -> DatasetError {
        let from_ledger = LedgerSequence(self.from_ledger);
        DatasetError::Epoch { epoch: self.epoch, from_ledger, problem }
    }
}

/// Where epoch `epoch` is announced.
pub(super) fn path(epoch: u32) -> String {
    format!("_epochs/{epoch:010}.json")
}

impl Table {
    /// The epoch that is announced and not in the log yet.
    pub fn announced_epoch(&self) -> Option<&AnnouncedEpoch> {
        self.announced.as_ref().map(|(epoch, _)| epoch)
    }

    /// The first ledger that an epoch which is announced now may begin with.
    pub fn earliest_epoch(&self) -> LedgerSequence {
        LedgerSequence(self.tip().next_ledger.0.saturating_add(self.ledgers_ahead()))
    }

    /// Announces an epoch. It is in the log when the log has come to its first ledger. Idempotent: whether it is new is
    /// told.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Epoch`] if it does not come after the table's last one, begins too soon, or another epoch of this
    /// number is announced; [`DatasetError::Grid`]; [`DatasetError::Store`].
    pub async fn announce_epoch(&mut self, announced: AnnouncedEpoch) -> Result<bool, DatasetError> {
        self.announce(announced, self.ledgers_ahead()).await
    }

    /// Announces the one of these epochs of another region's that comes next here, if one does: what that region has begun, or
    /// is to begin. Nobody may have written its first slot yet; what is in work is begun again. Whether it is new is told.
    ///
    /// # Errors
    ///
    /// As [`Self::announce_epoch`].
    pub async fn take_epoch(&mut self, epochs: &[AnnouncedEpoch]) -> Result<bool, DatasetError> {
        let last = self.configuration().epochs.as_slice().last().map_or(0, |last| last.epoch);
        let Some(next) = epochs.iter().find(|epoch| epoch.epoch == last + 1) else { return Ok(false) };
        if self.announced_epoch() == Some(next) {
            return Ok(false);
        }
        self.announce(*next, self.widest_slot()).await
    }

    /// What another region needs in order to have the same epochs: those of the log, and the one that is announced.
    pub fn told_epochs(&self) -> Vec<AnnouncedEpoch> {
        let configuration = self.configuration();
        let begun = configuration.epochs.as_slice().iter().skip(1);
        let begun = begun.filter_map(|epoch| AnnouncedEpoch::of(configuration, epoch.epoch));
        let all: Vec<_> = begun.chain(self.announced_epoch().copied()).collect();
        all.iter().skip(all.len().saturating_sub(EPOCHS_TOLD_MAX)).copied().collect()
    }

    fn widest_slot(&self) -> u32 {
        let steps = self.chain.configuration().grid.steps();
        steps.iter().map(|step| step.ledgers_per_slot).max().unwrap_or(0)
    }

    /// Ledgers behind the end of the log that may be in work.
    fn ledgers_ahead(&self) -> u32 {
        self.widest_slot().saturating_mul(2).max(LEDGERS_AHEAD_MIN)
    }

    async fn announce(&mut self, announced: AnnouncedEpoch, ahead: u32) -> Result<bool, DatasetError> {
        self.refresh().await?;
        if self.configuration().epochs.as_slice().contains(&announced.epoch()) {
            return Ok(false);
        }
        let after = announced.after(self.chain.configuration())?;
        if let Some((known, _)) = &self.announced {
            return self.compare(*known, announced).map(|()| false);
        }
        let earliest = LedgerSequence(self.tip().next_ledger.0.saturating_add(ahead));
        if announced.from_ledger < earliest.0 {
            return Err(announced.refuse(format!(
                "ledgers before it may be in work already: take {earliest} or a later one"
            )));
        }
        let put = self.store.put_create(&path(announced.epoch), announced.encode()).await?;
        if put == Put::Created {
            self.announced = Some((announced, after));
            return Ok(true);
        }
        // Somebody else was faster, or the answer was lost.
        self.hear().await?;
        let known = self.announced_epoch().copied();
        let known =
            known.ok_or_else(|| announced.refuse("it cannot be told whether it is announced".into()))?;
        self.compare(known, announced).map(|()| false)
    }

    fn compare(&self, known: AnnouncedEpoch, wanted: AnnouncedEpoch) -> Result<(), DatasetError> {
        if known == wanted {
            return Ok(());
        }
        let known = serde_json::to_string(&known).unwrap_or_default();
        Err(wanted
            .refuse(format!("{} has another of this number: {known}", self.store.name(&path(wanted.epoch)))))
    }

    /// Looks whether an epoch is announced, unless one is known.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Epoch`] if the log has gone past an epoch that it does not have: other regions may have it.
    pub(super) async fn hear(&mut self) -> Result<(), DatasetError> {
        let last = self.chain.configuration().epochs.as_slice().last().map_or(0, |last| last.epoch);
        self.announced = self.announced.take().filter(|(known, _)| known.epoch > last);
        if self.announced.is_some() {
            return Ok(());
        }
        let Some(next) = last.checked_add(1) else { return Ok(()) };
        let path = path(next);
        let Some(bytes) = self.store.read(&path, ANNOUNCEMENT_BYTES_MAX).await? else { return Ok(()) };
        let announced: AnnouncedEpoch =
            serde_json::from_slice(&bytes).map_err(|error| content(&self.store, &path, error.to_string()))?;
        if announced.epoch != next {
            let problem = format!("it announces epoch {}", announced.epoch);
            return Err(content(&self.store, &path, problem));
        }
        if announced.from_ledger < self.tip().next_ledger.0 {
            return Err(announced.refuse(format!(
                "it was announced after ledger {} was written: delete {} if no region has this epoch, or begin this \
                 region's dataset anew from one that has it",
                self.tip().next_ledger.0.saturating_sub(1),
                self.store.name(&path)
            )));
        }
        let after = announced.after(self.chain.configuration())?;
        self.announced = Some((announced, after));
        Ok(())
    }

    /// Writes the slot of an announced epoch if `first`, which is written next, is its first ledger.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Epoch`] if this release does not know the epoch's rules; as [`Self::commit`].
    pub(super) async fn enter_epoch(&mut self, first: LedgerSequence) -> Result<(), DatasetError> {
        self.hear().await?;
        let due = self.announced.as_ref().filter(|(announced, _)| announced.from_ledger == first.0);
        if let Some((announced, after)) = due.filter(|_| self.tip().next_ledger == first).cloned() {
            if announced.schema_version > self.kind().schema_version() {
                let known = self.kind().schema_version();
                return Err(announced.refuse(format!(
                    "it has schema revision {}, this release knows {known}: use a later release",
                    announced.schema_version
                )));
            }
            let metadata = MetaData { id: self.chain.metadata.id.clone(), configuration: after };
            let outcome = self.perform(Intent::Change(Change::Epoch(metadata)), None).await?;
            if outcome != Outcome::Committed {
                self.refresh().await?;
            }
            self.checkpoint_if_due().await;
        }
        let epoch = self.chain.configuration().epochs.at(first);
        match epoch.filter(|epoch| epoch.processor_version > self.processor_version) {
            None => Ok(()),
            Some(Epoch { epoch, from_ledger, processor_version, .. }) => {
                let known = self.processor_version;
                let problem = format!(
                    "its rules have revision {processor_version}, this release knows {known}: use a later release"
                );
                Err(DatasetError::Epoch { epoch, from_ledger, problem })
            }
        }
    }
}
