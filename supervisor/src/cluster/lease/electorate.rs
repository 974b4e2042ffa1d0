//! The members, as far as the lease is concerned.

use std::collections::BTreeMap;

use crate::cluster::membership::{MemberState, Members};
use crate::cluster::name::{NodeIdentity, NodeName};
use crate::cluster::placement::{Weight, ranking};
use crate::cluster::role::Role;

/// What the order of candidates is drawn from: the same for every epoch, so that the coordinator seldom changes.
const RANKING_KEY: &[u8] = b"lease";

/// What a member may do about the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Eligibility {
    /// May take it and may keep it.
    Candidate,
    /// May keep it: it was silent lately, which may pass; or it is this node, and has not met those whom it is to join.
    Suspect,
    /// Is about to leave, or has not the role: whoever finds it holding the lease takes it.
    Never,
}

/// The members, as far as the lease is concerned: who may take it, and who may keep it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Electorate(BTreeMap<NodeName, (u64, Eligibility)>);

impl Electorate {
    /// As this node sees them now.
    pub fn of(members: &Members) -> Self {
        let eligibility = |member: &crate::cluster::membership::Member| {
            if member.draining || !member.profile.roles.contains(Role::Coordinator) {
                Eligibility::Never
            } else if member.state == MemberState::Suspect
                || (members.is_joining() && member.identity == *members.me())
            {
                Eligibility::Suspect
            } else {
                Eligibility::Candidate
            }
        };
        Self::from_parts(members.iter().map(|member| (member.identity.clone(), eligibility(member))))
    }

    pub(super) fn from_parts(parts: impl IntoIterator<Item = (NodeIdentity, Eligibility)>) -> Self {
        let entry = |(node, eligibility): (NodeIdentity, _)| (node.name, (node.incarnation, eligibility));
        Self(parts.into_iter().map(entry).collect())
    }

    /// Of exactly this life of a node.
    pub(super) fn eligibility(&self, node: &NodeIdentity) -> Option<Eligibility> {
        self.0
            .get(&node.name)
            .filter(|(life, _)| *life == node.incarnation)
            .map(|(_, eligibility)| *eligibility)
    }

    /// Whether a later life of this node is there.
    pub(super) fn outlived(&self, node: &NodeIdentity) -> bool {
        self.0.get(&node.name).is_some_and(|(life, _)| *life > node.incarnation)
    }

    pub(super) fn others(&self, me: &NodeIdentity) -> usize {
        self.0.keys().filter(|name| **name != me.name).count()
    }

    /// How many candidates come before this node.
    pub(super) fn rank(&self, me: &NodeIdentity) -> u32 {
        let candidates = self.0.iter().filter(|(_, (_, eligibility))| *eligibility == Eligibility::Candidate);
        let ranked = ranking(RANKING_KEY, candidates.map(|(name, _)| (name, Weight::of(1, 0.0))));
        let before = ranked.iter().position(|name| **name == me.name).unwrap_or(ranked.len());
        u32::try_from(before).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::membership::{Member, Profile};
    use crate::cluster::role::Roles;

    #[test]
    fn who_joins_and_has_met_nobody_takes_no_lease() {
        let member = |name: &str| Member {
            identity: name.parse().unwrap(),
            profile: Profile {
                address: ([127, 0, 0, 1], 1).into(),
                roles: Roles::all(),
                version: String::new(),
                protocol: 1,
                capacity: 1,
            },
            load: 0.0,
            draining: false,
            state: MemberState::Alive,
        };
        let check = |others: &[&str], is_joining: bool, expect: Eligibility| {
            let me: NodeIdentity = "me.5".parse().unwrap();
            let all = others.iter().map(|name| member(name)).chain([member("me.5")]);
            let members = Members::new(me.clone(), all).joining(is_joining);
            let electorate = Electorate::of(&members);
            assert_eq!(electorate.eligibility(&me), Some(expect), "{others:?} {is_joining}");
        };
        check(&[], false, Eligibility::Candidate);
        check(&[], true, Eligibility::Suspect);
        check(&["a.1"], false, Eligibility::Candidate);
    }
}
