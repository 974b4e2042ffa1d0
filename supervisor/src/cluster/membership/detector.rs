//! When a silent node is suspected, and when it is out: phi accrual within bounds, on a clock that only counts the time in
//! which this node was able to listen.
//!
//! A node's heartbeat is a number that it raises; nodes tell each other the highest they know. Phi is the time since a
//! node's number last rose, in mean intervals between such rises. Phi alone would suspect within half a second on a quiet
//! machine and take ten on a busy one; the bounds make both what was promised: suspected within 2 s, out within 3 s.
//!
//! A node that was itself paused or starved heard nobody, and must not conclude that all others are dead: of a gap between
//! two of its looks, no more than [`Timings::gap_max`] counts as silence.

use std::collections::BTreeMap;
use std::time::Duration;

use super::members::MemberState;
use super::settings::Timings;
use crate::clock::MonotonicTime;
use crate::cluster::NodeIdentity;

/// The phi at which a node is suspected, if the bounds allow. Eight means that it has been silent for eight times what is
/// usual; with rises every 0.1 s, the lower bound decides, with rises every 0.2 s the upper one.
const PHI_SUSPECT: f64 = 8.0;

/// Weight of the newest interval in the mean: about the last twenty count.
const NEWEST_WEIGHT: f64 = 0.1;

/// Rises that show a node to be alive that was not thought so. One may be old news that only now came by a third node.
const PROOF: u32 = 2;

/// What is thought of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Heard of, but not yet known to be alive.
    Unproven,
    /// In the cluster.
    In(MemberState),
    /// It was in the cluster and has been silent for too long.
    Out,
}

#[derive(Debug)]
struct Heard {
    heartbeat: u64,
    /// On the clock of listening.
    risen_at: Duration,
    mean_interval: f64,
    /// Rises since it was last not alive.
    rises: u32,
    standing: Standing,
}

/// What this node has heard of the others. One owner looks at the gossip again and again and tells it.
#[derive(Debug)]
pub struct Detector {
    timings: Timings,
    last_look: Option<MonotonicTime>,
    listened: Duration,
    nodes: BTreeMap<NodeIdentity, Heard>,
}

impl Detector {
    /// Nobody is known yet.
    pub const fn new(timings: Timings) -> Self {
        Self { timings, last_look: None, listened: Duration::ZERO, nodes: BTreeMap::new() }
    }

    /// Takes what gossip knows now: every node with its heartbeat. Who is no longer listed is forgotten.
    pub fn look(&mut self, now: MonotonicTime, heartbeats: impl IntoIterator<Item = (NodeIdentity, u64)>) {
        let gap = self.last_look.map_or(Duration::ZERO, |last| now.since(last));
        self.last_look = Some(now);
        self.listened += gap.min(self.timings.gap_max);
        let mut before = std::mem::take(&mut self.nodes);
        for (identity, heartbeat) in heartbeats {
            let heard = match before.remove(&identity) {
                Some(mut heard) => {
                    heard.update(heartbeat, self.listened, &self.timings);
                    heard
                }
                None => Heard::first(heartbeat, self.listened, &self.timings),
            };
            self.nodes.insert(identity, heard);
        }
    }

    /// What is thought of a node.
    pub fn standing(&self, identity: &NodeIdentity) -> Standing {
        self.nodes.get(identity).map_or(Standing::Unproven, |heard| heard.standing)
    }
}

impl Heard {
    const fn first(heartbeat: u64, listened: Duration, timings: &Timings) -> Self {
        Self {
            heartbeat,
            risen_at: listened,
            mean_interval: timings.gossip_interval.as_secs_f64(),
            rises: 0,
            standing: Standing::Unproven,
        }
    }

    fn update(&mut self, heartbeat: u64, listened: Duration, timings: &Timings) {
        let silence = listened.saturating_sub(self.risen_at);
        if heartbeat > self.heartbeat {
            if matches!(self.standing, Standing::In(_)) {
                self.mean_interval += NEWEST_WEIGHT * (silence.as_secs_f64() - self.mean_interval);
            }
            self.heartbeat = heartbeat;
            self.risen_at = listened;
            self.rises = self.rises.saturating_add(1);
            if matches!(self.standing, Standing::In(_)) || self.rises >= PROOF {
                self.standing = Standing::In(MemberState::Alive);
            }
            return;
        }
        match self.standing {
            Standing::In(_) if silence >= timings.out_after => {
                *self =
                    Self { standing: Standing::Out, ..Self::first(self.heartbeat, self.risen_at, timings) };
            }
            Standing::In(_) if silence >= self.suspect_after(timings) => {
                self.standing = Standing::In(MemberState::Suspect);
            }
            Standing::In(_) => {}
            // Rises that lie far apart prove nothing.
            Standing::Unproven | Standing::Out if silence >= timings.out_after => self.rises = 0,
            Standing::Unproven | Standing::Out => {}
        }
    }

    fn suspect_after(&self, timings: &Timings) -> Duration {
        let usual = Duration::try_from_secs_f64(self.mean_interval * PHI_SUSPECT).unwrap_or(Duration::MAX);
        usual.clamp(timings.suspect_after_min, timings.suspect_after_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(100);

    struct Bench {
        detector: Detector,
        now: MonotonicTime,
        heartbeat: u64,
    }

    fn node() -> NodeIdentity {
        "a.1".parse().unwrap()
    }

    impl Bench {
        fn new() -> Self {
            let detector = Detector::new(Timings::default());
            Self { detector, now: MonotonicTime::ORIGIN, heartbeat: 7 }
        }

        fn look_after(&mut self, duration: Duration) -> Standing {
            self.now = self.now.after(duration);
            self.detector.look(self.now, [(node(), self.heartbeat)]);
            self.detector.standing(&node())
        }

        fn alive() -> Self {
            let mut bench = Self::new();
            for _ in 0..30 {
                bench.look_after(STEP);
                bench.heartbeat += 1;
            }
            assert_eq!(bench.look_after(STEP), Standing::In(MemberState::Alive));
            bench
        }

        /// How long it is silent until it stands so.
        fn silence_until(&mut self, standing: Standing) -> Duration {
            let begin = self.now;
            while self.look_after(STEP) != standing {
                assert!(self.now.since(begin) < Duration::from_secs(60), "never {standing:?}");
            }
            self.now.since(begin)
        }
    }

    #[test]
    fn a_node_is_alive_when_its_heartbeat_rose_twice() {
        let mut bench = Bench::new();
        assert_eq!(bench.look_after(STEP), Standing::Unproven);
        bench.heartbeat += 100;
        assert_eq!(bench.look_after(STEP), Standing::Unproven);
        assert_eq!(bench.look_after(STEP), Standing::Unproven);
        bench.heartbeat += 1;
        assert_eq!(bench.look_after(STEP), Standing::In(MemberState::Alive));
    }

    #[test]
    fn a_silent_node_is_suspected_and_then_out_within_the_bounds() {
        let timings = Timings::default();
        let mut bench = Bench::alive();
        let suspected = bench.silence_until(Standing::In(MemberState::Suspect));
        assert!((timings.suspect_after_min..=timings.suspect_after_max + STEP).contains(&suspected));
        let out = suspected + bench.silence_until(Standing::Out);
        assert!((timings.out_after..=timings.out_after + STEP).contains(&out), "{out:?}");
    }

    #[test]
    fn irregular_heartbeats_make_it_more_patient_up_to_the_bound() {
        let timings = Timings::default();
        let mut bench = Bench::alive();
        for _ in 0..100 {
            for _ in 0..5 {
                assert_eq!(bench.look_after(STEP), Standing::In(MemberState::Alive));
            }
            bench.heartbeat += 1;
        }
        bench.look_after(STEP);
        let suspected = bench.silence_until(Standing::In(MemberState::Suspect));
        assert!(
            (timings.suspect_after_max..=timings.suspect_after_max + STEP).contains(&suspected),
            "{suspected:?}"
        );
    }

    #[test]
    fn a_suspected_node_is_alive_again_with_one_heartbeat_and_an_ousted_one_with_two() {
        let mut bench = Bench::alive();
        bench.silence_until(Standing::In(MemberState::Suspect));
        bench.heartbeat += 1;
        assert_eq!(bench.look_after(STEP), Standing::In(MemberState::Alive));
        bench.silence_until(Standing::Out);
        bench.heartbeat += 1;
        assert_eq!(bench.look_after(STEP), Standing::Out, "one rise may be old news");
        bench.heartbeat += 1;
        assert_eq!(bench.look_after(STEP), Standing::In(MemberState::Alive));
    }

    #[test]
    fn rises_that_lie_far_apart_prove_nothing() {
        let mut bench = Bench::alive();
        bench.silence_until(Standing::Out);
        for _ in 0..5 {
            bench.heartbeat += 1;
            for _ in 0..50 {
                assert_eq!(bench.look_after(STEP), Standing::Out);
            }
        }
    }

    #[test]
    fn a_node_that_was_paused_itself_does_not_think_that_the_others_died() {
        let mut bench = Bench::alive();
        assert_eq!(bench.look_after(Duration::from_secs(3600)), Standing::In(MemberState::Alive));
        bench.heartbeat += 1;
        assert_eq!(bench.look_after(STEP), Standing::In(MemberState::Alive));
    }

    #[test]
    fn a_node_that_is_no_longer_listed_is_forgotten() {
        let mut bench = Bench::alive();
        bench.detector.look(bench.now, []);
        assert_eq!(bench.detector.standing(&node()), Standing::Unproven);
        assert!(bench.detector.nodes.is_empty());
    }
}
