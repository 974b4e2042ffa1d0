//! One table on its way: what `core` decides, performed.

use bytes::Bytes;
use futures::{StreamExt, stream};
use orrery_schemas::LedgerSequence;

use super::core::Next;
use super::{CopyUntil, Limits, TableCopy, beside, slots_per_checkpoint};
use crate::dataset::announced::AnnouncedEpoch;
use crate::dataset::attest::attest;
use crate::dataset::chain::Chain;
use crate::dataset::file::FILE_BYTES_MAX;
use crate::dataset::kind::TableKind;
use crate::dataset::slot::{AddFile, Commit, SLOT_BYTES_MAX, sha256, slot_path};
use crate::dataset::store::{Put, Store};
use crate::dataset::table::content;
use crate::dataset::{DatasetError, StoreError, Table};

pub(super) const MENDS: &str = "nothing damaged is copied: see `orrery scrub --repair-from`, then go on";

/// A table that is copied.
pub(super) struct Copying {
    from: Store,
    to: Store,
    /// Slot 0 of the original.
    genesis: Bytes,
    /// The copy; `None` before it has its slot 0.
    table: Option<Table>,
    /// The last epoch that was announced.
    announced: Option<AnnouncedEpoch>,
    until: CopyUntil,
    /// How it ended.
    ended: Option<Ended>,
    limits: Limits,
    report: Counts,
    kind: TableKind,
}

#[derive(Default)]
struct Counts {
    slots: u64,
    files: u64,
    bytes: u64,
}

/// Why there is no more to copy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The log has no more.
    Log,
    /// The point that was asked for is reached.
    Point,
}

/// A slot whose file is stored.
struct Ready {
    commit: Box<Commit>,
    bytes: Bytes,
    /// Bytes of the file, if it was not there before.
    copied: Option<u64>,
}

impl Copying {
    /// Looks at both sides, and writes nothing.
    pub(super) async fn look(
        from: &Store,
        to: &Store,
        kind: TableKind,
        until: CopyUntil,
        limits: Limits,
    ) -> Result<Self, DatasetError> {
        let (source, target) = (from.within(kind.as_str()), to.within(kind.as_str()));
        let no_copy = |problem, fix| DatasetError::NoCopy { table: target.name(""), problem, fix };
        let genesis = source.read(&slot_path(0), SLOT_BYTES_MAX).await?.ok_or_else(|| {
            let fix = "name a dataset; if its slot 0 is lost, see `orrery scrub`";
            DatasetError::NoTable { table: source.name(""), fix }
        })?;
        match Chain::genesis(&genesis) {
            Ok(chain) if chain.configuration().kind == kind => {}
            Ok(_) => return Err(content(&source, &slot_path(0), "it is of another table".to_owned())),
            Err(problem) => return Err(content(&source, &slot_path(0), problem)),
        }
        let table = Table::look_at(to, kind, slots_per_checkpoint()).await?;
        if let Some(table) = &table {
            let tip = table.tip();
            match source.read(&slot_path(tip.slot), SLOT_BYTES_MAX).await? {
                None => {
                    let problem =
                        format!("it has slots up to {}, and {} has fewer", tip.slot, source.name(""));
                    return Err(no_copy(problem, "compare them with `orrery verify --against`"));
                }
                Some(bytes) if sha256(&bytes) != tip.slot_sha256 => {
                    let problem = format!(
                        "its slot {} is not that of {}: they are no copies of each other, or one is damaged",
                        tip.slot,
                        source.name("")
                    );
                    return Err(no_copy(
                        problem,
                        "name an empty place, or see `orrery scrub` and `orrery verify --against`",
                    ));
                }
                Some(_) => {}
            }
            if let Some(problem) = until.refuses(&table.chain) {
                return Err(no_copy(problem, "name an empty place"));
            }
        }
        let report = Counts::default();
        Ok(Self {
            from: source,
            to: target,
            genesis,
            table,
            until,
            announced: None,
            ended: None,
            limits,
            report,
            kind,
        })
    }

    /// The settings of the table, if it has none yet.
    pub(super) async fn begin(&mut self, progress: &(dyn Fn(u64) + Send + Sync)) -> Result<(), DatasetError> {
        self.announced = beside::announcements(&self.from, &self.to).await?;
        if self.table.is_some() {
            return Ok(());
        }
        put_slot(&self.to, 0, &self.genesis).await?;
        progress(self.genesis.len() as u64);
        self.report.slots += 1;
        self.report.bytes += self.genesis.len() as u64;
        let chain =
            Chain::genesis(&self.genesis).map_err(|problem| content(&self.from, &slot_path(0), problem))?;
        let store = self.to.clone();
        self.table = Some(Table::of(store, chain, slots_per_checkpoint(), 0));
        Ok(())
    }

    /// Where it is; `None` when it is done.
    pub(super) fn next_ledger(&self) -> Option<LedgerSequence> {
        let table = self.table.as_ref().filter(|_| self.ended.is_none())?;
        Some(table.tip().next_ledger)
    }

    /// Copies up to `slots` slots: files several at once, slots in order.
    pub(super) async fn go_on(
        &mut self,
        slots: u64,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), DatasetError> {
        let Some(table) = self.table.as_mut() else { return Ok(()) };
        let first = table.tip().slot + 1;
        let (from, to, limits, until) = (&self.from, &self.to, &self.limits, self.until);
        let ready = stream::iter(first..first + slots)
            .map(|slot| fetch(from, to, limits, until, slot))
            .buffered(limits.concurrency);
        let mut ready = std::pin::pin!(ready.peekable());
        while let Some(slot) = ready.next().await.transpose()? {
            let Ready { commit, bytes, copied } = match slot {
                Ok(ready) => ready,
                Err(ended) => {
                    self.ended = Some(ended);
                    return Ok(());
                }
            };
            let number = table.tip().slot + 1;
            // Nothing that does not follow gets into the copy's log.
            let refuse = |problem| content(&self.from, &slot_path(number), problem);
            table.chain.check(&commit).map_err(refuse)?;
            let next = match ready.as_mut().peek().await {
                Some(Ok(Ok(next))) => Some(next.commit.prev),
                _ => None,
            };
            match next {
                Some(prev) if prev == sha256(&bytes) => {}
                Some(_) => {
                    return Err(refuse(format!("slot {} has another hash of it; {MENDS}", number + 1)));
                }
                None => drop(attest(&self.to, &table.chain, &bytes).await?.map_err(refuse)?),
            }
            put_slot(&self.to, number, &bytes).await?;
            table.chain.follow(&bytes).map_err(refuse)?;
            table.checkpoint_if_due().await;
            let file = copied.unwrap_or(0);
            self.report.slots += 1;
            self.report.files += u64::from(copied.is_some());
            self.report.bytes += bytes.len() as u64 + file;
            progress(bytes.len() as u64 + file);
        }
        Ok(())
    }

    /// Copies the evidence too, and says what was done.
    pub(super) async fn finish(
        self,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<TableCopy, DatasetError> {
        // A table that is done has its slot 0.
        let Some(table) = self.table else {
            return Err(DatasetError::NoTable { table: self.to.name(""), fix: "copy it again" });
        };
        let (mut copied, mut notes) = (beside::Copied::default(), Vec::new());
        if self.until == CopyUntil::End {
            copied = beside::copy(&self.from, &self.to, &self.limits.pace, progress).await?;
            notes.append(&mut copied.notes);
        }
        let falls_short = match self.ended {
            Some(Ended::Log) => self.until.lacks(&table.chain),
            _ => {
                notes.extend(
                    self.until.note(&table.chain).map(|note| format!("{}: {note}", self.to.name(""))),
                );
                None
            }
        };
        let to_come = self.announced.filter(|announced| announced.from_ledger >= table.tip().next_ledger.0);
        notes.extend(to_come.map(|AnnouncedEpoch { epoch, from_ledger, .. }| {
            format!("{}: epoch {epoch} is announced from ledger {from_ledger} on", self.to.name(""))
        }));
        let tip = table.tip();
        let start = table.configuration().start_ledger;
        let last = LedgerSequence(tip.next_ledger.0.saturating_sub(1));
        Ok(TableCopy {
            kind: self.kind,
            slots: self.report.slots,
            files: self.report.files,
            bytes: self.report.bytes + copied.bytes,
            evidence: copied.objects,
            slot: tip.slot,
            slot_sha256: tip.slot_sha256,
            last_ledger: (start <= last).then_some(last),
            closed_at: tip.closed_at,
            rows: tip.total_rows,
            digest: tip.total_digest,
            notes,
            falls_short,
        })
    }
}

/// A slot with its file stored, or that there is no more to do.
async fn fetch(
    from: &Store,
    to: &Store,
    limits: &Limits,
    until: CopyUntil,
    slot: u64,
) -> Result<Result<Ready, Ended>, DatasetError> {
    let path = slot_path(slot);
    let found = from.read(&path, SLOT_BYTES_MAX).await?;
    match Next::of(slot, found, until).map_err(|problem| content(from, &path, problem))? {
        Next::End => Ok(Err(Ended::Log)),
        Next::Reached => Ok(Err(Ended::Point)),
        Next::Slot { commit, bytes } => {
            let copied = match commit.file() {
                Some(file) => copy_file(from, to, limits, file).await?,
                None => None,
            };
            Ok(Ok(Ready { commit, bytes, copied }))
        }
    }
}

/// Stores a file, unless it is there; its bytes if it was not.
async fn copy_file(
    from: &Store,
    to: &Store,
    limits: &Limits,
    file: &AddFile,
) -> Result<Option<u64>, DatasetError> {
    let path = file.name.to_string();
    let kib =
        usize::try_from(file.bytes >> 10).unwrap_or(usize::MAX).clamp(1, super::IN_WORK_BYTES_MAX >> 10);
    let permits = u32::try_from(kib).unwrap_or(u32::MAX);
    // It is never closed.
    let _in_memory = limits.memory.acquire_many(permits).await.ok();
    if to.head(&path).await?.is_some() {
        return check_copy(to, &path, file).await.map(|()| None);
    }
    limits.pace.take(file.bytes).await;
    let bytes = from.read(&path, FILE_BYTES_MAX).await?;
    let damaged = |problem: String| content(from, &path, format!("{problem}; {MENDS}"));
    let bytes = bytes.ok_or_else(|| damaged("the file is not there".to_owned()))?;
    let found = sha256(&bytes);
    if found != file.sha256 {
        return Err(damaged(format!("its SHA-256 is {found}, the log says {}", file.sha256)));
    }
    let size = bytes.len() as u64;
    put(to, &path, bytes).await?;
    check_copy(to, &path, file).await.map(|()| Some(size))
}

/// A file counts when its bytes were read where they were written.
async fn check_copy(to: &Store, path: &str, file: &AddFile) -> Result<(), DatasetError> {
    let bytes = to.read(path, FILE_BYTES_MAX).await?;
    let problem = match bytes.map(|bytes| sha256(&bytes)) {
        Some(found) if found == file.sha256 => return Ok(()),
        Some(found) => format!("its SHA-256 is {found}, the log says {}", file.sha256),
        None => "it was written, and is not there".to_owned(),
    };
    let fix = "see `orrery scrub --repair-from` for the copy, then go on";
    Err(content(to, path, format!("{problem}; {fix}")))
}

/// A slot counts when it was read back.
async fn put_slot(to: &Store, slot: u64, bytes: &Bytes) -> Result<(), DatasetError> {
    let path = slot_path(slot);
    put(to, &path, bytes.clone()).await?;
    match to.read(&path, SLOT_BYTES_MAX).await? {
        Some(found) if found == *bytes => Ok(()),
        Some(_) => Err(content(to, &path, "somebody else has written another slot here".to_owned())),
        None => Err(content(to, &path, "it was written, and is not there".to_owned())),
    }
}

/// Puts until there is an answer that says something. What is there then wants to be read.
pub(super) async fn put(to: &Store, path: &str, bytes: Bytes) -> Result<(), DatasetError> {
    for attempt in 1..=to.attempts_max() {
        if to.put_create(path, bytes.clone()).await? != Put::Unknown || to.head(path).await?.is_some() {
            return Ok(());
        }
        to.pause(attempt).await;
    }
    let (reason, attempts) = ("puts had no clear answer, and nothing is there".to_owned(), to.attempts_max());
    Err(StoreError::Unavailable { action: "create", path: to.name(path), reason, attempts }.into())
}
