//! The lines of a slot as JSON. Key order is the order of the fields here, and part of the format: bytes are compared.
//!
//! Reading is strict: an unknown key, a missing one or a second one is an error. `commitInfo` says, under `orrery`, where
//! in the chain the slot stands; the rest is Delta's (protocol reader 1, writer 2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One line of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum ActionWire {
    CommitInfo(CommitInfoWire),
    Protocol(ProtocolWire),
    MetaData(MetaDataWire),
    Remove(RemoveWire),
    Add(AddWire),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CommitInfoWire {
    /// Milliseconds: close time of the last ledger, never a clock.
    pub(super) timestamp: i64,
    pub(super) operation: String,
    pub(super) operation_parameters: BTreeMap<String, String>,
    pub(super) is_blind_append: bool,
    pub(super) engine_info: String,
    pub(super) orrery: OrreryWire,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OrreryWire {
    pub(super) prev: String,
    pub(super) epoch: u32,
    pub(super) first_ledger: u32,
    pub(super) last_ledger: u32,
    pub(super) parent_ledger_hash: String,
    pub(super) last_ledger_hash: String,
    pub(super) rows: u64,
    pub(super) total_rows: u64,
    pub(super) row_digest: String,
    pub(super) total_digest: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ProtocolWire {
    pub(super) min_reader_version: i32,
    pub(super) min_writer_version: i32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MetaDataWire {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) format: FormatWire,
    pub(super) schema_string: String,
    pub(super) partition_columns: Vec<String>,
    pub(super) configuration: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FormatWire {
    pub(super) provider: String,
    pub(super) options: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AddWire {
    pub(super) path: String,
    pub(super) partition_values: BTreeMap<String, String>,
    pub(super) size: i64,
    pub(super) modification_time: i64,
    pub(super) data_change: bool,
    /// JSON inside of JSON, as Delta has it: a [`StatsWire`].
    pub(super) stats: String,
    pub(super) tags: TagsWire,
}

/// What a reader of the log can hold a file against, long after the slot that brought it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TagsWire {
    #[serde(rename = "orrery.row_digest")]
    pub(super) row_digest: String,
    #[serde(rename = "orrery.sha256")]
    pub(super) sha256: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RemoveWire {
    pub(super) path: String,
    pub(super) deletion_timestamp: i64,
    pub(super) data_change: bool,
    pub(super) extended_file_metadata: bool,
    pub(super) partition_values: BTreeMap<String, String>,
    pub(super) size: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StatsWire {
    pub(super) num_records: u64,
    pub(super) min_values: BoundsWire,
    pub(super) max_values: BoundsWire,
}

/// The column that names the ledger has another name in each table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BoundsWire {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) ledger_sequence: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) sequence: Option<u32>,
    pub(super) closed_at: String,
}

/// The hint to the newest checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LastCheckpointWire {
    pub(super) version: u64,
    pub(super) size: u64,
}
