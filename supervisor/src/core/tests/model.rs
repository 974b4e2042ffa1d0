//! Random failures against a model that knows nothing of how the core works: it counts restarts in a list of times, and
//! keeps for each child whether it lives and whether it must go.
//!
//! The world between the two answers late, in any order, or not at all: starts fail, stops hang, killed actors stay.

use super::*;
use crate::backoff::Backoff;
use crate::random::SeededRandom;

const TRACES: u64 = 10_000;
const STEPS: u64 = 60;

/// What the model knows of one child.
#[derive(Clone, Debug, Default)]
struct Expected {
    /// Its factory or its actor runs.
    lives: bool,
    started: bool,
    /// It is to be stopped: how it ends does not count.
    must_go: bool,
    incarnation: u64,
    next: u64,
}

struct Model {
    strategy: Strategy,
    max: usize,
    period: Duration,
    restarts: Vec<MonotonicTime>,
    children: Vec<Expected>,
    escalated: bool,
}

impl Model {
    /// The life of a child, or the attempt to start one, is over.
    fn over(&mut self, index: usize, now: MonotonicTime) {
        let child = &mut self.children[index];
        (child.lives, child.started) = (false, false);
        if std::mem::take(&mut child.must_go) || self.escalated {
            return;
        }
        self.restarts.push(now);
        let recent = self.restarts.iter().filter(|time| now.since(**time) <= self.period).count();
        self.escalated = recent > self.max;
        if self.escalated {
            self.children.iter_mut().for_each(|child| child.must_go = child.lives);
            return;
        }
        let first = if self.strategy == Strategy::OneForAll { 0 } else { index };
        let last = if self.strategy == Strategy::OneForOne { index } else { self.children.len() - 1 };
        let next = 1 + (first..=last).map(|member| self.children[member].incarnation).max().unwrap();
        for member in &mut self.children[first..=last] {
            member.next = next;
            member.must_go = member.lives;
        }
    }

    /// A start may begin: nothing that it depends on is missing, nothing of an old life runs beside it.
    fn begin(&mut self, index: usize, incarnation: u64) {
        assert!(!self.escalated, "a start after giving up");
        assert!(self.children.iter().all(|child| !child.lives || child.started), "two starts at a time");
        assert!(!self.children[index].lives, "two lives at a time");
        assert_eq!(incarnation, self.children[index].next);
        if self.strategy != Strategy::OneForOne {
            let (before, after) = self.children.split_at(index);
            assert!(before.iter().all(|child| child.started && !child.must_go), "a sibling is missing");
            assert!(after.iter().all(|child| !child.lives), "a sibling of an old life");
        }
        let child = &mut self.children[index];
        (child.lives, child.incarnation) = (true, incarnation);
    }

    /// A stop may begin: it was due, and whoever comes later is gone.
    fn stop(&self, index: usize) {
        assert!(self.children[index].must_go, "stopped without reason");
        let later = &self.children[index + 1..];
        assert!(later.iter().all(|child| !(child.lives && child.must_go)), "not in reverse");
    }
}

struct World {
    core: SupervisorCore,
    model: Model,
    random: SeededRandom,
    jitter: SeededRandom,
    now: MonotonicTime,
    timers: Vec<(MonotonicTime, Timer)>,
    /// Asked to stop, or killed: they answer when they like.
    stopping: Vec<(ChildId, u64, ExitReason)>,
    finished: Option<ExitReason>,
    lives_left_behind: u32,
}

fn id(index: usize) -> ChildId {
    ChildId::from(format!("{index}"))
}

fn index(id: &ChildId) -> usize {
    id.as_str().parse().unwrap()
}

impl World {
    fn new(strategy: Strategy, seed: u64) -> Self {
        let mut random = SeededRandom::new(seed);
        let count = 1 + random.draw() % 5;
        let max = random.draw() % 12;
        let period = Duration::from_millis(100 + random.draw() % 20_000);
        let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(16)).unwrap();
        let children = (0..count).map(|index| ChildRules {
            backoff: random.draw().is_multiple_of(2).then_some(backoff),
            shutdown: if random.draw().is_multiple_of(4) {
                Shutdown::Kill
            } else {
                Shutdown::Within(secs(1))
            },
            ..rules(&index.to_string())
        });
        let intensity = RestartIntensity::new(u32::try_from(max).unwrap(), period).unwrap();
        let rules = CoreRules { path: "root".into(), strategy, intensity, end_when: EndWhen::Told };
        let core = SupervisorCore::new(rules, children.collect(), MonotonicTime::ORIGIN);
        let expected = Expected { next: 1, ..Expected::default() };
        let model = Model {
            strategy,
            max: usize::try_from(max).unwrap(),
            period,
            restarts: Vec::new(),
            children: vec![expected; usize::try_from(count).unwrap()],
            escalated: false,
        };
        let jitter = SeededRandom::new(seed);
        let (timers, stopping) = (Vec::new(), Vec::new());
        let now = MonotonicTime::ORIGIN;
        Self { core, model, random, jitter, now, timers, stopping, finished: None, lives_left_behind: 0 }
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.random.draw().is_multiple_of(count)
    }

    fn tell(&mut self, event: Event) {
        let jitter = &mut self.jitter;
        let actions = self.core.step(event, self.now, &mut || jitter.draw());
        assert!(self.finished.is_none() || actions.is_empty(), "{actions:?} after the end");
        for action in actions {
            match action {
                Action::Start { child, incarnation } => self.model.begin(index(&child), incarnation),
                Action::Stop { child, incarnation } => {
                    self.model.stop(index(&child));
                    self.stopping.push((child, incarnation, ExitReason::Shutdown));
                }
                Action::Kill { child, incarnation } => {
                    self.model.stop(index(&child));
                    self.stopping.retain(|(stopping, _, _)| *stopping != child);
                    self.stopping.push((child, incarnation, ExitReason::Killed));
                }
                Action::Abandon { child, .. } => {
                    self.lives_left_behind += 1;
                    self.stopping.retain(|(stopping, _, _)| *stopping != child);
                    self.model.over(index(&child), self.now);
                }
                Action::Forget { child } => panic!("{child} was not removed"),
                Action::ArmTimer { timer, after } => self.timers.push((self.now.after(after), timer)),
                Action::Report(report) => {
                    let expect = if self.model.escalated { Outcome::Escalated } else { Outcome::Restarted };
                    assert_eq!(report.outcome, expect, "{report:?}");
                }
                Action::Finish(reason) => {
                    assert!(self.model.children.iter().all(|child| !child.lives), "somebody lives on");
                    self.finished = Some(reason);
                }
            }
        }
        let is_giving_up = self.core.is_stopping();
        assert_eq!(is_giving_up, self.model.escalated, "gives up exactly when the model does");
    }

    /// The model hears of an end before the core, since the core acts on it at once.
    fn over(&mut self, child: ChildId, incarnation: u64, reason: ExitReason) {
        self.stopping.retain(|(stopping, _, _)| *stopping != child);
        let was_started = self.model.children[index(&child)].started;
        self.model.over(index(&child), self.now);
        if was_started {
            self.tell(Event::ChildExited { child: child.clone(), incarnation, reason });
        } else {
            self.tell(Event::StartFailed { child: child.clone(), incarnation, reason });
        }
        if self.one_in(8) {
            // Told twice: the second time it is nobody's.
            let (before, reason) = (format!("{:?}", self.core.children()), ExitReason::Killed);
            self.tell(Event::ChildExited { child, incarnation, reason });
            assert_eq!(format!("{:?}", self.core.children()), before);
        }
    }

    /// The start under way, if there is one, comes to an end.
    fn end_start(&mut self, succeeds: bool) {
        let starting = self.model.children.iter().position(|child| child.lives && !child.started);
        let Some(starting) = starting else { return };
        let incarnation = self.model.children[starting].incarnation;
        if self.model.children[starting].must_go || !succeeds {
            let reason = if self.one_in(2) { ExitReason::StartTimedOut(secs(1)) } else { ExitReason::Killed };
            self.over(id(starting), incarnation, reason);
        } else {
            self.model.children[starting].started = true;
            self.tell(Event::ChildStarted { child: id(starting), incarnation });
        }
    }

    fn end_stop(&mut self) {
        if let Some((child, incarnation, reason)) = self.stopping.pop() {
            self.over(child, incarnation, reason);
        }
    }

    /// A running child ends although nobody asked it to.
    fn fail(&mut self) {
        let candidates: Vec<_> =
            (0..self.model.children.len()).filter(|index| self.model.children[*index].started).collect();
        if candidates.is_empty() {
            return;
        }
        let draw = usize::try_from(self.random.draw() % 64).unwrap();
        let failing = candidates[draw % candidates.len()];
        let reason = match self.random.draw() % 4 {
            0 => panicked(),
            1 => ExitReason::Killed,
            2 => ExitReason::Failed(ExitError::new(ErrorClass::Unavailable, "x")),
            _ => ExitReason::Normal,
        };
        self.over(id(failing), self.model.children[failing].incarnation, reason);
    }

    fn elapse(&mut self) {
        let next = (0..self.timers.len()).min_by_key(|index| self.timers[*index].0);
        if let Some(next) = next {
            let (due, timer) = self.timers.swap_remove(next);
            self.now = self.now.max(due);
            if let Timer::KillGrace { child, incarnation } = &timer {
                // The model must hear of it only if the core leaves the child behind, which `Abandon` tells. Half of
                // those that were killed go at the last moment.
                let is_late =
                    self.stopping.iter().any(|(late, life, _)| late == child && life == incarnation);
                if is_late && self.one_in(2) {
                    self.end_stop_of(&child.clone());
                }
            }
            self.tell_elapsed(timer);
        }
    }

    fn tell_elapsed(&mut self, timer: Timer) {
        // A child that is left behind is over for the model before the core acts on it.
        if let Timer::KillGrace { child, incarnation } = &timer
            && self.stopping.iter().any(|(late, life, _)| late == child && life == incarnation)
        {
            self.model.children[index(child)].must_go = true;
        }
        self.tell(Event::Elapsed(timer));
    }

    fn end_stop_of(&mut self, child: &ChildId) {
        if let Some(at) = self.stopping.iter().position(|(stopping, _, _)| stopping == child) {
            let (child, incarnation, reason) = self.stopping.swap_remove(at);
            self.over(child, incarnation, reason);
        }
    }

    fn disturb(&mut self) {
        match self.random.draw() % 10 {
            0..=2 => self.end_start(true),
            3 => self.end_start(false),
            4 | 5 => self.end_stop(),
            6 | 7 => self.fail(),
            8 => self.elapse(),
            _ => self.now = self.now.after(Duration::from_millis(self.random.draw() % 4_000)),
        }
    }

    /// No more failures: everything under way succeeds, and every timer comes.
    fn heal(&mut self) {
        for _ in 0..1_000 {
            let before = (self.timers.len(), self.stopping.len());
            self.end_start(true);
            self.end_stop();
            self.elapse();
            let is_quiet = before == (0, 0) && self.model.children.iter().all(|child| child.started);
            if is_quiet || self.finished.is_some() {
                return;
            }
        }
        panic!("it never comes to rest: {:?}", self.core);
    }

    /// Healed: the running children are those of the specification, in order, and stop in reverse.
    fn check_healed(&mut self) {
        let ids: Vec<_> = self.core.children().iter().map(|child| child.rules.id.clone()).collect();
        assert_eq!(ids, (0..ids.len()).map(id).collect::<Vec<_>>());
        for (child, expected) in self.core.children().iter().zip(&self.model.children) {
            assert_eq!((child.state, child.incarnation), (State::Running, expected.incarnation));
            assert_eq!(expected.incarnation, expected.next);
        }
        let lives = |expected: &Expected| expected.incarnation;
        let incarnations: Vec<_> = self.model.children.iter().map(lives).collect();
        match self.model.strategy {
            Strategy::OneForOne => {
                let restarts = incarnations.iter().map(|incarnation| incarnation - 1).sum::<u64>();
                assert_eq!(restarts, u64::try_from(self.model.restarts.len()).unwrap());
            }
            Strategy::OneForAll => {
                let restarts = u64::try_from(self.model.restarts.len()).unwrap();
                assert!(incarnations.iter().all(|incarnation| *incarnation == restarts + 1));
            }
            Strategy::RestForOne => assert!(incarnations.is_sorted(), "{incarnations:?}"),
        }
    }
}

fn check(strategy: Strategy) {
    let (mut gave_up, mut left_behind) = (0, 0);
    for seed in 0..TRACES {
        let run = std::panic::catch_unwind(|| {
            let mut world = World::new(strategy, seed);
            world.tell(Event::Begin);
            for _ in 0..STEPS {
                world.disturb();
            }
            world.heal();
            match &world.finished {
                Some(reason) => {
                    assert!(matches!(reason, ExitReason::Failed(_)), "{reason}");
                    assert!(world.model.escalated);
                }
                None => world.check_healed(),
            }
            (world.finished.is_some(), world.lives_left_behind)
        });
        let (has_given_up, lives) = run.unwrap_or_else(|_| panic!("{strategy:?}, seed {seed}"));
        gave_up += u64::from(has_given_up);
        left_behind += lives;
    }
    // Both ends and the rare paths are tried, and not by a few traces alone.
    assert!((TRACES / 5..TRACES * 4 / 5).contains(&gave_up), "{gave_up} of {TRACES} gave up");
    assert!(left_behind > 100, "{left_behind} left behind");
}

#[test]
fn one_for_one_gives_up_exactly_when_the_model_does_and_heals_otherwise() {
    check(Strategy::OneForOne);
}

#[test]
fn one_for_all_gives_up_exactly_when_the_model_does_and_heals_otherwise() {
    check(Strategy::OneForAll);
}

#[test]
fn rest_for_one_gives_up_exactly_when_the_model_does_and_heals_otherwise() {
    check(Strategy::RestForOne);
}
