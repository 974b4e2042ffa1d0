//! How regions are, as one of them sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use orrery_supervisor::MonotonicTime;

use super::{TrafficInput, TrafficPeer, TrafficSettings};
use crate::region::report::{Decision, RegionName};
use crate::region::traffic::view::{RegionTraffic, TrafficState};

/// Before all priorities: where a person decided that traffic belongs.
const RANK_WANTED: u64 = 0;

/// What is remembered of a region.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Since when it is healthy without a break.
    healthy: Option<MonotonicTime>,
    /// Since when it is behind without a break.
    behind: Option<MonotonicTime>,
}

/// One region now.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) region: RegionName,
    pub(super) is_own: bool,
    pub(super) is_heard: bool,
    pub(super) is_ready: bool,
    pub(super) durable: Option<u32>,
    pub(super) state: TrafficState,
    /// Whether it has traffic, as it said last.
    pub(super) has: bool,
    /// Whether the decision that holds names it.
    pub(super) is_wanted: bool,
    /// Of the newest decision that it knows.
    pub(super) generation: u64,
    /// The lower, the better; of who was never heard, that of nobody.
    pub(super) rank: u64,
    priority: u32,
    weight: u32,
    is_known: bool,
    why: String,
}

impl Standing {
    pub(super) fn is_stable(&self) -> bool {
        self.state == TrafficState::Stable
    }

    pub(super) fn shown(&self) -> RegionTraffic {
        RegionTraffic {
            region: self.region.clone(),
            priority: self.is_known.then_some(self.priority),
            weight: self.is_known.then_some(self.weight),
            has: self.has,
            state: self.state,
            why: self.why.clone(),
        }
    }
}

/// This region, then its peers.
pub(super) fn of_all(
    settings: &TrafficSettings,
    seen: &mut BTreeMap<RegionName, Seen>,
    has: bool,
    decision: Option<&Decision>,
    input: &TrafficInput,
) -> Vec<Standing> {
    let own = TrafficPeer {
        region: settings.region.clone(),
        heard_ago: Some(Duration::ZERO),
        priority: settings.priority,
        weight: settings.weight,
        ready: input.ready,
        durable: input.durable,
        has,
        decision: decision.cloned(),
    };
    let is_heard = |peer: &TrafficPeer| peer.heard_ago.is_some_and(|ago| ago < settings.unheard_after);
    let all = || [&own].into_iter().chain(&input.peers);
    let best = all().filter(|peer| is_heard(peer)).filter_map(|peer| peer.durable).max();
    let of = |(at, peer): (usize, &TrafficPeer)| {
        let wanted = decision.filter(|decision| decision.to.as_ref() == Some(&peer.region));
        let remembered = seen.entry(peer.region.clone()).or_default();
        let lag = best.unwrap_or(0).saturating_sub(peer.durable.unwrap_or(0));
        // Where a person has decided it in any case, it does not count.
        let lag = if wanted.is_some_and(|decision| decision.forced) { 0 } else { lag };
        let (state, why) = remembered.look(settings, peer, is_heard(peer), lag, input.now);
        Standing {
            region: peer.region.clone(),
            is_own: at == 0,
            is_heard: is_heard(peer),
            is_ready: peer.ready && is_heard(peer),
            durable: peer.durable,
            state,
            has: peer.has,
            is_wanted: wanted.is_some(),
            generation: peer.decision.as_ref().map_or(0, |decision| decision.generation),
            rank: if wanted.is_some() { RANK_WANTED } else { 1 + u64::from(peer.priority) },
            priority: peer.priority,
            weight: peer.weight,
            is_known: peer.heard_ago.is_some(),
            why,
        }
    };
    all().enumerate().map(of).collect()
}

impl Seen {
    /// How a region is, and why it is not well.
    fn look(
        &mut self,
        settings: &TrafficSettings,
        peer: &TrafficPeer,
        is_heard: bool,
        lag: u32,
        now: MonotonicTime,
    ) -> (TrafficState, String) {
        let is_late = lag > settings.lag_max_ledgers;
        self.behind = self.behind.or(Some(now)).filter(|_| is_late && is_heard);
        let late_for = self.behind.map_or(Duration::ZERO, |since| now.since(since));
        // Who was never well has not fallen behind for a moment: it has to catch up first.
        let is_behind = is_late && (late_for >= settings.behind_after || self.healthy.is_none());
        let found = if !is_heard {
            let why = match peer.heard_ago {
                Some(ago) => format!("not heard for {} s", ago.as_secs()),
                None => "not heard yet".to_owned(),
            };
            Some((TrafficState::Unheard, why))
        } else if !peer.ready {
            Some((TrafficState::NotReady, "it says that it is not ready".to_owned()))
        } else if is_behind {
            Some((TrafficState::Behind, format!("{lag} ledgers behind the best that is heard")))
        } else {
            None
        };
        self.healthy = self.healthy.or(Some(now)).filter(|_| found.is_none());
        let healthy_for = self.healthy.map_or(Duration::ZERO, |since| now.since(since));
        found.unwrap_or_else(|| match settings.stable.saturating_sub(healthy_for) {
            Duration::ZERO => (TrafficState::Stable, String::new()),
            left => (TrafficState::Stabilising, format!("well, and stable in {} s", left.as_secs() + 1)),
        })
    }
}
