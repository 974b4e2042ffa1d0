use super::*;
use crate::region::traffic::view::TrafficState;

const STABLE: u64 = 60;

pub(super) fn name(name: &str) -> RegionName {
    name.parse().unwrap()
}

pub(super) fn settings(region: &str, priority: u32) -> TrafficSettings {
    TrafficSettings {
        region: name(region),
        priority,
        weight: 100,
        lag_max_ledgers: 5,
        unheard_after: Duration::from_secs(3),
        behind_after: Duration::from_secs(6),
        stable: Duration::from_secs(STABLE),
    }
}

pub(super) fn decision(generation: u64, to: Option<&str>, forced: bool) -> Decision {
    Decision { generation, to: to.map(name), forced, by: "ops".to_owned(), reason: String::new() }
}

/// Region `b` of priority 2, which hears `a` of priority 1.
struct Told {
    core: TrafficCore,
    input: TrafficInput,
}

impl Told {
    fn new(has: bool) -> Self {
        let peer = TrafficPeer {
            region: name("a"),
            heard_ago: Some(Duration::ZERO),
            priority: 1,
            weight: 100,
            ready: true,
            durable: Some(100),
            has: true,
            decision: None,
        };
        let input = TrafficInput {
            now: MonotonicTime::ORIGIN,
            ready: true,
            durable: Some(100),
            peers: vec![peer],
            decision: None,
        };
        Self { core: TrafficCore::new(settings("b", 2), has), input }
    }

    /// A second for each of `seconds`, as it is now; what comes of the last.
    fn wait(&mut self, seconds: u64) -> TrafficView {
        let mut view = self.core.step(&self.input);
        for _ in 1..seconds.max(1) {
            self.input.now = self.input.now.after(Duration::from_secs(1));
            view = self.core.step(&self.input);
        }
        self.input.now = self.input.now.after(Duration::from_secs(1));
        view
    }

    fn a(&mut self) -> &mut TrafficPeer {
        &mut self.input.peers[0]
    }
}

/// Changes what `b` knows, waits, and looks whether it has traffic.
#[track_caller]
fn check(told: &mut Told, change: impl FnOnce(&mut Told), seconds: u64, has: bool) {
    change(told);
    let view = told.wait(seconds);
    assert_eq!(view.has, has, "{view:?}");
}

#[test]
fn traffic_goes_to_who_is_left_at_once_and_back_when_the_better_one_is_stable_and_says_so() {
    let told = &mut Told::new(false);
    check(told, |_| {}, 200, false);
    check(told, |told| told.a().heard_ago = Some(Duration::from_secs(3)), 1, true);
    let back = |told: &mut Told| (told.a().heard_ago, told.a().has) = (Some(Duration::ZERO), false);
    check(told, back, STABLE + 1, true);
    // It is stable by now, and only its word is missing.
    check(told, |_| {}, 5, true);
    check(told, |told| told.a().has = true, 1, false);
}

#[test]
fn a_region_that_is_not_well_is_no_reason_to_give_traffic_up_before_another_one_has_it() {
    let told = &mut Told::new(true);
    check(told, |told| told.a().has = false, STABLE + 10, true);
    check(told, |told| told.input.ready = false, 10, true);
    check(told, |told| told.a().has = true, 1, false);
    check(told, |told| told.input.ready = true, STABLE - 1, false);
    // The other one has priority.
    check(told, |_| {}, 10, false);
    check(told, |told| told.a().ready = false, 1, true);
}

#[test]
fn a_region_is_behind_that_is_so_for_a_while() {
    let told = &mut Told::new(false);
    check(told, |_| {}, 10, false);
    check(told, |told| told.input.durable = Some(110), 6, false);
    check(told, |_| {}, 1, true);
    let view = told.wait(1);
    assert_eq!(view.regions[1].state, TrafficState::Behind, "{view:?}");
    assert!(view.regions[1].why.contains("10 ledgers behind"), "{view:?}");
}

#[test]
fn who_begins_listens_first_and_who_hears_nobody_then_has_traffic() {
    let silent = |told: &mut Told| told.a().heard_ago = None;
    let told = &mut Told::new(false);
    check(told, silent, 3, false);
    check(told, |_| {}, 1, true);
    let view = told.wait(1);
    assert!(view.concerns[0].contains("b hears no other region (a)"), "{view:?}");
    // It was stopped for minutes: what it knew is old.
    let told = &mut Told::new(false);
    check(told, |_| {}, 10, false);
    let stopped = |told: &mut Told| {
        told.input.now = told.input.now.after(Duration::from_secs(300));
        told.a().heard_ago = Some(Duration::from_secs(300));
    };
    check(told, stopped, 3, false);
    check(told, |told| told.a().heard_ago = Some(Duration::ZERO), 10, false);
}

#[test]
fn a_planned_decision_waits_until_its_region_is_not_behind_and_a_forced_one_does_not() {
    let planned = |told: &mut Told| told.input.decision = Some(decision(1, Some("b"), false));
    let told = &mut Told::new(false);
    check(told, |_| {}, 10, false);
    check(told, |told| told.a().durable = Some(101), 1, false);
    check(told, planned, 5, false);
    check(told, |told| told.input.durable = Some(101), 1, true);
    let told = &mut Told::new(false);
    check(told, |_| {}, 10, false);
    check(told, |told| told.a().durable = Some(900), 10, false);
    check(told, |told| told.input.decision = Some(decision(1, Some("b"), true)), 1, true);
    // And back, by a decision of the other region that it hears of.
    let back = |told: &mut Told| told.a().decision = Some(decision(2, None, false));
    check(told, back, 1, true);
    check(told, |told| told.input.durable = Some(900), STABLE + 1, false);
}

#[test]
fn who_loses_traffic_by_a_decision_keeps_it_until_the_other_one_has_it() {
    let told = &mut Told::new(true);
    check(told, |told| (told.a().has, told.a().priority) = (false, 9), 10, true);
    check(told, |told| told.input.decision = Some(decision(1, Some("a"), false)), 10, true);
    // It has traffic for another reason, and has not heard of the decision.
    check(told, |told| told.a().has = true, 1, true);
    check(told, |told| told.a().decision = Some(decision(1, Some("a"), false)), 1, false);
    // Who was decided for is not well: priorities hold.
    check(told, |told| told.a().ready = false, 1, true);
    let view = told.wait(1);
    assert!(view.concerns.iter().any(|it| it.contains("belong to a, which is not_ready")), "{view:?}");
}

#[test]
fn regions_of_one_priority_have_traffic_together() {
    let told = &mut Told::new(false);
    check(told, |told| told.a().priority = 2, STABLE - 1, false);
    check(told, |_| {}, 3, true);
    check(told, |_| {}, 200, true);
    assert_eq!(told.wait(1).concerns, Vec::<String>::new());
    check(told, |told| told.a().priority = 3, 1, true);
    assert!(told.wait(1).concerns[0].contains("b and a have traffic at once"));
}
