//! One slot of the log: bytes to a commit and back. Nothing here knows what came before; `chain` does.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use bytes::Bytes;
use orrery_schemas::{CloseTime, Hash32, LedgerSequence, RowDigest};
use sha2::{Digest, Sha256};

use super::configuration::Configuration;
use super::kind::TableKind;
use super::slot_wire::{
    ActionWire, AddWire, BoundsWire, CommitInfoWire, FormatWire, MetaDataWire, OrreryWire, ProtocolWire,
    RemoveWire, StatsWire, TagsWire,
};

/// Largest slot that is read: a compaction of 4,096 files fits ten times.
pub(super) const SLOT_BYTES_MAX: u64 = 16 << 20;

/// Most lines of a slot.
const LINES_MAX: usize = 1 << 15;

/// Delta's features that the log needs: none beyond what every reader knows.
const PROTOCOL: ProtocolWire = ProtocolWire { min_reader_version: 1, min_writer_version: 2 };

const ENGINE: &str = "orrery";

/// Path of slot `slot` below the table.
pub(super) fn slot_path(slot: u64) -> String {
    format!("_delta_log/{slot:020}.json")
}

/// SHA-256.
pub(super) fn sha256(bytes: &[u8]) -> Hash32 {
    Hash32(Sha256::digest(bytes).into())
}

/// Name of a data file: `data/<first>-<last>-<first 16 hexadecimal digits of its SHA-256>.parquet`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileName {
    pub(super) range: RangeInclusive<LedgerSequence>,
    digits: String,
}

impl FileName {
    pub(super) fn new(range: RangeInclusive<LedgerSequence>, sha256: Hash32) -> Self {
        Self { range, digits: sha256.to_string().chars().take(16).collect() }
    }

    /// Whether the name is that of a file with this hash.
    pub(super) fn is_of(&self, sha256: Hash32) -> bool {
        sha256.to_string().starts_with(&self.digits)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "data/{}-{}-{}.parquet", self.range.start(), self.range.end(), self.digits)
    }
}

impl FromStr for FileName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = || {
            let (first, rest) = text.strip_prefix("data/")?.strip_suffix(".parquet")?.split_once('-')?;
            let (last, digits) = rest.split_once('-')?;
            let range = LedgerSequence(first.parse().ok()?)..=LedgerSequence(last.parse().ok()?);
            let is_digits = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            (is_digits && !range.is_empty()).then(|| Self { range, digits: digits.to_owned() })
        };
        let name = parts().filter(|name| name.to_string() == text);
        name.ok_or_else(|| format!("{text:?} is no name of a data file"))
    }
}

/// A data file, as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AddFile {
    pub(super) name: FileName,
    pub(super) sha256: Hash32,
    pub(super) bytes: u64,
    pub(super) rows: u64,
    pub(super) digest: RowDigest,
    /// First and last ledger that has rows in it.
    pub(super) ledgers: RangeInclusive<LedgerSequence>,
    /// Close times of these.
    pub(super) closed_at: RangeInclusive<CloseTime>,
    /// Close time of the last ledger of the slot.
    pub(super) modified_at: CloseTime,
}

/// What a slot does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Adds ledgers; without a file if they have no rows.
    Append(Option<AddFile>),
    /// Replaces files by one with the same rows.
    Compaction { add: AddFile, remove: Vec<RemovedFile> },
    /// Changes the settings.
    Epoch(MetaData),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RemovedFile {
    pub(super) name: FileName,
    pub(super) bytes: u64,
}

/// The settings with the table's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MetaData {
    pub(super) id: String,
    pub(super) configuration: Configuration,
}

/// A slot above slot 0. One that adds no ledgers has the empty range `next..=next-1`, and hashes of the ledger before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) prev: Hash32,
    pub(super) epoch: u32,
    pub(super) first_ledger: LedgerSequence,
    pub(super) last_ledger: LedgerSequence,
    pub(super) parent_ledger_hash: Hash32,
    pub(super) last_ledger_hash: Hash32,
    pub(super) rows: u64,
    pub(super) total_rows: u64,
    pub(super) row_digest: RowDigest,
    pub(super) total_digest: RowDigest,
    /// Close time of the last ledger; the epoch's beginning of time before the first.
    pub(super) closed_at: CloseTime,
    pub(super) change: Change,
}

/// Close time in milliseconds, as Delta has times.
fn millis(time: CloseTime) -> i64 {
    time.unix_seconds() * 1000
}

fn close_time(millis: i64) -> Result<CloseTime, String> {
    let micros = millis.checked_mul(1000).and_then(CloseTime::from_unix_micros);
    micros.ok_or_else(|| format!("{millis} ms is no close time"))
}

/// Slot 0 of a table.
pub(super) fn encode_genesis(metadata: &MetaData) -> Bytes {
    lines(&[ActionWire::Protocol(PROTOCOL), ActionWire::MetaData(metadata.to_wire())])
}

/// What slot 0 says. The error is for a person and does not name the object.
pub(super) fn parse_genesis(bytes: &[u8]) -> Result<MetaData, String> {
    match parse_lines(bytes)?.as_slice() {
        [ActionWire::Protocol(PROTOCOL), ActionWire::MetaData(metadata)] => MetaData::from_wire(metadata),
        [ActionWire::Protocol(found), _] => Err(format!(
            "its Delta protocol is reader {}, writer {}; this release knows reader 1, writer 2",
            found.min_reader_version, found.min_writer_version
        )),
        _ => Err("slot 0 is not a protocol and a metaData".to_owned()),
    }
}

impl MetaData {
    pub(super) fn new(configuration: Configuration) -> Self {
        Self { id: configuration.id().to_string(), configuration }
    }

    pub(super) fn to_wire(&self) -> MetaDataWire {
        let kind = self.configuration.kind;
        MetaDataWire {
            id: self.id.clone(),
            name: kind.as_str().to_owned(),
            format: FormatWire { provider: "parquet".to_owned(), options: BTreeMap::new() },
            schema_string: kind.delta_schema(),
            partition_columns: Vec::new(),
            configuration: self.configuration.to_map(),
        }
    }

    pub(super) fn from_wire(wire: &MetaDataWire) -> Result<Self, String> {
        Ok(Self { id: wire.id.clone(), configuration: Configuration::from_map(&wire.configuration)? })
    }
}

impl AddFile {
    pub(super) fn to_wire(&self, kind: TableKind, data_change: bool) -> Result<AddWire, String> {
        let bounds = |ledger: LedgerSequence, closed_at: CloseTime| {
            let named = |table| (kind == table).then_some(ledger.0);
            let text = closed_at.to_string();
            // Milliseconds, as Delta has them.
            let closed_at = text.strip_suffix('Z').map(|text| format!("{text}.000Z")).unwrap_or(text);
            let (ledger_sequence, sequence) = (named(TableKind::TokenTransfers), named(TableKind::Ledgers));
            BoundsWire { ledger_sequence, sequence, closed_at }
        };
        let stats = StatsWire {
            num_records: self.rows,
            min_values: bounds(*self.ledgers.start(), *self.closed_at.start()),
            max_values: bounds(*self.ledgers.end(), *self.closed_at.end()),
        };
        Ok(AddWire {
            path: self.name.to_string(),
            partition_values: BTreeMap::new(),
            size: i64::try_from(self.bytes).map_err(|error| error.to_string())?,
            modification_time: millis(self.modified_at),
            data_change,
            stats: serde_json::to_string(&stats).map_err(|error| error.to_string())?,
            tags: TagsWire { row_digest: self.digest.to_string(), sha256: self.sha256.to_string() },
        })
    }

    pub(super) fn from_wire(wire: &AddWire) -> Result<Self, String> {
        let name: FileName = wire.path.parse()?;
        let problem = |what: &str| format!("{}: {what}", wire.path);
        let sha256: Hash32 = wire.tags.sha256.parse().map_err(|error| problem(&format!("{error}")))?;
        if !name.is_of(sha256) {
            return Err(problem("its name and its SHA-256 differ"));
        }
        let stats: StatsWire =
            serde_json::from_str(&wire.stats).map_err(|error| problem(&format!("stats: {error}")))?;
        let bound = |bounds: &BoundsWire| {
            let ledger = bounds.ledger_sequence.or(bounds.sequence).map(LedgerSequence);
            let closed_at = bounds.closed_at.parse::<CloseTime>().ok();
            ledger.zip(closed_at).ok_or_else(|| problem("its stats lack ledger or close time"))
        };
        let (first, last) = (bound(&stats.min_values)?, bound(&stats.max_values)?);
        let ledgers = first.0..=last.0;
        if ledgers.is_empty() || ledgers.start() < name.range.start() || ledgers.end() > name.range.end() {
            return Err(problem("its stats name ledgers outside of its name's"));
        }
        Ok(Self {
            sha256,
            bytes: u64::try_from(wire.size).map_err(|_| problem("its size is negative"))?,
            rows: stats.num_records,
            digest: wire.tags.row_digest.parse().map_err(|error| problem(&format!("{error}")))?,
            ledgers,
            closed_at: first.1..=last.1,
            modified_at: close_time(wire.modification_time)?,
            name,
        })
    }
}

impl RemovedFile {
    fn to_wire(&self, removed_at: CloseTime) -> Result<RemoveWire, String> {
        Ok(RemoveWire {
            path: self.name.to_string(),
            deletion_timestamp: millis(removed_at),
            data_change: false,
            extended_file_metadata: true,
            partition_values: BTreeMap::new(),
            size: i64::try_from(self.bytes).map_err(|error| error.to_string())?,
        })
    }

    fn from_wire(wire: &RemoveWire) -> Result<Self, String> {
        let bytes = u64::try_from(wire.size).map_err(|_| format!("{}: negative size", wire.path))?;
        Ok(Self { name: wire.path.parse()?, bytes })
    }
}

impl Change {
    fn operation(&self) -> (&'static str, BTreeMap<String, String>) {
        let parameters = |pair: Option<(&str, &str)>| {
            pair.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
        };
        match self {
            Self::Append(_) => ("WRITE", parameters(Some(("mode", "Append")))),
            Self::Compaction { .. } => ("OPTIMIZE", parameters(None)),
            Self::Epoch(_) => ("SET TBLPROPERTIES", parameters(None)),
        }
    }
}

impl Commit {
    /// The bytes of the slot. Fails only on numbers that no table reaches.
    pub(super) fn encode(&self, kind: TableKind) -> Result<Bytes, String> {
        let (operation, operation_parameters) = self.change.operation();
        let info = CommitInfoWire {
            timestamp: millis(self.closed_at),
            operation: operation.to_owned(),
            operation_parameters,
            is_blind_append: matches!(self.change, Change::Append(_)),
            engine_info: ENGINE.to_owned(),
            orrery: OrreryWire {
                prev: self.prev.to_string(),
                epoch: self.epoch,
                first_ledger: self.first_ledger.0,
                last_ledger: self.last_ledger.0,
                parent_ledger_hash: self.parent_ledger_hash.to_string(),
                last_ledger_hash: self.last_ledger_hash.to_string(),
                rows: self.rows,
                total_rows: self.total_rows,
                row_digest: self.row_digest.to_string(),
                total_digest: self.total_digest.to_string(),
            },
        };
        let mut actions = vec![ActionWire::CommitInfo(info)];
        match &self.change {
            Change::Append(None) => {}
            Change::Append(Some(add)) => actions.push(ActionWire::Add(add.to_wire(kind, true)?)),
            Change::Compaction { add, remove } => {
                for removed in remove {
                    actions.push(ActionWire::Remove(removed.to_wire(add.modified_at)?));
                }
                actions.push(ActionWire::Add(add.to_wire(kind, false)?));
            }
            Change::Epoch(metadata) => actions.push(ActionWire::MetaData(metadata.to_wire())),
        }
        Ok(lines(&actions))
    }

    /// The file that it adds.
    pub(super) fn file(&self) -> Option<&AddFile> {
        match &self.change {
            Change::Append(add) => add.as_ref(),
            Change::Compaction { add, .. } => Some(add),
            Change::Epoch(_) => None,
        }
    }

    /// What a slot says. The error is for a person and does not name the object.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut actions = parse_lines(bytes)?.into_iter();
        let Some(ActionWire::CommitInfo(info)) = actions.next() else {
            return Err("its first line is no commitInfo".to_owned());
        };
        let orrery = &info.orrery;
        let hash = |text: &str| text.parse::<Hash32>().map_err(|error| error.to_string());
        let digest = |text: &str| text.parse::<RowDigest>().map_err(|error| error.to_string());
        Ok(Self {
            prev: hash(&orrery.prev)?,
            epoch: orrery.epoch,
            first_ledger: LedgerSequence(orrery.first_ledger),
            last_ledger: LedgerSequence(orrery.last_ledger),
            parent_ledger_hash: hash(&orrery.parent_ledger_hash)?,
            last_ledger_hash: hash(&orrery.last_ledger_hash)?,
            rows: orrery.rows,
            total_rows: orrery.total_rows,
            row_digest: digest(&orrery.row_digest)?,
            total_digest: digest(&orrery.total_digest)?,
            closed_at: close_time(info.timestamp)?,
            change: parse_change(&info, actions.as_slice())?,
        })
    }
}

/// Reads a slot and writes it again as a slot of a table of this kind.
///
/// # Errors
///
/// What is wrong with it, for a person.
pub fn reread_slot(bytes: &[u8], kind: TableKind) -> Result<Bytes, String> {
    Commit::parse(bytes)?.encode(kind)
}

/// Reads the first slot of a table and writes it again.
///
/// # Errors
///
/// What is wrong with it, for a person.
pub fn reread_first_slot(bytes: &[u8]) -> Result<Bytes, String> {
    parse_genesis(bytes).map(|metadata| encode_genesis(&metadata))
}

fn parse_change(info: &CommitInfoWire, actions: &[ActionWire]) -> Result<Change, String> {
    let change = match actions {
        [] => Change::Append(None),
        [ActionWire::Add(add)] if add.data_change => Change::Append(Some(AddFile::from_wire(add)?)),
        [ActionWire::MetaData(metadata)] => Change::Epoch(MetaData::from_wire(metadata)?),
        [removed @ .., ActionWire::Add(add)] if !add.data_change => {
            let remove = removed.iter().map(|action| match action {
                ActionWire::Remove(remove) if !remove.data_change => RemovedFile::from_wire(remove),
                _ => Err("a compaction removes files and adds one, nothing else".to_owned()),
            });
            Change::Compaction {
                add: AddFile::from_wire(add)?,
                remove: remove.collect::<Result<Vec<_>, String>>()?,
            }
        }
        _ => return Err("its actions are neither rows, nor a compaction, nor an epoch".to_owned()),
    };
    if change.operation().0 != info.operation {
        return Err(format!("its operation is {:?}, its actions say otherwise", info.operation));
    }
    Ok(change)
}

fn lines(actions: &[ActionWire]) -> Bytes {
    let mut bytes = Vec::new();
    for action in actions {
        // Writing texts and integers into memory cannot fail.
        let _ = serde_json::to_writer(&mut bytes, action);
        bytes.push(b'\n');
    }
    bytes.into()
}

fn parse_lines(bytes: &[u8]) -> Result<Vec<ActionWire>, String> {
    let text = bytes.strip_suffix(b"\n").ok_or("it does not end with a line break: it is cut short")?;
    let mut actions = Vec::new();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if index >= LINES_MAX {
            return Err(format!("it has more than {LINES_MAX} lines"));
        }
        let action = serde_json::from_slice(line).map_err(|error| format!("line {}: {error}", index + 1))?;
        actions.push(action);
    }
    Ok(actions)
}

#[cfg(test)]
mod tests;
