//! The core by example; `model` tries it on random failures.

mod model;

use super::*;
use crate::child_spec::{Restart, Shutdown};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn rules(id: &str) -> ChildRules {
    ChildRules {
        id: id.into(),
        restart: Restart::Permanent,
        shutdown: Shutdown::Within(secs(5)),
        backoff: None,
        stall_after: None,
    }
}

fn panicked() -> ExitReason {
    ExitReason::Panicked("x".into())
}

/// A core, and a world in which every start and every stop succeeds at once.
struct Smooth {
    core: SupervisorCore,
    now: MonotonicTime,
    /// What was done, as text: `start a1`, `stop a1`, `kill a1`, `arm ...`, `report ...`, `finish ...`.
    done: Vec<String>,
}

impl Smooth {
    fn new(strategy: Strategy, children: Vec<ChildRules>) -> Self {
        let rules = CoreRules {
            path: "root".into(),
            strategy,
            intensity: RestartIntensity::new(3, secs(60)).unwrap(),
            end_when: EndWhen::Told,
        };
        let core = SupervisorCore::new(rules, children, MonotonicTime::ORIGIN);
        let mut world = Self { core, now: MonotonicTime::ORIGIN, done: Vec::new() };
        world.tell(Event::Begin);
        world
    }

    fn three(strategy: Strategy) -> Self {
        let mut world = Self::new(strategy, vec![rules("a"), rules("b"), rules("c")]);
        world.take();
        world
    }

    /// One event and all that follows from it.
    fn tell(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for action in self.core.step(event, self.now, &mut || u64::MAX) {
                self.perform(action, &mut events);
            }
        }
    }

    /// One event alone.
    fn step(&mut self, event: Event) -> Vec<String> {
        for action in self.core.step(event, self.now, &mut || u64::MAX) {
            self.perform(action, &mut Vec::new());
        }
        self.take()
    }

    fn perform(&mut self, action: Action, events: &mut Vec<Event>) {
        self.done.push(match action {
            Action::Start { child, incarnation } => {
                events.push(Event::ChildStarted { child: child.clone(), incarnation });
                format!("start {child}{incarnation}")
            }
            Action::Stop { child, incarnation } => {
                let reason = ExitReason::Shutdown;
                events.push(Event::ChildExited { child: child.clone(), incarnation, reason });
                format!("stop {child}{incarnation}")
            }
            Action::Kill { child, incarnation } => {
                let reason = ExitReason::Killed;
                events.push(Event::ChildExited { child: child.clone(), incarnation, reason });
                format!("kill {child}{incarnation}")
            }
            Action::Abandon { child, incarnation } => format!("abandon {child}{incarnation}"),
            Action::Forget { child } => format!("forget {child}"),
            // Stops succeed before their limits.
            Action::ArmTimer { timer: Timer::StopDeadline { .. } | Timer::KillGrace { .. }, .. } => return,
            Action::ArmTimer { timer, after } => format!("arm {timer:?} {after:?}"),
            Action::Report(report) => {
                format!("report {} {} {}", report.child, report.reason.kind(), report.outcome)
            }
            Action::Finish(reason) => format!("finish {}", reason.kind()),
        });
    }

    fn exit(&mut self, child: &str, incarnation: u64, reason: ExitReason) -> Vec<String> {
        self.tell(Event::ChildExited { child: child.into(), incarnation, reason });
        self.take()
    }

    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.done)
    }
}

#[test]
fn group_is_stopped_in_reverse_and_started_in_order() {
    let check = |strategy, expect: &[&str]| {
        assert_eq!(Smooth::three(strategy).exit("b", 1, panicked()), expect, "{strategy:?}");
    };
    let report = "report b panicked restarted";
    check(Strategy::OneForOne, &[report, "start b2"]);
    check(Strategy::OneForAll, &[report, "stop c1", "stop a1", "start a2", "start b2", "start c2"]);
    check(Strategy::RestForOne, &[report, "stop c1", "start b2", "start c2"]);
}

#[test]
fn end_of_a_life_that_is_over_is_ignored() {
    let mut world = Smooth::three(Strategy::OneForAll);
    world.exit("b", 1, panicked());
    assert_eq!(world.exit("b", 1, panicked()), Vec::<String>::new());
    assert_eq!(world.exit("z", 1, panicked()), Vec::<String>::new());
}

#[test]
fn class_of_an_error_decides() {
    let check = |class, expect: &[&str]| {
        let reason = ExitReason::Failed(ExitError::new(class, "x"));
        assert_eq!(Smooth::three(Strategy::OneForOne).exit("b", 1, reason), expect, "{class}");
    };
    check(ErrorClass::Unavailable, &["report b failed restarted", "start b2"]);
    check(ErrorClass::Internal, &["report b failed restarted", "start b2"]);
    check(ErrorClass::Invalid, &["report b failed escalated", "stop c1", "stop a1", "finish failed"]);
    check(ErrorClass::Fenced, &["report b failed parked", "stop c1", "stop a1", "finish parked"]);
    check(ErrorClass::Data, &["report b failed parked", "stop c1", "stop a1", "finish parked"]);
}

#[test]
fn bad_data_found_while_stopping_for_a_restart_still_parks() {
    let mut world = Smooth::three(Strategy::OneForAll);
    let exited = |child: &str, reason| Event::ChildExited { child: child.into(), incarnation: 1, reason };
    assert_eq!(world.step(exited("b", panicked())), ["report b panicked restarted", "stop c1"]);
    let data = ExitReason::Failed(ExitError::new(ErrorClass::Data, "x"));
    assert_eq!(world.step(exited("c", data)), ["report c failed parked", "stop a1"]);
    assert_eq!(world.step(exited("a", ExitReason::Shutdown)), ["finish parked"]);
}

/// Whoever sends to a killed sibling may fail before the kill is told: both are reported, and count as one restart.
#[test]
fn failure_that_made_a_sibling_fail_first_is_reported_too() {
    let mut world = Smooth::three(Strategy::OneForAll);
    let exited = |child: &str, reason| Event::ChildExited { child: child.into(), incarnation: 1, reason };
    let gone = ExitReason::Failed(ExitError::new(ErrorClass::Unavailable, "b has ended"));
    assert_eq!(world.step(exited("c", gone)), ["report c failed restarted", "stop b1"]);
    assert_eq!(world.step(exited("b", ExitReason::Killed)), ["report b killed restarted", "stop a1"]);
    assert_eq!(world.step(exited("a", ExitReason::Shutdown)), ["start a2"]);
    assert_eq!(world.core.restarts_in_window(world.now), 1);
}

#[test]
fn first_reason_to_end_stays_the_reason() {
    let mut world = Smooth::three(Strategy::OneForOne);
    assert_eq!(world.step(Event::StopRequested { within: None }), ["stop c1"]);
    let invalid = ExitReason::Failed(ExitError::new(ErrorClass::Invalid, "x"));
    assert_eq!(world.exit("c", 1, invalid), ["stop b1", "stop a1", "finish shutdown"]);
}

#[test]
fn group_waits_for_the_backoff_of_the_one_that_failed() {
    let backoff = crate::backoff::Backoff::new(secs(1), secs(8)).unwrap();
    let slow = ChildRules { backoff: Some(backoff), ..rules("b") };
    let mut world = Smooth::new(Strategy::RestForOne, vec![rules("a"), slow, rules("c")]);
    world.take();
    let timer = Timer::Backoff { child: "b".into(), incarnation: 2 };
    let armed = format!("arm {timer:?} 1s");
    assert_eq!(world.exit("b", 1, panicked()), ["report b panicked restarted", &armed, "stop c1"]);
    world.tell(Event::Elapsed(timer));
    assert_eq!(world.take(), ["start b2", "start c2"]);
    let timer = Timer::Backoff { child: "b".into(), incarnation: 3 };
    assert!(world.exit("b", 2, panicked()).contains(&format!("arm {timer:?} 2s")), "doubled");
    world.tell(Event::Elapsed(timer));
    world.take();
    world.now = world.now.after(secs(60));
    let timer = Timer::Backoff { child: "b".into(), incarnation: 4 };
    assert!(world.exit("b", 3, panicked()).contains(&format!("arm {timer:?} 1s")), "it had run well");
}

#[test]
fn child_that_fails_does_not_wait_for_a_sibling_that_backs_off() {
    let backoff = crate::backoff::Backoff::new(secs(1), secs(8)).unwrap();
    let slow = ChildRules { backoff: Some(backoff), ..rules("a") };
    let mut world = Smooth::new(Strategy::OneForOne, vec![slow, rules("b")]);
    world.take();
    world.exit("a", 1, panicked());
    assert_eq!(world.exit("b", 1, panicked()), ["report b panicked restarted", "start b2"]);
}

#[test]
fn hold_of_an_older_restart_does_not_outlive_a_newer_one() {
    let backoff = crate::backoff::Backoff::new(secs(1), secs(8)).unwrap();
    let slow = ChildRules { backoff: Some(backoff), ..rules("c") };
    let mut world = Smooth::new(Strategy::RestForOne, vec![rules("a"), rules("b"), slow]);
    world.take();
    world.exit("c", 1, panicked());
    let expect = ["report b panicked restarted", "start b2", "start c2"];
    assert_eq!(world.exit("b", 1, panicked()), expect);
}

#[test]
fn ended_child_comes_back_with_its_group_unless_it_is_temporary() {
    let of = |id, restart| ChildRules { restart, ..rules(id) };
    let children =
        vec![of("a", Restart::Permanent), of("b", Restart::Transient), of("c", Restart::Temporary)];
    let mut world = Smooth::new(Strategy::OneForAll, children);
    world.take();
    assert_eq!(world.exit("b", 1, ExitReason::Normal), ["report b normal ended"]);
    let expect = ["report a panicked restarted", "stop c1", "start a2", "start b2"];
    assert_eq!(world.exit("a", 1, panicked()), expect);
}

#[test]
fn child_that_does_not_stop_is_killed_and_then_left_behind() {
    let mut world = Smooth::three(Strategy::OneForOne);
    let of = |child: &str| (ChildId::from(child), 1);
    let actions = world.core.step(Event::StopRequested { within: None }, world.now, &mut || 0);
    let (child, incarnation) = of("c");
    let deadline = Timer::StopDeadline { child: child.clone(), incarnation };
    let stop = Action::Stop { child: child.clone(), incarnation };
    assert_eq!(actions, [stop, Action::ArmTimer { timer: deadline.clone(), after: secs(5) }]);
    let actions = world.core.step(Event::Elapsed(deadline), world.now, &mut || 0);
    let grace = Timer::KillGrace { child: child.clone(), incarnation };
    let kill = Action::Kill { child: child.clone(), incarnation };
    assert_eq!(actions, [kill, Action::ArmTimer { timer: grace.clone(), after: KILL_GRACE }]);
    let actions = world.core.step(Event::Elapsed(grace), world.now, &mut || 0);
    assert_eq!(actions[0], Action::Abandon { child, incarnation });
    let (child, incarnation) = of("b");
    assert_eq!(actions[1], Action::Stop { child, incarnation });
}

#[test]
fn deadline_of_the_whole_stop_kills_everybody() {
    let mut world = Smooth::three(Strategy::OneForOne);
    let armed = format!("arm {:?} 7s", Timer::FinishDeadline);
    assert_eq!(world.step(Event::StopRequested { within: Some(secs(7)) }), [armed.as_str(), "stop c1"]);
    assert_eq!(world.step(Event::Elapsed(Timer::FinishDeadline)), ["kill c1", "kill b1", "kill a1"]);
}

#[test]
fn child_is_parked_resumed_removed_and_added() {
    let mut world = Smooth::three(Strategy::OneForOne);
    let mut command = |command: Command| {
        assert_eq!(world.core.check(&command), Ok(()), "{command:?}");
        world.tell(Event::Command(command));
        world.take()
    };
    assert_eq!(command(Command::Park("b".into())), ["stop b1"]);
    assert_eq!(command(Command::Resume("b".into())), ["start b2"]);
    assert_eq!(command(Command::Remove("b".into())), ["stop b2", "forget b"]);
    assert_eq!(command(Command::Add(rules("b"))), ["start b1"]);
    world.tell(Event::StopRequested { within: None });
    assert_eq!(world.take(), ["stop b1", "stop c1", "stop a1", "finish shutdown"]);
    assert_eq!(world.core.check(&Command::Park("a".into())), Err(CommandRefused::Stopping));
}

#[test]
fn child_that_is_resumed_before_it_is_parked_begins_anew() {
    let mut world = Smooth::three(Strategy::OneForOne);
    let exited = Event::ChildExited { child: "b".into(), incarnation: 1, reason: ExitReason::Shutdown };
    let resume = || Command::Resume("b".into());
    assert!(matches!(world.core.check(&resume()), Err(CommandRefused::NotParked(_))));
    assert_eq!(world.step(Event::Command(Command::Park("b".into()))), ["stop b1"]);
    assert_eq!(world.core.check(&resume()), Ok(()));
    assert!(world.step(Event::Command(resume())).is_empty(), "its last life has not ended");
    assert_eq!(world.step(exited), ["start b2"]);
}

#[test]
fn removal_is_not_forgotten_when_a_sibling_fails() {
    let mut world = Smooth::three(Strategy::OneForAll);
    world.step(Event::Command(Command::Remove("b".into())));
    let exited = |child: &str, reason| Event::ChildExited { child: child.into(), incarnation: 1, reason };
    world.step(exited("a", panicked()));
    world.tell(exited("b", ExitReason::Shutdown));
    assert_eq!(world.take(), ["forget b", "stop c1", "start a2", "start c2"]);
}

#[test]
fn supervisor_of_work_that_ends_ends_with_it() {
    let transient = |id| ChildRules { restart: Restart::Transient, ..rules(id) };
    let made = |end: ExitReason| {
        let mut world = Smooth::new(Strategy::OneForOne, vec![transient("a"), transient("b")]);
        world.core.rules.end_when = EndWhen::AllEnded;
        world.take();
        assert_eq!(world.exit("a", 1, ExitReason::Normal), ["report a normal ended"]);
        world.exit("b", 1, end)
    };
    assert_eq!(made(ExitReason::Normal), ["report b normal ended", "finish normal"]);
    assert_eq!(made(ExitReason::Parked("x".into())), ["report b parked parked", "finish parked"]);
}

#[test]
fn child_without_progress_on_its_messages_is_killed() {
    let watched = ChildRules { stall_after: Some(secs(8)), ..rules("a") };
    let mut world = Smooth::new(Strategy::OneForOne, vec![watched]);
    let armed = format!("arm {:?} 2s", Timer::Watchdog);
    assert_eq!(world.take(), ["start a1", &armed]);
    // Seconds, messages that wait, progress; what is done besides setting the timer again.
    let mut check = |at: u64, queued: u64, progress: u64, expect: &[&str]| {
        world.now = MonotonicTime::ORIGIN.after(secs(at));
        let reading = Reading { queued, progress };
        let mut done = world.step(Event::Watched(vec![("a".into(), 1, reading)]));
        assert_eq!(done.pop().as_deref(), Some(armed.as_str()), "at {at}");
        assert_eq!(done, expect, "at {at}");
    };
    check(2, 0, 5, &[]);
    check(20, 0, 5, &[]);
    check(22, 1, 5, &[]);
    check(29, 9, 5, &[]);
    check(31, 9, 6, &[]);
    check(38, 9, 6, &[]);
    check(39, 9, 6, &["kill a1"]);
    check(41, 9, 6, &[]);
    let expect = ["report a stalled restarted", "start a2"];
    assert_eq!(world.exit("a", 1, ExitReason::Killed), expect);
}
