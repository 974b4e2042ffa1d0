//! Which side of a difference parks. Pure.
//!
//! A region that most regions agree with goes on: one that is wrong stops no other. Whoever is not known to be one of most
//! parks, and so do both of two. Where that is not known yet, it is waited for: meanwhile slots are added to a log whose end is
//! in doubt, which whoever mends it throws away.

use super::Alarm;
use crate::dataset::TableKind;
use crate::region::{PeerState, ReplicationState};

/// What is to be done about a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This region is parked.
    Park,
    /// Most regions have what this one has: the other one is parked, and a person is told.
    GoOn,
    /// Others may still be found to agree.
    Wait,
}

impl Alarm {
    /// What is to be done, as `peers` stand now.
    pub fn verdict(&self, peers: &[PeerState]) -> Verdict {
        let Some(slot) = self.slot else { return Verdict::Park };
        let place = TableKind::ALL.iter().position(|kind| *kind == self.table).unwrap_or_default();
        let equal = |peer: &&PeerState| peer.equal_slots.get(place).copied().flatten() >= Some(slot);
        let agree = peers.iter().filter(equal).count();
        // It has not made that slot yet, or was not asked for it.
        let is_open = |peer: &&PeerState| !equal(peer) && may_agree(peer.state);
        let open = peers.iter().filter(is_open).count();
        // Of all regions there are, this one among them.
        let are_most = |agree: usize| (agree + 1) * 2 > peers.len() + 1;
        match () {
            () if are_most(agree) => Verdict::GoOn,
            () if are_most(agree + open) => Verdict::Wait,
            () => Verdict::Park,
        }
    }
}

const fn may_agree(state: ReplicationState) -> bool {
    matches!(state, ReplicationState::Comparing | ReplicationState::Equal | ReplicationState::Copying)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::region::ReplicationMode;

    fn peer(state: ReplicationState, equal: Option<u64>) -> PeerState {
        PeerState {
            region: "us".parse().unwrap(),
            mode: ReplicationMode::Both,
            state,
            detail: None,
            heard_ms_ago: Some(10),
            report: None,
            lag_ledgers: None,
            lag_seconds: None,
            equal_slots: vec![None, equal],
            bytes_copied: 0,
            differences: 0,
        }
    }

    #[test]
    fn a_region_goes_on_if_most_have_what_it_has_and_parks_if_not() {
        use ReplicationState::{Comparing, Different, Equal, Unheard};
        let check = |slot: Option<u64>, peers: &[(ReplicationState, Option<u64>)], expect: Verdict| {
            let alarm = Alarm {
                region: "us".parse().unwrap(),
                table: TableKind::ALL[1],
                slot,
                reason: String::new(),
            };
            let peers: Vec<_> = peers.iter().map(|(state, equal)| peer(*state, *equal)).collect();
            assert_eq!(alarm.verdict(&peers), expect, "{slot:?} {peers:?}");
        };
        let different = (Different, Some(6));
        // Of two, nobody knows who is wrong.
        check(Some(7), &[different], Verdict::Park);
        check(Some(7), &[different, (Equal, Some(7))], Verdict::GoOn);
        check(Some(7), &[different, different], Verdict::Park);
        // It agreed before it was lost, or before that slot was made.
        check(Some(7), &[different, (Unheard, Some(8))], Verdict::GoOn);
        check(Some(7), &[different, (Unheard, Some(6))], Verdict::Park);
        check(Some(7), &[different, (Equal, Some(6))], Verdict::Wait);
        check(Some(7), &[different, (Comparing, Some(6))], Verdict::Wait);
        check(Some(7), &[different, different, (Equal, Some(9))], Verdict::Park);
        check(Some(7), &[different, different, (Equal, Some(6))], Verdict::Park);
        check(Some(7), &[different, (Equal, Some(9)), (Equal, Some(9))], Verdict::GoOn);
        // Its own table is damaged: whoever else is sound does not help.
        check(None, &[(Equal, Some(9)), (Equal, Some(9))], Verdict::Park);
    }
}
