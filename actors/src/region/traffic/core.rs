//! Decides, from one second to the next.

mod standing;

use std::collections::BTreeMap;
use std::time::Duration;

use orrery_supervisor::MonotonicTime;

use super::decisions::newer;
use super::view::{RegionTraffic, TrafficView};
use crate::region::report::{Decision, RegionName};
use standing::{Seen, Standing};

/// What holds for one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficSettings {
    /// Its name.
    pub region: RegionName,
    /// Traffic belongs to the healthy regions of the lowest one.
    pub priority: u32,
    /// Share of traffic among those of one priority; nothing is decided by it here.
    pub weight: u32,
    /// Who is further behind the best is not healthy.
    pub lag_max_ledgers: u32,
    /// Who was not heard for so long is not healthy.
    pub unheard_after: Duration,
    /// Who is behind for so long is: slots become durable in leaps, and not everywhere at the same moment.
    pub behind_after: Duration,
    /// Who was well for so long may have traffic that others have.
    pub stable: Duration,
}

/// What is known at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficInput {
    /// Of a clock that only goes forward.
    pub now: MonotonicTime,
    /// Whether this region's nodes may serve readers.
    pub ready: bool,
    /// The newest ledger that it has.
    pub durable: Option<u32>,
    /// All peers of the configuration.
    pub peers: Vec<TrafficPeer>,
    /// The newest decision that this region has stored.
    pub decision: Option<Decision>,
}

/// What was heard of another region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficPeer {
    /// Which.
    pub region: RegionName,
    /// How long ago; `None` for never.
    pub heard_ago: Option<Duration>,
    /// What it said then.
    pub priority: u32,
    /// What it said then.
    pub weight: u32,
    /// What it said then.
    pub ready: bool,
    /// What it said then.
    pub durable: Option<u32>,
    /// Whether it has traffic.
    pub has: bool,
    /// The newest decision that it knows.
    pub decision: Option<Decision>,
}

/// What a region knows about traffic.
#[derive(Clone, Debug)]
pub struct TrafficCore {
    settings: TrafficSettings,
    has: bool,
    /// When that became so.
    changed: Option<MonotonicTime>,
    /// The generation that held then.
    changed_under: u64,
    /// When it was asked last.
    stepped: Option<MonotonicTime>,
    /// Since when it listens, before it changes anything.
    listens: Option<MonotonicTime>,
    /// Since when nobody healthy has traffic.
    orphaned: Option<MonotonicTime>,
    seen: BTreeMap<RegionName, Seen>,
    decision: Option<Decision>,
    /// The newest decision that asks for nothing at once any more, and since when the one that holds is known.
    settled: u64,
    decided: Option<MonotonicTime>,
}

impl TrafficCore {
    /// Of a coordinator that becomes active in a region that `has` traffic, as its nodes were told before.
    pub fn new(settings: TrafficSettings, has: bool) -> Self {
        Self {
            settings,
            has,
            changed: None,
            changed_under: 0,
            stepped: None,
            listens: None,
            orphaned: None,
            seen: BTreeMap::new(),
            decision: None,
            settled: 0,
            decided: None,
        }
    }

    /// Whether this region has traffic, and how all are.
    pub fn step(&mut self, input: &TrafficInput) -> TrafficView {
        let now = input.now;
        let pause = self.stepped.map_or(Duration::MAX, |stepped| now.since(stepped));
        let begins = pause > self.settings.unheard_after;
        self.stepped = Some(now);
        self.hear_decisions(input);
        if begins {
            // It has heard nothing for a while, or nothing ever: what others do now it has to find out.
            (self.listens, self.orphaned, self.settled) = (Some(now), None, self.generation());
            if self.changed.is_none() {
                // Whether it took or kept traffic under this decision, it does not know.
                self.changed_under = self.generation();
            }
        }
        let standings =
            standing::of_all(&self.settings, &mut self.seen, self.has, self.decision.as_ref(), input);
        if self.is_listening(input) {
            self.settled = self.generation();
        } else {
            let has = self.judge(&standings, input);
            if has != self.has || self.changed.is_none() {
                (self.has, self.changed, self.changed_under) = (has, Some(now), self.generation());
            }
        }
        self.view(&standings, now)
    }

    /// Until all were heard, or who was not is given up.
    fn is_listening(&mut self, input: &TrafficInput) -> bool {
        let after = self.settings.unheard_after;
        let is_heard = |peer: &TrafficPeer| peer.heard_ago.is_some_and(|ago| ago < after);
        let is_over =
            |since: &MonotonicTime| input.now.since(*since) >= after || input.peers.iter().all(is_heard);
        self.listens = self.listens.filter(|since| !is_over(since));
        self.listens.is_some()
    }

    fn hear_decisions(&mut self, input: &TrafficInput) {
        let heard = input.peers.iter().filter_map(|peer| peer.decision.as_ref());
        for decision in heard.chain(&input.decision) {
            let held = self.decision.as_ref();
            if held.is_none_or(|held| held != decision && newer(held, decision) == decision) {
                self.decision = Some(decision.clone());
                self.decided = Some(input.now);
            }
        }
    }

    fn generation(&self) -> u64 {
        self.decision.as_ref().map_or(0, |decision| decision.generation)
    }

    /// Whether this region is to have traffic now.
    fn judge(&mut self, standings: &[Standing], input: &TrafficInput) -> bool {
        let Some((own, peers)) = standings.split_first() else { return self.has };
        let has_somebody = standings.iter().any(|region| region.has && region.state.is_healthy());
        if has_somebody {
            self.orphaned = None;
            match self.has {
                true => !self.gives_up(own, peers, input),
                false => self.takes(own, peers, input),
            }
        } else {
            let since = *self.orphaned.get_or_insert(input.now);
            self.has || self.steps_in(own, standings, input.now.since(since))
        }
    }

    /// Nobody healthy has traffic.
    fn steps_in(&self, own: &Standing, standings: &[Standing], orphaned_for: Duration) -> bool {
        let best =
            standings.iter().filter(|region| region.state.is_healthy()).map(|region| region.rank).min();
        match best {
            Some(best) if own.state.is_healthy() && own.rank <= best => true,
            // Who should has not: it may not hear what this region hears.
            Some(_) => own.state.is_healthy() && orphaned_for >= self.settings.unheard_after * 2,
            // Nobody is well: late ledgers are better than none.
            None => own.is_ready,
        }
    }

    /// Others have traffic, and this region has not.
    fn takes(&mut self, own: &Standing, peers: &[Standing], input: &TrafficInput) -> bool {
        if self.follows_decision(own, peers, input) {
            self.settled = self.generation();
            return true;
        }
        let is_better = |peer: &Standing| {
            let counts = peer.has && peer.state.is_healthy() || peer.is_stable();
            counts && peer.rank < own.rank
        };
        let may = !own.is_wanted || self.is_level(own, peers);
        may && own.is_stable() && !peers.iter().any(is_better)
    }

    /// Whether this region has all that it heard of others, or that does not matter to who decided.
    fn is_level(&self, own: &Standing, peers: &[Standing]) -> bool {
        let heard = peers.iter().filter(|peer| peer.is_heard).filter_map(|peer| peer.durable).max();
        self.decision.as_ref().is_some_and(|decision| decision.forced) || own.durable >= heard
    }

    /// A person has just decided that traffic belongs here. What it waits for is that this region is not behind.
    fn follows_decision(&self, own: &Standing, peers: &[Standing], input: &TrafficInput) -> bool {
        let is_new = self.generation() > self.settled
            && self.decided.is_some_and(|decided| {
                input.now.since(decided) <= self.settings.stable.max(self.settings.behind_after)
            });
        // Where it is forced, it counts as healthy when it is ready.
        is_new && own.is_wanted && own.state.is_healthy() && self.is_level(own, peers)
    }

    /// This region has traffic. Whether another one has it in its place.
    fn gives_up(&self, own: &Standing, peers: &[Standing], input: &TrafficInput) -> bool {
        let serving = || peers.iter().filter(|peer| peer.has && peer.state.is_healthy());
        let is_new = self.generation() > self.changed_under;
        // It has followed the decision, as this region does.
        if is_new
            && !own.is_wanted
            && serving().any(|peer| peer.is_wanted && peer.generation >= self.generation())
        {
            return true;
        }
        let held = self.changed.is_none_or(|changed| input.now.since(changed) >= self.settings.stable);
        let is_worse = |peer: &Standing| peer.rank < own.rank || !own.state.is_healthy();
        // What it said before it heard of the decision may be over by now.
        let counts = |peer: &Standing| held || is_new && peer.generation >= self.generation();
        serving().any(|peer| peer.is_stable() && is_worse(peer) && counts(peer))
    }

    fn view(&self, standings: &[Standing], now: MonotonicTime) -> TrafficView {
        let since = self.changed.map_or(Duration::ZERO, |changed| now.since(changed));
        let mut regions: Vec<RegionTraffic> = standings.iter().map(Standing::shown).collect();
        if let Some(own) = regions.first_mut() {
            own.has = self.has;
        }
        TrafficView {
            region: self.settings.region.clone(),
            has: self.has,
            since_seconds: since.as_secs(),
            decision: self.decision.clone(),
            concerns: self.concerns(standings),
            regions,
        }
    }

    /// What is not as it should be.
    fn concerns(&self, standings: &[Standing]) -> Vec<String> {
        let Some((own, peers)) = standings.split_first() else { return Vec::new() };
        let mut concerns = Vec::new();
        let of = |state: fn(&Standing) -> bool| {
            let found: Vec<_> =
                peers.iter().filter(|peer| state(peer)).map(|peer| peer.region.as_str()).collect();
            found.join(", ")
        };
        let is_alone = !peers.is_empty() && peers.iter().all(|peer| !peer.is_heard);
        if is_alone {
            let (all, own) = (of(|_| true), &own.region);
            concerns
                .push(format!("{own} hears no other region ({all}): it may be cut off, or they may be gone"));
        }
        let serving = standings
            .iter()
            .filter(|region| if region.is_own { self.has } else { region.has && region.is_heard });
        let ranks: Vec<_> = serving.map(|region| (region.rank, region.region.as_str())).collect();
        let is_split = ranks.iter().any(|(rank, _)| ranks.first().is_some_and(|(first, _)| rank != first));
        if is_split {
            let names: Vec<_> = ranks.iter().map(|(_, name)| *name).collect();
            concerns.push(format!(
                "{} have traffic at once: what they serve is equal, and it ends when all hear each other",
                names.join(" and ")
            ));
        }
        if ranks.is_empty() && self.listens.is_none() {
            concerns.push("no region that is heard has traffic".to_owned());
        }
        let decision = self.decision.as_ref().and_then(|decision| decision.to.as_ref());
        let wanted = decision.map(|to| (to, standings.iter().find(|region| region.region == *to)));
        match wanted {
            Some((to, None)) => concerns.push(format!(
                "traffic was decided to belong to {to}, which is no region here: `orrery failover` to another one, or --automatic"
            )),
            Some((to, Some(region))) if !region.state.is_healthy() => concerns.push(format!(
                "traffic was decided to belong to {to}, which is {}: priorities hold until it is well",
                region.state
            )),
            _ => {}
        }
        concerns
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
