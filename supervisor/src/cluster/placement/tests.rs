use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::cluster::name::NodeName;
use crate::cluster::role::Role;

fn node(name: &str, roles: &str, capacity: u32) -> Candidate {
    Candidate { name: name.parse().unwrap(), roles: roles.parse().unwrap(), capacity, load: 0.0 }
}

fn alike(count: usize) -> Vec<Candidate> {
    (0..count).map(|index| node(&format!("n{index}"), "fetcher,processor,sink", 1000)).collect()
}

fn ranges(count: usize) -> Vec<WorkKey> {
    (0..count).map(|index| WorkKey::new(format!("range/{index}"))).collect()
}

fn task_of(assignment: &Assignment, work: &WorkKey) -> Option<Task> {
    assignment.iter().find(|task| task.work.key() == work).cloned()
}

/// The first choice of a piece of work among nodes that all do all.
fn first_choice(work: &WorkKey, nodes: &[Candidate]) -> NodeName {
    let candidates = nodes.iter().map(|node| (&node.name, Weight::of(node.capacity, node.load)));
    owner(work.as_str().as_bytes(), candidates).unwrap().clone()
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

#[test]
fn work_is_placed_by_roles() {
    let check = |nodes: &[Candidate], expect: &[&str]| {
        let assignment = plan(&ranges(3), Some(&WorkKey::new("live")), nodes.iter().cloned());
        let mut found: Vec<_> = assignment
            .iter()
            .map(|task| format!("{} {}{}{}", task.work.key(), task.fetcher, task.processor, task.sink))
            .collect();
        found.extend(assignment.unplaced.iter().map(|left| format!("{} {:?}", left.work.key(), left.reason)));
        found.sort();
        assert_eq!(found, expect);
    };
    let together = ["live aaa", "range/0 aaa", "range/1 aaa", "range/2 aaa"];
    check(&[node("a", "fetcher,processor,sink", 4)], &together);
    let apart = [node("f", "fetcher", 4), node("p", "processor", 4), node("s", "sink,gateway", 4)];
    check(&apart, &["live fps", "range/0 fps", "range/1 fps", "range/2 fps"]);
    let preferred =
        [node("p", "processor", 9), node("a", "fetcher,processor,sink", 9), node("f", "fetcher", 9)];
    check(&preferred, &together);
    let overflow =
        [node("a", "fetcher,processor,sink", 2), node("p", "processor,sink", 2), node("f", "fetcher", 2)];
    let assignment = plan(&ranges(4), None, overflow.iter().cloned());
    let whole = assignment.iter().filter(|task| task.is_together() && task.processor.as_str() == "a").count();
    let parts =
        assignment.iter().filter(|task| task.fetcher.as_str() == "f" && task.sink.as_str() == "p").count();
    assert_eq!((whole, parts, assignment.unplaced.len()), (2, 2, 0));

    let nobody =
        |role: &str| ["live", "range/0", "range/1", "range/2"].map(|work| format!("{work} NoNode({role})"));
    check(&[], &nobody("Processor").each_ref().map(String::as_str));
    check(&[node("g", "gateway", 4)], &nobody("Processor").each_ref().map(String::as_str));
    check(&[node("p", "processor,sink", 4)], &nobody("Fetcher").each_ref().map(String::as_str));
    let full = ["live aaa", "range/0 aaa", "range/1 NoRoom(Processor)", "range/2 NoRoom(Processor)"];
    check(&[node("a", "fetcher,processor,sink", 2)], &full);
    let narrow = [node("f", "fetcher", 1), node("p", "processor,sink", 9)];
    let expect =
        ["live fpp", "range/0 NoRoom(Fetcher)", "range/1 NoRoom(Fetcher)", "range/2 NoRoom(Fetcher)"];
    check(&narrow, &expect);
}

#[test]
fn small_changes_of_load_move_nothing() {
    let before = plan(&ranges(200), None, alike(5));
    let mut nodes = alike(5);
    for (node, load) in nodes.iter_mut().zip([0.1, 0.3, 0.5, 0.59, 0.0]) {
        node.load = load;
    }
    assert_eq!(plan(&ranges(200), None, nodes.clone()), before);
    nodes[0].load = 1.0;
    let after = plan(&ranges(200), None, nodes);
    let count = |assignment: &Assignment| assignment.tasks[&"n0".parse().unwrap()].len();
    assert!(count(&after) * 2 < count(&before), "{} of {}", count(&after), count(&before));
}

fn some_nodes() -> impl Strategy<Value = Vec<Candidate>> {
    let roles = proptest::sample::subsequence(Role::ALL.to_vec(), 1..=5);
    let node =
        ("[a-z]{1,8}", roles, 0_u32..20, 0.0_f32..1.2).prop_map(|(name, roles, capacity, load)| Candidate {
            name: name.parse().unwrap(),
            roles: crate::cluster::role::Roles::new(roles).unwrap(),
            capacity,
            load,
        });
    proptest::collection::btree_map("[a-z]{1,8}", node, 0..12).prop_map(|nodes| {
        let named = nodes.into_iter().map(|(name, node)| Candidate { name: name.parse().unwrap(), ..node });
        named.collect()
    })
}

fn equal_nodes() -> impl Strategy<Value = Vec<Candidate>> {
    proptest::collection::btree_set("[a-z]{1,8}", 2..9)
        .prop_map(|names| names.iter().map(|name| node(name, "fetcher,processor,sink", 1000)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_of_nodes_does_not_matter(nodes in some_nodes(), seed in any::<u64>(), count in 0_usize..60) {
        let mut shuffled = nodes.clone();
        let mut random = crate::random::SeededRandom::new(seed);
        shuffled.sort_by_key(|_| random.draw());
        let live = WorkKey::new("live");
        prop_assert_eq!(plan(&ranges(count), Some(&live), nodes), plan(&ranges(count), Some(&live), shuffled));
    }

    #[test]
    fn nobody_does_what_it_has_no_role_for_or_more_than_it_can(nodes in some_nodes(), count in 0_usize..60) {
        let assignment = plan(&ranges(count), None, nodes.clone());
        prop_assert_eq!(assignment.iter().count() + assignment.unplaced.len(), count);
        for node in &nodes {
            let parts = [
                (Role::Processor, assignment.iter().filter(|task| task.processor == node.name).count()),
                (Role::Fetcher, assignment.iter().filter(|task| task.fetcher == node.name).count()),
                (Role::Sink, assignment.iter().filter(|task| task.sink == node.name).count()),
            ];
            for (role, tasks) in parts {
                prop_assert!(tasks == 0 || node.roles.contains(role));
                prop_assert!(tasks <= node.capacity as usize);
            }
        }
        for task in assignment.iter() {
            let processor = nodes.iter().find(|node| node.name == task.processor).unwrap();
            for (role, name) in [(Role::Fetcher, &task.fetcher), (Role::Sink, &task.sink)] {
                let elsewhere = *name != task.processor;
                let full = assignment.iter().filter(|task| match role {
                    Role::Fetcher => task.fetcher == processor.name,
                    _ => task.sink == processor.name,
                }).count() >= processor.capacity as usize;
                prop_assert!(!elsewhere || !processor.roles.contains(role) || full, "apart without need");
            }
        }
    }

    #[test]
    fn work_waits_only_if_a_stage_has_no_room(nodes in some_nodes(), count in 0_usize..60) {
        let assignment = plan(&ranges(count), None, nodes.clone());
        for left in &assignment.unplaced {
            let role = match left.reason {
                UnplacedReason::NoNode(role) | UnplacedReason::NoRoom(role) => role,
            };
            let given = |node: &Candidate| assignment.iter().filter(|task| *match role {
                Role::Fetcher => &task.fetcher,
                Role::Sink => &task.sink,
                _ => &task.processor,
            } == node.name).count();
            let mut able = nodes.iter().filter(|node| node.roles.contains(role));
            prop_assert!(able.all(|node| given(node) >= node.capacity as usize));
        }
    }

    #[test]
    fn equal_nodes_get_equal_shares(nodes in equal_nodes(), count in 0_usize..300) {
        let assignment = plan(&ranges(count), None, nodes.clone());
        let most = (count * 110).div_ceil(nodes.len() * 100);
        for tasks in assignment.tasks.values() {
            prop_assert!(tasks.len() <= most, "{} of {count} on one of {} nodes", tasks.len(), nodes.len());
        }
    }

    #[test]
    fn when_a_node_leaves_only_its_work_and_what_overflowed_moves(nodes in equal_nodes(), count in 0_usize..200) {
        let work = ranges(count);
        let before = plan(&work, None, nodes.clone());
        let (gone, rest) = nodes.split_first().unwrap();
        let after = plan(&work, None, rest.iter().cloned());
        for work in &work {
            let (old, new) = (task_of(&before, work).unwrap(), task_of(&after, work).unwrap());
            let overflowed = old.processor != first_choice(work, &nodes) || new.processor != first_choice(work, rest);
            prop_assert!(old == new || old.processor == gone.name || overflowed);
        }
    }

    #[test]
    fn most_work_is_where_it_ranks_first(nodes in equal_nodes()) {
        let work = ranges(300);
        let assignment = plan(&work, None, nodes.clone());
        let first = work.iter().filter(|work| {
            task_of(&assignment, work).is_some_and(|task| task.processor == first_choice(work, &nodes))
        }).count();
        prop_assert!(first >= 255, "{first} of 300");
    }

    #[test]
    fn rendezvous_alone_is_balanced_by_weight(names in proptest::collection::btree_set("[a-z]{2,8}", 2..9)) {
        let names: Vec<NodeName> = names.iter().map(|name| name.parse().unwrap()).collect();
        // The first node has twice the weight of the others.
        let weight = |index: usize| Weight::of(if index == 0 { 4 } else { 2 }, 0.0);
        let mut owned = vec![0_usize; names.len()];
        for key in 0..2000 {
            let candidates = names.iter().enumerate().map(|(index, name)| (name, weight(index)));
            let owner = owner(format!("key/{key}").as_bytes(), candidates).unwrap();
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
                owner(key.as_bytes(), names.iter().map(|name| (name, weight(name)))).unwrap().clone()
            };
            let (busy, idle) = (owner_with(load), owner_with(0.0));
            prop_assert!(busy == idle || idle.as_str() == "a");
        }
    }
}
