use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::cluster::NodeName;

/// The one that a key belongs to.
fn first<'a>(key: &[u8], candidates: impl IntoIterator<Item = (&'a NodeName, Weight)>) -> &'a NodeName {
    ranking(key, candidates)[0]
}

#[test]
fn tickets_are_those_that_are_written_down() {
    // By Python's hashlib and the reference of SplitMix64: this pins what must not change.
    let names: Vec<NodeName> = ["a", "b", "c", "d"].map(|name| name.parse().unwrap()).into();
    let check = |key: &str, expect: &str| {
        let ranked = ranking(key.as_bytes(), names.iter().map(|name| (name, Weight::of(1, 0.0))));
        let ranked: Vec<_> = ranked.into_iter().map(NodeName::as_str).collect();
        assert_eq!(ranked.concat(), expect, "{key}");
    };
    check("range/0", "dbca");
    check("range/1", "bacd");
    check("live", "bdac");
}

#[test]
fn weight_follows_capacity_and_classes_of_load() {
    let check = |capacity, load, expect| {
        assert_eq!(Weight::of(capacity, load).tickets(), expect, "{capacity} {load}")
    };
    check(0, 0.0, 4);
    check(4, 0.0, 16);
    check(4, 0.59, 16);
    check(4, 0.6, 8);
    check(4, 0.9, 4);
    check(4, 9.0, 4);
    check(4, f32::NAN, 16);
    check(u32::MAX, 0.0, Weight::MAX);
}

proptest! {
    #[test]
    fn rendezvous_alone_is_balanced_by_weight(names in proptest::collection::btree_set("[a-z]{2,8}", 2..9)) {
        let names: Vec<NodeName> = names.iter().map(|name| name.parse().unwrap()).collect();
        // The first node has twice the weight of the others.
        let weight = |index: usize| Weight::of(if index == 0 { 4 } else { 2 }, 0.0);
        let mut owned = vec![0_usize; names.len()];
        for key in 0..2000 {
            let candidates = names.iter().enumerate().map(|(index, name)| (name, weight(index)));
            let owner = first(format!("key/{key}").as_bytes(), candidates);
            owned[names.iter().position(|name| name == owner).unwrap()] += 1;
        }
        for (index, owned) in owned.into_iter().enumerate() {
            let fair = 2000 * (if index == 0 { 2 } else { 1 }) / (names.len() + 1);
            prop_assert!(owned * 10 > fair * 6 && owned * 10 < fair * 14, "{owned} of a fair {fair}");
        }
    }

    #[test]
    fn a_node_that_gains_weight_only_takes(load in 0.0_f32..1.0, keys in 1_usize..300) {
        let names: BTreeSet<NodeName> = ["a", "b", "c"].map(|name| name.parse().unwrap()).into();
        for key in 0..keys {
            let key = format!("key/{key}");
            let owner_with = |load: f32| {
                let weight = |name: &NodeName| Weight::of(3, if name.as_str() == "a" { load } else { 0.7 });
                first(key.as_bytes(), names.iter().map(|name| (name, weight(name)))).clone()
            };
            let (busy, idle) = (owner_with(load), owner_with(0.0));
            prop_assert!(busy == idle || idle.as_str() == "a");
        }
    }
}
