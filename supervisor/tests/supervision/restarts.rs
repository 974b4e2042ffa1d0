//! Failures, and who comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use orrery_supervisor::{
    Backoff, ChildSpec, Clock, ErrorClass, ExitError, ExitReason, NodeState, Outcome, Restart, Strategy,
    SupervisorSpec, SystemClock,
};

use crate::Tree;
use crate::actors::{Log, Manners, Order, Worker, intensity, worker, worker_with};

fn three(strategy: Strategy, log: &Log) -> SupervisorSpec {
    SupervisorSpec::new("root", strategy, intensity(3, 60))
        .child(worker("a", log))
        .child(worker("b", log))
        .child(worker("c", log))
}

async fn check_strategy(strategy: Strategy, expect: &[&str], incarnations: [u64; 3]) {
    let log = Log::default();
    let tree = Tree::start(three(strategy, &log)).await;
    log.next(3).await;
    log.tell("b", Order::Panic);
    assert_eq!(log.next(expect.len()).await, expect, "{strategy:?}");
    for (child, incarnation) in ["a", "b", "c"].into_iter().zip(incarnations) {
        let node = tree.until_state(&[child], NodeState::Running).await;
        assert_eq!(node.incarnation, incarnation, "{strategy:?} {child}");
    }
    assert_eq!(tree.snapshot().await.restarts_in_window, 1);
    tree.stop().await;
}

#[tokio::test]
async fn strategy_says_who_is_restarted_together() {
    check_strategy(Strategy::OneForOne, &["start b"], [1, 2, 1]).await;
    check_strategy(Strategy::OneForAll, &["stop c", "stop a", "start a", "start b", "start c"], [2, 2, 2])
        .await;
    check_strategy(Strategy::RestForOne, &["stop c", "start b", "start c"], [1, 2, 2]).await;
}

#[tokio::test]
async fn every_way_to_fail_is_told_apart() {
    let log = Log::default();
    let spec = SupervisorSpec::new("root", Strategy::OneForOne, intensity(9, 60)).child(worker("a", &log));
    let tree = Tree::start(spec).await;
    log.next(1).await;
    log.tell("a", Order::Panic);
    log.next(1).await;
    log.tell("a", Order::Fail(ErrorClass::Unavailable));
    log.next(1).await;
    log.tell("a", Order::FailUntyped);
    log.next(1).await;
    tree.until_state(&["a"], NodeState::Running).await;
    tree.handle.kill(&["a"]).await.unwrap();
    log.next(1).await;
    log.tell("a", Order::End);
    log.next(2).await;
    let reasons: Vec<_> = tree.reports.lock().unwrap().iter().map(|report| report.reason.clone()).collect();
    let expect = [
        ExitReason::Panicked("told to".into()),
        ExitReason::Failed(ExitError::new(ErrorClass::Unavailable, "told to")),
        ExitReason::Failed(ExitError::new(ErrorClass::Internal, "told to")),
        ExitReason::Killed,
        ExitReason::Normal,
    ];
    assert_eq!(reasons, expect);
    let node = tree.until(&["a"], |node| node.incarnation == 6).await;
    assert_eq!(node.restarts_total, 5);
    assert_eq!(node.last_error.as_deref(), Some("killed"), "a normal end is no error");
    tree.stop().await;
}

#[tokio::test]
async fn refused_start_counts_as_a_restart_until_the_supervisor_gives_up() {
    let log = Log::default();
    let refusing = Manners { refuse: Some(ErrorClass::Unavailable), ..Manners::new("b", &log) };
    let spec = SupervisorSpec::new("root", Strategy::RestForOne, intensity(2, 60))
        .child(worker("a", &log))
        .child(worker_with(refusing))
        .child(worker("c", &log));
    let tree = Tree::start(spec).await;
    let reason = tree.handle.join().await;
    let why = "b refused to start: unavailable: not today, more than 2 restarts within 60s";
    assert_eq!(reason, ExitReason::Failed(ExitError::new(ErrorClass::Unavailable, why)));
    assert_eq!(log.take(), ["start a", "refuse b", "refuse b", "refuse b", "stop a"], "c is never started");
}

#[tokio::test]
async fn one_restart_too_many_escalates_to_the_next_supervisor() {
    let log = Log::default();
    let below = SupervisorSpec::new("x", Strategy::OneForOne, intensity(1, 60))
        .child(worker("a", &log))
        .child(worker("b", &log));
    let spec = SupervisorSpec::new("root", Strategy::OneForOne, intensity(1, 60))
        .child(worker("c", &log))
        .child(ChildSpec::supervisor(below).backoff(None));
    let tree = Tree::start(spec).await;
    log.next(3).await;
    log.tell("b", Order::Panic);
    assert_eq!(log.next(1).await, ["start b"]);
    log.tell("b", Order::Panic);
    assert_eq!(
        log.next(3).await,
        ["stop a", "start a", "start b"],
        "a is stopped in order, then all start anew"
    );
    let node = tree.until(&["x"], |node| node.state == NodeState::Running && node.children.len() == 2).await;
    assert_eq!((node.incarnation, node.restarts_in_window), (2, 0));
    log.tell("b", Order::Panic);
    log.next(1).await;
    log.tell("b", Order::Panic);
    let reason = tree.handle.join().await;
    assert!(matches!(&reason, ExitReason::Failed(error) if error.class == ErrorClass::Internal), "{reason}");
    assert_eq!(log.take(), ["stop a", "stop c"]);
    let told = tree.told();
    assert_eq!(told[1..3], ["root/x/b panicked escalated", "root/x failed restarted"]);
    assert_eq!(told[4..], ["root/x/b panicked escalated", "root/x failed escalated"]);
}

#[tokio::test]
async fn invalid_escalates_to_the_root_at_once() {
    let log = Log::default();
    let below = SupervisorSpec::new("x", Strategy::OneForOne, intensity(9, 60)).child(worker("a", &log));
    let spec = SupervisorSpec::new("root", Strategy::OneForOne, intensity(9, 60));
    let tree = Tree::start(spec.child(ChildSpec::supervisor(below))).await;
    log.next(1).await;
    log.tell("a", Order::Fail(ErrorClass::Invalid));
    let reason = tree.handle.join().await;
    assert_eq!(reason.class(), Some(ErrorClass::Invalid));
    assert_eq!(tree.told(), ["root/x/a failed escalated", "root/x failed escalated"]);
}

#[tokio::test]
async fn killed_supervisor_comes_back_with_its_children() {
    let log = Log::default();
    let below = SupervisorSpec::new("x", Strategy::OneForOne, intensity(1, 60)).child(worker("a", &log));
    let spec = SupervisorSpec::new("root", Strategy::OneForOne, intensity(3, 60));
    let tree = Tree::start(spec.child(ChildSpec::supervisor(below).backoff(None))).await;
    log.next(1).await;
    tree.handle.kill(&["x"]).await.unwrap();
    assert_eq!(log.next(1).await, ["start a"]);
    assert_eq!(tree.told(), ["root/x killed restarted"]);
    tree.stop().await;
}

#[tokio::test]
async fn temporary_and_transient_children_stay_away_when_they_may() {
    let log = Log::default();
    let spec = SupervisorSpec::new("root", Strategy::OneForOne, intensity(3, 60))
        .child(worker("a", &log).restart(Restart::Temporary))
        .child(worker("b", &log).restart(Restart::Transient));
    let tree = Tree::start(spec).await;
    log.next(2).await;
    log.tell("a", Order::Panic);
    tree.until_state(&["a"], NodeState::Ended).await;
    log.tell("b", Order::End);
    tree.until_state(&["b"], NodeState::Ended).await;
    assert_eq!(tree.told(), ["root/a panicked ended", "root/b normal ended"]);
    tree.handle.resume(&["b"]).await.unwrap();
    assert_eq!(log.next(2).await, ["stop b", "start b"]);
    tree.stop().await;
}

#[tokio::test]
async fn restart_waits_for_its_backoff() {
    let log = Log::default();
    let backoff = Backoff::new(Duration::from_millis(4), Duration::from_millis(40)).unwrap();
    let spec = SupervisorSpec::new("root", Strategy::OneForOne, intensity(3, 600))
        .child(worker("a", &log).backoff(Some(backoff)));
    let tree = Tree::start(spec).await;
    log.next(1).await;
    for restart in 1..=3 {
        log.tell("a", Order::Panic);
        log.next(1).await;
        let report = tree.reports.lock().unwrap().last().cloned().unwrap();
        assert!(report.delay <= backoff.longest_delay(restart), "{report:?}");
        assert!(!report.delay.is_zero(), "{report:?}");
        assert_eq!((report.outcome, report.incarnation), (Outcome::Restarted, u64::from(restart)));
    }
    tree.stop().await;
}

/// The fastest of five: other processes may have the machine for a while.
#[tokio::test]
async fn killed_worker_is_back_within_50_ms() {
    let log = Log::default();
    let spec = SupervisorSpec::new("root", Strategy::OneForAll, intensity(5, 60));
    let spec = spec.child(worker("a", &log)).child(worker("b", &log)).child(worker("c", &log));
    let tree = Tree::start(spec).await;
    log.next(3).await;
    let clock = SystemClock::new();
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        tree.until_state(&["c"], NodeState::Running).await;
        let before = clock.now();
        tree.handle.kill(&["b"]).await.unwrap();
        assert_eq!(log.next(5).await[2..], ["start a", "start b", "start c"]);
        fastest = fastest.min(clock.now().since(before));
    }
    assert!(fastest < Duration::from_millis(50), "{fastest:?}");
    tree.stop().await;
}

#[tokio::test]
async fn handler_that_hangs_is_killed_and_restarted_and_an_idle_one_is_not() {
    let log = Log::default();
    let spec = SupervisorSpec::new("root", Strategy::OneForOne, intensity(3, 60))
        .child(worker("idle", &log).stall_after(Duration::from_millis(100)))
        .child(worker("a", &log).stall_after(Duration::from_millis(100)));
    let tree = Tree::start(spec).await;
    log.next(2).await;
    log.tell("a", Order::Hang);
    log.tell("a", Order::Say("never"));
    tokio::task::yield_now().await;
    assert_eq!(tree.snapshot().await.find(&["a"]).and_then(|node| node.mailbox_depth), Some(2));
    assert_eq!(log.next(1).await, ["start a"]);
    let reason = tree.reports.lock().unwrap()[0].reason.clone();
    let ExitReason::Stalled { queued: 2, since } = reason else { panic!("{reason}") };
    assert!(since >= Duration::from_millis(100), "{since:?}");
    assert_eq!(tree.told(), ["root/a stalled restarted"]);
    tree.stop().await;
}

#[tokio::test]
async fn factory_that_panics_refuses() {
    let log = Log::default();
    let attempts = Arc::new(AtomicU32::new(0));
    let made = log.clone();
    let child = ChildSpec::worker("a", move |context| {
        assert!(attempts.fetch_add(1, Ordering::Relaxed) > 0, "not the first time");
        Ok((Worker, (Manners::new("a", &made), Arc::clone(context.probe()))))
    });
    let spec = SupervisorSpec::new("root", Strategy::OneForOne, intensity(3, 60)).child(child);
    let tree = Tree::start(spec).await;
    assert_eq!(log.next(1).await, ["start a"]);
    assert_eq!(tree.told(), ["root/a start_refused restarted"]);
    tree.stop().await;
}

/// A factory that spawns its actor and then never returns: nobody knows that actor.
#[tokio::test]
async fn actor_of_a_start_that_timed_out_does_not_live_on() {
    let log = Log::default();
    let made = log.clone();
    let attempts = Arc::new(AtomicU32::new(0));
    let child = ChildSpec::custom(
        "a",
        Arc::new(move |context| {
            let (made, attempt) = (made.clone(), attempts.fetch_add(1, Ordering::Relaxed));
            Box::pin(async move {
                let manners = Manners::new(&format!("a{attempt}"), &made);
                let cell = context.spawn(Worker, (manners, Arc::clone(context.probe()))).await?;
                if attempt == 0 {
                    std::future::pending::<()>().await;
                }
                Ok(cell)
            })
        }),
    );
    let spec = SupervisorSpec::new("root", Strategy::OneForOne, intensity(3, 60))
        .child(child.backoff(None).start_timeout(Duration::from_millis(100)));
    let tree = Tree::start(spec).await;
    assert_eq!(log.next(2).await, ["start a0", "start a1"]);
    assert_eq!(tree.told(), ["root/a start_timed_out restarted"]);
    let stranger = log.try_tell("a0", Order::Say("boo"));
    assert!(!stranger, "a0 still takes messages");
    tree.stop().await;
}
