//! How a peer region stands, as a replicator puts it together; with the time that passes since it was heard.

use std::time::Duration;

use orrery_supervisor::MonotonicTime;

use crate::dataset::TableKind;
use crate::region::report::{RegionName, RegionReport};
use crate::region::{PeerState, ReplicationMode, ReplicationState};

/// How a peer stands. Only this process knows when it was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    state: PeerState,
    heard_at: Option<MonotonicTime>,
    /// Why it was not heard when it was asked last.
    unheard: Option<String>,
}

impl Standing {
    pub(super) fn new(region: RegionName, mode: ReplicationMode) -> Self {
        let state = PeerState {
            region,
            mode,
            state: ReplicationState::Unheard,
            detail: None,
            heard_ms_ago: None,
            report: None,
            lag_ledgers: None,
            lag_seconds: None,
            equal_slots: vec![None; TableKind::ALL.len()],
            bytes_copied: 0,
            differences: 0,
        };
        Self { state, heard_at: None, unheard: None }
    }

    /// As it is at `now`.
    pub fn at(&self, now: MonotonicTime, unheard_after: Duration) -> PeerState {
        let mut state = self.state.clone();
        let ago = self.heard_at.map(|at| now.since(at));
        state.heard_ms_ago = ago.map(|ago| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX));
        // A difference stays one, whether it is heard of or not.
        if ago.is_none_or(|ago| ago > unheard_after) && state.state != ReplicationState::Different {
            state.state = ReplicationState::Unheard;
            state.detail = self.unheard.clone();
        }
        state
    }

    pub(super) fn heard(&mut self, report: RegionReport, now: MonotonicTime) {
        self.state.report = Some(report);
        self.heard_at = Some(now);
        self.unheard = None;
    }

    pub(super) fn unheard(&mut self, why: String) {
        self.unheard = Some(why);
    }

    pub(super) fn copied(&mut self, bytes: usize) {
        self.state.bytes_copied += bytes as u64;
    }

    /// What we are at: the next ledger, and close time of the one before.
    pub(super) fn lag(&mut self, ours: Option<(u32, Option<i64>)>) {
        let durable = self.state.report.as_ref().and_then(|report| report.durable);
        let theirs = durable.map(|durable| (i64::from(durable.ledger), durable.closed_at.unix_seconds()));
        let ours_at = ours.map(|(next, _)| i64::from(next) - 1);
        self.state.lag_ledgers = theirs.zip(ours_at).map(|((theirs, _), ours)| theirs - ours);
        let closed_at = ours.and_then(|(_, closed_at)| closed_at);
        self.state.lag_seconds = theirs.zip(closed_at).map(|((_, theirs), ours)| theirs - ours);
    }

    pub(super) fn stands(
        &mut self,
        state: ReplicationState,
        detail: Option<String>,
        equal_slots: Vec<Option<u64>>,
        differences: u64,
    ) {
        (self.state.state, self.state.detail) = (state, detail);
        (self.state.equal_slots, self.state.differences) = (equal_slots, differences);
    }
}

/// The state of the table that stands worst.
pub(super) fn worst(
    tables: impl Iterator<Item = (TableKind, (ReplicationState, Option<String>))>,
) -> (ReplicationState, Option<String>) {
    let rank = |state: ReplicationState| match state {
        ReplicationState::Different => 6,
        ReplicationState::Untrue => 5,
        ReplicationState::OtherTables => 4,
        ReplicationState::Copying => 3,
        ReplicationState::Comparing | ReplicationState::Unheard => 2,
        ReplicationState::OtherLayout => 1,
        ReplicationState::Equal => 0,
    };
    let worst = tables.max_by_key(|(_, (state, _))| rank(*state));
    worst.map_or((ReplicationState::Comparing, None), |(kind, (state, detail))| {
        (state, detail.map(|detail| format!("table {kind}: {detail}")))
    })
}
