//! Reading a whole dataset and holding everything against everything else.
//!
//! Proven: every slot follows from the one before by hash; ledgers are contiguous and their hashes link; every live file
//! is there with the bytes that its name and the log promise; its rows decode, are in order, and add up to the digests of
//! the log; both tables tell of the same ledgers; checkpoints say what the slots say. Not proven: that the rows are those
//! of the network's ledgers (`orrery verify --source` does that), and that nobody cut off the newest slots of both tables.
//!
//! Memory: one file, its largest batch, and the list of files.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use bytes::Bytes;
use orrery_schemas::{Hash32, Ledger, LedgerSequence, RowDigest};

use super::chain::Chain;
use super::checkpoint::{CHECKPOINT_BYTES_MAX, checkpoint_path, parse};
use super::compaction::blocking;
use super::file::{FILE_BYTES_MAX, FileContent, read_content};
use super::kind::TableKind;
use super::slot::{AddFile, Change, SLOT_BYTES_MAX, sha256, slot_path};
use super::store::Store;
use super::{DatasetError, Listed, StoreError};

/// Most problems that are listed: the first ones tell most.
const PROBLEMS_MAX: usize = 1000;

/// Most files beside the log that are named: whoever deletes them verifies again.
const UNNAMED_MAX: usize = 1000;

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetProblem {
    /// The object.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Files beside those of the log: no reader looks at them, and nothing is wrong because of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unnamed {
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The first ones.
    pub first: Vec<String>,
}

/// What was read of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableReport {
    /// Which table.
    pub kind: TableKind,
    /// Slots, slot 0 included.
    pub slots: u64,
    /// SHA-256 of the last slot: equal in two stores, the whole log is equal.
    pub tip_sha256: Option<Hash32>,
    /// The ledgers, `None` for a table without any.
    pub ledgers: Option<RangeInclusive<LedgerSequence>>,
    /// Live files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows that were decoded.
    pub rows: u64,
    /// Their digest: equal in two stores, the rows are equal.
    pub digest: RowDigest,
    /// Checkpoints that were compared with the slots.
    pub checkpoints: u64,
    /// Data files that no slot names. Writers store a file before the slot that names it, so that those at work have some.
    pub unnamed: Unnamed,
    /// What is wrong; empty if all is well.
    pub problems: Vec<DatasetProblem>,
}

/// What was read of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetReport {
    /// Each table.
    pub tables: Vec<TableReport>,
    /// What does not fit between them.
    pub problems: Vec<DatasetProblem>,
}

/// What a table's log says at the end of a slot: to be held against the other table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SlotEnd {
    hash: Hash32,
    rows: u64,
    digest: RowDigest,
}

/// Sums over the rows of `ledgers` at the ends of slots: what `token_transfers` must have.
#[derive(Default)]
struct Promised {
    rows: u64,
    digest: RowDigest,
    at: BTreeMap<LedgerSequence, (u64, RowDigest)>,
}

struct TableVerifier<'a> {
    store: Store,
    report: TableReport,
    chain: Option<Chain>,
    /// Files that a compaction replaced: readers of earlier slots may still look at them.
    replaced: BTreeSet<String>,
    ends: BTreeMap<LedgerSequence, SlotEnd>,
    promised: Promised,
    progress: &'a mut (dyn FnMut(u64) + Send),
}

/// Verifies a dataset. `progress` hears of the bytes of every file that was read.
///
/// # Errors
///
/// [`StoreError`] if the store fails; whatever is wrong with the dataset is in the report.
pub async fn verify(
    store: &Store,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<DatasetReport, StoreError> {
    let mut verifiers = Vec::new();
    for kind in TableKind::ALL {
        let mut verifier = TableVerifier::new(store, kind, &mut *progress);
        verifier.run().await?;
        let TableVerifier { report, ends, promised, chain, .. } = verifier;
        verifiers.push((report, ends, promised, chain));
    }
    let mut problems = Vec::new();
    if let [(_, events, _, events_chain), (_, ledgers, promised, ledgers_chain)] = verifiers.as_slice() {
        compare_tables(store, events, ledgers, promised, &mut problems);
        if let (Some(events), Some(ledgers)) = (events_chain, ledgers_chain) {
            let (events, ledgers) = (events.configuration(), ledgers.configuration());
            if (&events.network_passphrase, events.start_ledger)
                != (&ledgers.network_passphrase, ledgers.start_ledger)
            {
                let problem = "its tables are of different networks or starts".to_owned();
                problems.push(DatasetProblem { path: store.name(""), problem });
            }
        }
    }
    Ok(DatasetReport { tables: verifiers.into_iter().map(|(report, ..)| report).collect(), problems })
}

impl DatasetReport {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems().next().is_none()
    }

    /// All that is wrong.
    pub fn problems(&self) -> impl Iterator<Item = &DatasetProblem> {
        self.tables.iter().flat_map(|table| &table.problems).chain(&self.problems)
    }
}

/// Where both tables end a slot at one ledger, they must agree on its hash, and on the rows up to it.
fn compare_tables(
    store: &Store,
    events: &BTreeMap<LedgerSequence, SlotEnd>,
    ledgers: &BTreeMap<LedgerSequence, SlotEnd>,
    promised: &Promised,
    problems: &mut Vec<DatasetProblem>,
) {
    for (ledger, end) in events {
        let mut problem = |problem: String| {
            if problems.len() < PROBLEMS_MAX {
                problems.push(DatasetProblem { path: store.name(""), problem });
            }
        };
        if let Some(other) = ledgers.get(ledger).filter(|other| other.hash != end.hash) {
            problem(format!(
                "ledger {ledger} is {} in token_transfers and {} in ledgers",
                end.hash, other.hash
            ));
        }
        if let Some((rows, digest)) = promised.at.get(ledger).filter(|it| **it != (end.rows, end.digest)) {
            problem(format!(
                "up to ledger {ledger} `ledgers` counts {rows} events with digest {digest}, token_transfers has {} with {}",
                end.rows, end.digest
            ));
            // Totals: every later slot would say the same.
            break;
        }
    }
}

impl<'a> TableVerifier<'a> {
    fn new(dataset: &Store, kind: TableKind, progress: &'a mut (dyn FnMut(u64) + Send)) -> Self {
        let report = TableReport {
            kind,
            slots: 0,
            tip_sha256: None,
            ledgers: None,
            files: 0,
            bytes: 0,
            rows: 0,
            digest: RowDigest::default(),
            checkpoints: 0,
            unnamed: Unnamed::default(),
            problems: Vec::new(),
        };
        let store = dataset.within(kind.as_str());
        let (ends, promised) = (BTreeMap::new(), Promised::default());
        Self { store, report, chain: None, replaced: BTreeSet::new(), ends, promised, progress }
    }

    async fn run(&mut self) -> Result<(), StoreError> {
        // Before the log is read: a file that is named meanwhile is named.
        let data = self.store.list("data").await?;
        let listed = self.store.list("_delta_log").await?;
        let names: Vec<_> = listed.into_iter().map(|listed| listed.name).collect();
        let Some(genesis) = self.store.read(&slot_path(0), SLOT_BYTES_MAX).await? else {
            self.problem(&slot_path(0), "the slot is not there".to_owned());
            return Ok(());
        };
        match Chain::genesis(&genesis) {
            Ok(chain) if chain.configuration().kind != self.report.kind => {
                self.problem(&slot_path(0), format!("it is of table {}", chain.configuration().kind));
            }
            Ok(chain) => {
                let chain = self.follow(chain, &names).await?;
                self.report.unnamed = unnamed(data, &chain, &self.replaced);
                self.read_files(&chain).await?;
                self.report.tip_sha256 = Some(chain.tip.slot_sha256);
                self.chain = Some(chain);
            }
            Err(problem) => self.problem(&slot_path(0), problem),
        }
        Ok(())
    }

    /// Every slot after the first, and every checkpoint at its slot.
    async fn follow(&mut self, mut chain: Chain, names: &[String]) -> Result<Chain, StoreError> {
        self.report.slots = 1;
        loop {
            let path = slot_path(chain.tip.slot + 1);
            let Some(bytes) = self.store.read(&path, SLOT_BYTES_MAX).await? else { break };
            match chain.follow(&bytes) {
                Ok(commit) => {
                    self.report.slots += 1;
                    match &commit.change {
                        Change::Append(_) => {
                            let (rows, digest) = (commit.total_rows, commit.total_digest);
                            let end = SlotEnd { hash: commit.last_ledger_hash, rows, digest };
                            self.ends.insert(commit.last_ledger, end);
                        }
                        Change::Compaction { remove, .. } => {
                            self.replaced.extend(remove.iter().map(|file| file.name.to_string()));
                        }
                        Change::Epoch(_) => {}
                    }
                }
                Err(problem) => {
                    self.problem(&path, format!("it does not follow from the slot before: {problem}"));
                    break;
                }
            }
            self.compare_checkpoint(&chain, names).await?;
        }
        let last = names.iter().filter_map(|name| name.strip_suffix(".json")?.parse::<u64>().ok()).max();
        if let Some(last) = last.filter(|last| *last > chain.tip.slot) {
            let path = slot_path(chain.tip.slot + 1);
            let is_named = self.report.problems.iter().any(|problem| problem.path == self.store.name(&path));
            if !is_named {
                self.problem(&path, format!("the slot is not there, but slots up to {last} are"));
            }
        }
        let start = chain.configuration().start_ledger;
        let end = LedgerSequence(chain.tip.next_ledger.0.saturating_sub(1));
        self.report.ledgers = (start <= end).then_some(start..=end);
        Ok(chain)
    }

    async fn compare_checkpoint(&mut self, chain: &Chain, names: &[String]) -> Result<(), StoreError> {
        let path = checkpoint_path(chain.tip.slot);
        if !names.iter().any(|name| path.strip_prefix("_delta_log/") == Some(name)) {
            return Ok(());
        }
        let Some(bytes) = self.store.read(&path, CHECKPOINT_BYTES_MAX).await? else { return Ok(()) };
        self.report.checkpoints += 1;
        let problem = match blocking(move || parse(bytes)).await {
            Err(problem) => problem,
            Ok(found) => {
                let is_same = found.slot_sha256 == chain.tip.slot_sha256
                    && found.metadata == chain.metadata
                    && found.files.iter().eq(chain.files.values());
                if is_same {
                    return Ok(());
                }
                "it says something else than the slots".to_owned()
            }
        };
        self.problem(
            &path,
            format!("{problem}; delete it: the log is unharmed, and a writer makes a new one"),
        );
        Ok(())
    }

    async fn read_files(&mut self, chain: &Chain) -> Result<(), StoreError> {
        let mut last_ledger: Option<(LedgerSequence, Hash32)> = None;
        for file in chain.files.values() {
            let path = file.name.to_string();
            let bytes = match self.store.read(&path, FILE_BYTES_MAX).await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => {
                    self.problem(&path, "the file is not there".to_owned());
                    last_ledger = None;
                    continue;
                }
                Err(error @ StoreError::TooLarge { .. }) => {
                    self.problem(&path, error.to_string());
                    last_ledger = None;
                    continue;
                }
                Err(error) => return Err(error),
            };
            (self.progress)(bytes.len() as u64);
            let ends = Ends::of(file, &self.ends);
            match read_file(self.report.kind, file.clone(), bytes, last_ledger, ends).await {
                Ok(read) => {
                    last_ledger = read.last_ledger;
                    self.report.files += 1;
                    self.report.bytes += file.bytes;
                    self.report.rows += read.content.rows;
                    self.report.digest.add(&read.content.digest);
                    self.promise(&read);
                }
                Err(problem) => {
                    self.problem(&path, problem);
                    last_ledger = None;
                }
            }
        }
        let tip = (chain.tip.total_rows, chain.tip.total_digest);
        if self.report.problems.is_empty() && (self.report.rows, self.report.digest) != tip {
            let (rows, digest) = (self.report.rows, self.report.digest);
            self.problem(
                "",
                format!("its files have {rows} rows with digest {digest}, its log says {tip:?}"),
            );
        }
        Ok(())
    }

    /// What `ledgers` says of `token_transfers`, as long as no file is missing.
    fn promise(&mut self, read: &ReadFile) {
        if !self.report.problems.is_empty() {
            return;
        }
        for (ledger, rows, digest) in &read.promised {
            self.promised.rows += rows;
            self.promised.digest.add(digest);
            self.promised.at.insert(*ledger, (self.promised.rows, self.promised.digest));
        }
    }

    fn problem(&mut self, path: &str, problem: String) {
        if self.report.problems.len() < PROBLEMS_MAX {
            self.report.problems.push(DatasetProblem { path: self.store.name(path), problem });
        }
    }
}

/// Of the files in a table's folder, those that no slot of its chain ever named.
fn unnamed(data: Vec<Listed>, chain: &Chain, replaced: &BTreeSet<String>) -> Unnamed {
    let live: BTreeSet<_> = chain.files.values().map(|file| file.name.to_string()).collect();
    let mut unnamed = Unnamed::default();
    for Listed { name, bytes } in data {
        let path = format!("data/{name}");
        if live.contains(&path) || replaced.contains(&path) {
            continue;
        }
        unnamed.files += 1;
        unnamed.bytes += bytes;
        if unnamed.first.len() < UNNAMED_MAX {
            unnamed.first.push(path);
        }
    }
    unnamed
}

/// The ends of slots that lie in a file.
struct Ends(BTreeMap<LedgerSequence, Hash32>);

impl Ends {
    fn of(file: &AddFile, ends: &BTreeMap<LedgerSequence, SlotEnd>) -> Self {
        let inside = ends.range(file.name.range.clone());
        Self(inside.map(|(ledger, end)| (*ledger, end.hash)).collect())
    }
}

struct ReadFile {
    content: FileContent,
    /// Of a file of `ledgers`.
    last_ledger: Option<(LedgerSequence, Hash32)>,
    /// Events and digest of each stretch that ends with a slot.
    promised: Vec<(LedgerSequence, u64, RowDigest)>,
}

async fn read_file(
    kind: TableKind,
    file: AddFile,
    bytes: Bytes,
    last_ledger: Option<(LedgerSequence, Hash32)>,
    ends: Ends,
) -> Result<ReadFile, String> {
    blocking(move || {
        let found = sha256(&bytes);
        if found != file.sha256 {
            return Err(format!("its SHA-256 is {found}, the log says {}", file.sha256));
        }
        let mut links =
            Links { last: last_ledger, ends, promised: Vec::new(), rows: 0, digest: RowDigest::default() };
        let content = read_content(kind, bytes, &file.name.range, &mut |_, ledgers: &[Ledger]| {
            ledgers.iter().try_for_each(|ledger| links.next(ledger))
        })?;
        if content != (FileContent { rows: file.rows, digest: file.digest }) {
            return Err(format!(
                "it has {} rows with digest {}, the log says {} with {}",
                content.rows, content.digest, file.rows, file.digest
            ));
        }
        Ok(ReadFile { content, last_ledger: links.last, promised: links.promised })
    })
    .await
}

/// Follows the rows of `ledgers`.
struct Links {
    last: Option<(LedgerSequence, Hash32)>,
    ends: Ends,
    promised: Vec<(LedgerSequence, u64, RowDigest)>,
    rows: u64,
    digest: RowDigest,
}

impl Links {
    fn next(&mut self, ledger: &Ledger) -> Result<(), String> {
        if let Some((sequence, hash)) = self.last {
            if sequence.next() != Some(ledger.sequence) {
                return Err(format!("ledger {} comes after ledger {sequence}", ledger.sequence));
            }
            if ledger.previous_hash != hash {
                return Err(format!(
                    "ledger {} has parent {}, but ledger {sequence} is {hash}",
                    ledger.sequence, ledger.previous_hash
                ));
            }
        }
        self.last = Some((ledger.sequence, ledger.hash));
        self.rows += u64::from(ledger.event_count);
        self.digest.add(&ledger.row_digest);
        if let Some(hash) = self.ends.0.get(&ledger.sequence) {
            if *hash != ledger.hash {
                return Err(format!("ledger {} is {}, its slot says {hash}", ledger.sequence, ledger.hash));
            }
            let (rows, digest) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.digest));
            self.promised.push((ledger.sequence, rows, digest));
        }
        Ok(())
    }
}

impl From<DatasetProblem> for DatasetError {
    fn from(problem: DatasetProblem) -> Self {
        Self::content(&problem.path, problem.problem)
    }
}
