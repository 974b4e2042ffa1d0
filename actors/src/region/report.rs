//! What a region says of itself, once a second, to every region that asks: `region.report`, as JSON.
//!
//! Keys that are not known are passed over, so that regions are upgraded one after another. What is longer than any region
//! says is refused: a report comes from another authority's machines.

use std::fmt;
use std::str::FromStr;

use orrery_schemas::{CloseTime, Hash32, RowDigest};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::dataset::{AnnouncedEpoch, EPOCHS_TOLD_MAX, TableKind};

/// Most bytes of a report: one with every list full of long texts fits, and a node is told of 16 at once.
pub const REPORT_BYTES_MAX: usize = 32 << 10;

/// Most reasons, tables, and regions heard of.
const REASONS_MAX: usize = 16;
const TABLES_MAX: usize = 8;
const REGIONS_MAX: usize = 32;

/// Most characters of a reason, and of other free texts.
const REASON_CHARS_MAX: usize = 256;
const TEXT_CHARS_MAX: usize = 128;

/// Longest name of a region.
const NAME_CHARS_MAX: usize = 32;

/// Why a text is no report, or no region's name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReportError {
    /// It cannot be one.
    #[error("`{name}` cannot be the name of a region: give 1 to 32 of a-z, 0-9 and -")]
    Name {
        /// As given; shortened if it is very long.
        name: String,
    },
    /// It is longer than a report may be.
    #[error("a report of {bytes} bytes: {REPORT_BYTES_MAX} at most")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// A list or a text in it is longer than it may be.
    #[error("a report with {found} {what}: {max} at most")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        max: usize,
    },
    /// It is no JSON of this form.
    #[error("not a report: {detail}")]
    Malformed {
        /// What is wrong.
        detail: String,
    },
}

/// Name of a region: 1 to 32 of a-z, 0-9 and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionName(String);

impl RegionName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RegionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for RegionName {
    type Err = ReportError;

    fn from_str(text: &str) -> Result<Self, ReportError> {
        let fits = (1..=NAME_CHARS_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        match fits {
            true => Ok(Self(text.to_owned())),
            false => Err(ReportError::Name { name: text.chars().take(NAME_CHARS_MAX * 2).collect() }),
        }
    }
}

impl Serialize for RegionName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RegionName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a region says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionReport {
    /// Who says so.
    pub region: RegionName,
    /// Of its program.
    pub version: String,
    /// Of its coordinator's lease: of two reports the one with the larger is the newer one.
    pub lease_epoch: u64,
    /// Whether its nodes may serve readers.
    pub ready: bool,
    /// Why not, and what a person should know.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// The newest ledger that both tables have; `None` without any.
    pub durable: Option<DurableLedger>,
    /// The newest ledger of its sources; `None` if it has none, or they do not tell.
    pub source_tip: Option<u32>,
    /// The ends of its tables, in the order of [`TableKind::ALL`]; none before it has a dataset.
    #[serde(default)]
    pub tables: Vec<TableReport>,
    /// The newest decision that it knows about where traffic belongs.
    pub decision: Option<Decision>,
    /// Whether it has traffic.
    pub traffic: Traffic,
    /// Its peers, and when it heard them.
    #[serde(default)]
    pub heard: Vec<Heard>,
}

/// The newest ledger that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DurableLedger {
    /// Its number.
    pub ledger: u32,
    /// Its hash.
    #[serde(with = "as_text")]
    pub hash: Hash32,
    /// When it closed.
    #[serde(with = "as_text")]
    pub closed_at: CloseTime,
}

/// The end of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableReport {
    /// Which.
    #[serde(with = "kind")]
    pub kind: TableKind,
    /// Its id, which is a function of its settings: tables of another id are never compared.
    pub id: String,
    /// Number of the newest slot.
    pub slots: u64,
    /// SHA-256 of its bytes. The log is a hash chain: equal here is equal before.
    #[serde(with = "as_text")]
    pub slot_sha256: Hash32,
    /// The ledger that the next slot begins with.
    pub next_ledger: u32,
    /// Digest of all rows.
    #[serde(with = "as_text")]
    pub total_digest: RowDigest,
    /// Epoch of the next ledger.
    pub epoch: u32,
    /// Epochs after the first: those of the log, and the one that is announced; the newest few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub epochs: Vec<AnnouncedEpoch>,
}

/// Where traffic belongs, as a person decided. The highest generation holds; of equal ones, the one whose JSON sorts first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// One more than the highest that was known.
    pub generation: u64,
    /// The region; `None` goes back to priorities.
    pub to: Option<RegionName>,
    /// Even if it is behind.
    pub forced: bool,
    /// Who decided.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Whether a region has traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Whether `/healthz/traffic` answers 200.
    pub has: bool,
    /// For how long that is so.
    pub since_seconds: u64,
    /// Traffic belongs to the healthy regions of the lowest one.
    #[serde(default)]
    pub priority: u32,
    /// Share of traffic among those of one priority.
    #[serde(default)]
    pub weight: u32,
}

/// When a region heard another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Which.
    pub region: RegionName,
    /// How long ago; `None` for not since it began.
    pub seconds_ago: Option<u64>,
}

impl RegionReport {
    /// Reads a report.
    ///
    /// # Errors
    ///
    /// It is none, or longer than one may be.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReportError> {
        if bytes.len() > REPORT_BYTES_MAX {
            return Err(ReportError::TooLarge { bytes: bytes.len() });
        }
        let report: Self = serde_json::from_slice(bytes)
            .map_err(|error| ReportError::Malformed { detail: error.to_string() })?;
        report.check().map(|()| report)
    }

    /// As JSON, within the limits that readers have: what is longer is cut.
    pub fn to_json(&self) -> Vec<u8> {
        let mut report = self.clone();
        report.reasons.truncate(REASONS_MAX);
        report.heard.truncate(REGIONS_MAX);
        let texts = report.reasons.iter_mut().map(|reason| (reason, REASON_CHARS_MAX));
        let decision = report.decision.as_mut();
        let others = decision.into_iter().flat_map(|decision| [&mut decision.by, &mut decision.reason]);
        for (text, max) in texts.chain(others.map(|text| (text, TEXT_CHARS_MAX))) {
            if let Some((end, _)) = text.char_indices().nth(max) {
                text.truncate(end);
            }
        }
        // Texts, numbers and lists: there is nothing that JSON could not say.
        serde_json::to_vec(&report).unwrap_or_default()
    }

    /// The end of one of its tables.
    pub fn table(&self, kind: TableKind) -> Option<&TableReport> {
        self.tables.iter().find(|table| table.kind == kind)
    }

    fn check(&self) -> Result<(), ReportError> {
        let lists = [
            ("reasons", self.reasons.len(), REASONS_MAX),
            ("tables", self.tables.len(), TABLES_MAX),
            ("regions heard", self.heard.len(), REGIONS_MAX),
            (
                "epochs of a table",
                self.tables.iter().map(|table| table.epochs.len()).max().unwrap_or(0),
                EPOCHS_TOLD_MAX,
            ),
        ];
        let reasons = self.reasons.iter().map(|text| ("characters of a reason", text, REASON_CHARS_MAX));
        let version = ("characters of a version", &self.version, TEXT_CHARS_MAX);
        let ids = self.tables.iter().map(|table| ("characters of an id", &table.id, TEXT_CHARS_MAX));
        let decision = self.decision.iter().flat_map(|decision| {
            let of = |text| ("characters of a decision", text, TEXT_CHARS_MAX);
            [of(&decision.by), of(&decision.reason)]
        });
        let texts = reasons.chain([version]).chain(ids).chain(decision);
        let texts = texts.map(|(what, text, max)| (what, text.chars().count(), max));
        match lists.into_iter().chain(texts).find(|(_, found, max)| found > max) {
            Some((what, found, max)) => Err(ReportError::TooMany { what, found, max }),
            None => Ok(()),
        }
    }
}

/// Values that have a text form of their own.
mod as_text {
    use super::{Deserialize, Deserializer, FromStr, Serializer, fmt};

    pub(super) fn serialize<T: fmt::Display, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T: FromStr<Err: fmt::Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A table by its name.
mod kind {
    use super::{Deserialize, Deserializer, Serializer, TableKind};

    pub(super) fn serialize<S: Serializer>(kind: &TableKind, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(kind.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TableKind, D::Error> {
        let text = String::deserialize(deserializer)?;
        let found = TableKind::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no table")))
    }
}

#[cfg(test)]
mod tests;
