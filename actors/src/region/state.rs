//! What a region knows of the others, as every one of its nodes shows it.

use serde::{Deserialize, Serialize};

use super::mode::ReplicationMode;
use super::report::{RegionName, RegionReport};
use super::traffic::TrafficView;

/// A region's own report, and how its peers are. The active coordinator's node makes it; all others are told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionView {
    /// `None` before this region's coordinator has made one.
    pub own: Option<RegionReport>,
    /// In the order of the configuration.
    pub peers: Vec<PeerState>,
    /// Where traffic belongs; `None` before that was decided.
    #[serde(default)]
    pub traffic: Option<TrafficView>,
}

impl RegionView {
    /// Ledgers that are durable here and, as far as is heard, in no other region: those that no copy has if this region is gone
    /// for good. `None` if no other region was heard, or this one has no ledger.
    pub fn only_here_ledgers(&self) -> Option<u32> {
        let own = self.own.as_ref()?.durable?.ledger;
        let heard = self.peers.iter().filter_map(|peer| peer.report.as_ref()?.durable);
        Some(own.saturating_sub(heard.map(|durable| durable.ledger).max()?))
    }
}

/// How another region is, and how this one stands to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerState {
    /// Which.
    pub region: RegionName,
    /// What this region does about it.
    pub mode: ReplicationMode,
    /// Whether the tables are equal, as far as both have them.
    pub state: ReplicationState,
    /// What stands behind the state: whom it waits for, which slot differs, and what to do.
    pub detail: Option<String>,
    /// Milliseconds since it was heard; `None` for not since this coordinator began.
    pub heard_ms_ago: Option<u64>,
    /// What it said then.
    pub report: Option<RegionReport>,
    /// Ledgers that it has durable and this region has not; negative if this region is ahead. `None` if that is not known.
    pub lag_ledgers: Option<i64>,
    /// Close time of its newest durable ledger less that of ours.
    pub lag_seconds: Option<i64>,
    /// Newest slot of each table, in the order of [`crate::dataset::TableKind::ALL`], that is known to be equal.
    pub equal_slots: Vec<Option<u64>>,
    /// Of files and slots, since this coordinator began.
    pub bytes_copied: u64,
    /// Slots that were found to differ, since then.
    pub differences: u64,
}

/// Whether two regions are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicationState {
    /// It was not heard yet, or not for a while.
    Unheard,
    /// Being compared.
    Comparing,
    /// What both have is equal.
    Equal,
    /// Slots and files are being copied from it.
    Copying,
    /// Equal rows, compacted at other places.
    OtherLayout,
    /// Its tables are of other settings: they are never compared.
    OtherTables,
    /// They differ: this region is parked, and a person has to look.
    Different,
    /// What it sends does not hold: other bytes than it promised.
    Untrue,
}

impl ReplicationState {
    /// For labels: a word that stays the same.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unheard => "unheard",
            Self::Comparing => "comparing",
            Self::Equal => "equal",
            Self::Copying => "copying",
            Self::OtherLayout => "other_layout",
            Self::OtherTables => "other_tables",
            Self::Different => "different",
            Self::Untrue => "untrue",
        }
    }
}
