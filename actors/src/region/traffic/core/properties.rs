//! Regions that hear each other as chance has it: reports are lost, links break one way, regions stop, begin anew and lag,
//! clocks leap, people decide.

use proptest::prelude::*;

use super::tests::{name, settings};
use super::*;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Priorities of the three.
const PRIORITIES: [[u32; 3]; 3] = [[1, 2, 3], [1, 1, 2], [1, 1, 1]];

/// What happens in a second.
#[derive(Clone, Debug)]
enum Fault {
    /// One hears another, or does not any more.
    Link {
        from: usize,
        to: usize,
        is_up: bool,
    },
    Ready(usize, bool),
    /// It makes no ledgers, or does again.
    Works(usize, bool),
    /// It does nothing at all for so many seconds.
    Stops(usize, u64),
    /// Its clock leaps ahead, as after a sleep of the machine.
    Leaps(usize, u64),
    /// Another of its nodes coordinates.
    Begins(usize),
    Decides {
        by: usize,
        to: Option<usize>,
        forced: bool,
    },
    /// Nothing for so many seconds.
    Waits(u64),
}

fn fault(with_decisions: bool) -> impl Strategy<Value = Fault> {
    let decides = (0..3_usize, prop::option::of(0..3_usize), any::<bool>())
        .prop_map(|(by, to, forced)| Fault::Decides { by, to, forced });
    let weight = if with_decisions { 2 } else { 0 };
    prop_oneof![
        6 => (0..3_usize, 0..3_usize, any::<bool>()).prop_map(|(from, to, is_up)| Fault::Link { from, to, is_up }),
        3 => (0..3_usize, any::<bool>()).prop_map(|(at, is)| Fault::Ready(at, is)),
        3 => (0..3_usize, any::<bool>()).prop_map(|(at, is)| Fault::Works(at, is)),
        1 => (0..3_usize, 1..200_u64).prop_map(|(at, seconds)| Fault::Stops(at, seconds)),
        1 => (0..3_usize, 1..10_000_u64).prop_map(|(at, seconds)| Fault::Leaps(at, seconds)),
        1 => (0..3_usize).prop_map(Fault::Begins),
        weight => decides,
        6 => (1..90_u64).prop_map(Fault::Waits),
    ]
}

struct Region {
    core: TrafficCore,
    now: MonotonicTime,
    ready: bool,
    works: bool,
    stops_for: u64,
    durable: u32,
    view: TrafficView,
    /// What it heard of each, and when by its own clock.
    heard: [Option<(TrafficPeer, MonotonicTime)>; 3],
    stored: Option<Decision>,
    /// When it lost traffic, by its own clock, and under which generation.
    losses: Vec<(MonotonicTime, u64)>,
}

struct World {
    regions: Vec<Region>,
    is_up: [[bool; 3]; 3],
    tip: u32,
}

impl World {
    fn new(priorities: [u32; 3]) -> Self {
        let region = |at: usize| {
            let mut core = TrafficCore::new(settings(NAMES[at], priorities[at]), false);
            let now = MonotonicTime::ORIGIN;
            let nothing =
                TrafficInput { now, ready: false, durable: None, peers: Vec::new(), decision: None };
            let view = core.step(&nothing);
            let core = TrafficCore::new(settings(NAMES[at], priorities[at]), false);
            let heard = [None, None, None];
            let (ready, works, stops_for, durable) = (true, true, 0, 100);
            Region {
                core,
                now,
                ready,
                works,
                stops_for,
                durable,
                view,
                heard,
                stored: None,
                losses: Vec::new(),
            }
        };
        Self { regions: (0..3).map(region).collect(), is_up: [[true; 3]; 3], tip: 100 }
    }

    fn take(&mut self, fault: &Fault) {
        match *fault {
            Fault::Link { from, to, is_up } => self.is_up[from][to] = is_up,
            Fault::Ready(at, ready) => self.regions[at].ready = ready,
            Fault::Works(at, works) => self.regions[at].works = works,
            Fault::Stops(at, seconds) => self.regions[at].stops_for = seconds,
            Fault::Leaps(at, seconds) => {
                let region = &mut self.regions[at];
                region.now = region.now.after(Duration::from_secs(seconds));
            }
            Fault::Begins(at) => {
                let region = &mut self.regions[at];
                region.core = TrafficCore::new(region.core.settings.clone(), region.view.has);
                region.heard = [None, None, None];
            }
            Fault::Decides { by, to, forced } => {
                let region = &mut self.regions[by];
                let generation = region.core.generation() + 1;
                let to = to.map(|to| name(NAMES[to]));
                let reason = String::new();
                region.stored = Some(Decision { generation, to, forced, by: NAMES[by].to_owned(), reason });
            }
            Fault::Waits(seconds) => (1..seconds).for_each(|_| self.second()),
        }
        self.second();
    }

    fn report(&self, at: usize) -> TrafficPeer {
        let region = &self.regions[at];
        TrafficPeer {
            region: name(NAMES[at]),
            heard_ago: None,
            priority: region.core.settings.priority,
            weight: 100,
            ready: region.ready,
            durable: Some(region.durable),
            has: region.view.has,
            decision: region.view.decision.clone(),
        }
    }

    /// One second: ledgers close, reports are heard, every region decides.
    fn second(&mut self) {
        self.tip += 1;
        let reports: Vec<TrafficPeer> = (0..3).map(|at| self.report(at)).collect();
        let answers: Vec<bool> = self.regions.iter().map(|region| region.stops_for == 0).collect();
        for at in 0..3 {
            let up = self.is_up[at];
            let region = &mut self.regions[at];
            region.now = region.now.after(Duration::from_secs(1));
            if region.stops_for > 0 {
                region.stops_for -= 1;
                continue;
            }
            if region.works {
                // It catches up faster than ledgers close.
                region.durable = self.tip.min(region.durable + 50);
            }
            for other in (0..3).filter(|other| *other != at && answers[*other] && up[*other]) {
                region.heard[other] = Some((reports[other].clone(), region.now));
            }
            region.decide(at);
        }
    }

    fn has(&self) -> Vec<usize> {
        (0..3).filter(|at| self.regions[*at].view.has).collect()
    }
}

impl Region {
    fn decide(&mut self, at: usize) {
        let peer = |other: usize| match &self.heard[other] {
            Some((peer, heard)) => TrafficPeer { heard_ago: Some(self.now.since(*heard)), ..peer.clone() },
            None => TrafficPeer {
                region: name(NAMES[other]),
                heard_ago: None,
                priority: 0,
                weight: 0,
                ready: false,
                durable: None,
                has: false,
                decision: None,
            },
        };
        let peers: Vec<_> = (0..3).filter(|other| *other != at).map(peer).collect();
        let had = self.view.has;
        let (ready, durable) = (self.ready, Some(self.durable));
        let input = TrafficInput { now: self.now, ready, durable, peers, decision: self.stored.clone() };
        self.view = self.core.step(&input);
        self.stored.clone_from(&self.view.decision);
        let generation = self.core.generation();
        if had && !self.view.has {
            self.check_loss(generation);
        }
        if !had && self.view.has {
            self.check_gain(&input);
        }
        self.check_alone(&input);
    }

    /// Between two losses that no new decision explains lies the time in which a region becomes stable.
    fn check_loss(&mut self, generation: u64) {
        if let Some((last, under)) = self.losses.last() {
            let stable = self.core.settings.stable;
            assert!(self.now.since(*last) >= stable || generation > *under, "it flaps");
        }
        self.losses.push((self.now, generation));
    }

    /// Who takes traffic because of a planned decision, from somebody who is well and has it, is not behind.
    fn check_gain(&self, input: &TrafficInput) {
        let decision = self.view.decision.as_ref().filter(|decision| !decision.forced);
        if decision.is_none_or(|decision| decision.to.as_ref() != Some(&self.core.settings.region)) {
            return;
        }
        let after = self.core.settings.unheard_after;
        let heard = input.peers.iter().filter(|peer| peer.heard_ago.is_some_and(|ago| ago < after));
        let best = heard.clone().filter_map(|peer| peer.durable).max();
        let is_well = |peer: &TrafficPeer| peer.has && peer.ready && peer.durable == best;
        assert!(input.durable >= best || !heard.clone().any(is_well), "{input:?}");
    }

    /// Who is ready and hears nobody has traffic, once it has listened.
    fn check_alone(&self, input: &TrafficInput) {
        let after = self.core.settings.unheard_after;
        let hears_nobody = input.peers.iter().all(|peer| peer.heard_ago.is_none_or(|ago| ago >= after));
        if hears_nobody && input.ready && self.core.listens.is_none() {
            assert!(self.view.has, "{:?}", self.view);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn regions_do_not_flap_and_agree_when_all_is_well_again(
        priorities in prop::sample::select(&PRIORITIES[..]),
        faults in prop::collection::vec(fault(false), 1..40),
    ) {
        let mut world = World::new(priorities);
        faults.iter().for_each(|fault| world.take(fault));
        heal(&mut world);
        let best = *priorities.iter().min().unwrap();
        let expected: Vec<usize> = (0..3).filter(|at| priorities[*at] == best).collect();
        prop_assert_eq!(world.has(), expected);
    }

    #[test]
    fn decisions_reach_all_and_never_move_traffic_to_who_is_behind_unless_forced(
        priorities in prop::sample::select(&PRIORITIES[..]),
        faults in prop::collection::vec(fault(true), 1..40),
    ) {
        let mut world = World::new(priorities);
        faults.iter().for_each(|fault| world.take(fault));
        heal(&mut world);
        let decisions: Vec<_> = world.regions.iter().map(|region| region.view.decision.clone()).collect();
        prop_assert!(decisions.iter().all(|decision| *decision == decisions[0]), "{decisions:?}");
        let wanted = decisions[0].as_ref().and_then(|decision| decision.to.as_ref());
        let best = *priorities.iter().min().unwrap();
        let expected: Vec<usize> = match wanted {
            Some(to) => (0..3).filter(|at| NAMES[*at] == to.as_str()).collect(),
            None => (0..3).filter(|at| priorities[*at] == best).collect(),
        };
        prop_assert_eq!(world.has(), expected);
    }
}

/// All is well, for as long as it takes a region to become stable twice, and some seconds.
fn heal(world: &mut World) {
    world.is_up = [[true; 3]; 3];
    for region in &mut world.regions {
        (region.ready, region.works, region.stops_for) = (true, true, 0);
    }
    // Catching up comes first.
    let behind = world.regions.iter().map(|region| world.tip - region.durable).max().unwrap_or(0);
    let rounds = u64::from(behind) / 49 + 10 + 2 * 60 + 10;
    (0..rounds).for_each(|_| world.second());
}
