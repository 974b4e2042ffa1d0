//! From what gossip knows to who is there.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::detector::Standing;
use super::members::{Member, MemberState, Members};
use super::record_wire::Record;
use crate::cluster::{NodeIdentity, NodeName};

/// Who is there, if each of these nodes has told that and stands so.
///
/// Of two lives of a name the later one counts, as soon as it is known to be alive: the former is over, even if it was
/// heard of a moment ago.
pub(super) fn members(
    me: &NodeIdentity,
    nodes: impl IntoIterator<Item = (NodeIdentity, Record, Standing)>,
) -> Members {
    let mut latest: BTreeMap<NodeName, Option<Member>> = BTreeMap::new();
    let mut lives: BTreeMap<NodeName, u64> = BTreeMap::new();
    for (identity, record, standing) in nodes {
        let state = match standing {
            _ if identity == *me => MemberState::Alive,
            Standing::In(state) => state,
            Standing::Unproven | Standing::Out => continue,
        };
        match lives.entry(identity.name.clone()) {
            Entry::Occupied(life) if *life.get() >= identity.incarnation => continue,
            Entry::Occupied(mut life) => {
                life.insert(identity.incarnation);
            }
            Entry::Vacant(life) => {
                life.insert(identity.incarnation);
            }
        }
        // Who left is remembered here, so that no former life of the name comes back.
        let name = identity.name.clone();
        let Record { profile, load, draining, left } = record;
        latest.insert(name, (!left).then_some(Member { identity, profile, load, draining, state }));
    }
    Members::new(me.clone(), latest.into_values().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIVE: Standing = Standing::In(MemberState::Alive);
    const SUSPECT: Standing = Standing::In(MemberState::Suspect);

    fn check(nodes: &[(&str, Standing, bool)], expect: &[(&str, MemberState)]) {
        let profile = Member::alive("me.5").profile;
        let told = |(identity, standing, left): &(&str, Standing, bool)| {
            let record = Record { profile: profile.clone(), load: 0.0, draining: false, left: *left };
            (identity.parse().unwrap(), record, *standing)
        };
        for nodes in [nodes.to_vec(), nodes.iter().rev().copied().collect()] {
            let members = members(&"me.5".parse().unwrap(), nodes.iter().map(told));
            let found: Vec<_> =
                members.iter().map(|member| (member.identity.to_string(), member.state)).collect();
            let expect: Vec<_> = expect.iter().map(|(name, state)| ((*name).to_owned(), *state)).collect();
            assert_eq!(found, expect, "{nodes:?}");
        }
    }

    #[test]
    fn who_is_there_follows_from_lives_and_standings() {
        use MemberState::{Alive, Suspect};
        check(&[("me.5", Standing::Unproven, false)], &[("me.5", Alive)]);
        check(&[("a.1", ALIVE, false), ("b.1", SUSPECT, false)], &[("a.1", Alive), ("b.1", Suspect)]);
        check(&[("a.1", Standing::Out, false), ("b.1", Standing::Unproven, false)], &[]);
        check(&[("a.1", ALIVE, false), ("a.2", ALIVE, false)], &[("a.2", Alive)]);
        check(&[("a.1", ALIVE, false), ("a.2", SUSPECT, false)], &[("a.2", Suspect)]);
        check(&[("a.1", ALIVE, false), ("a.2", Standing::Unproven, false)], &[("a.1", Alive)]);
        check(&[("a.1", SUSPECT, false), ("a.2", Standing::Out, false)], &[("a.1", Suspect)]);
        check(&[("a.1", ALIVE, true)], &[]);
        check(&[("a.1", ALIVE, false), ("a.2", ALIVE, true)], &[]);
        check(&[("a.1", ALIVE, true), ("a.2", ALIVE, false)], &[("a.2", Alive)]);
        check(&[("me.5", ALIVE, false), ("me.6", ALIVE, false)], &[("me.6", Alive)]);
    }
}
