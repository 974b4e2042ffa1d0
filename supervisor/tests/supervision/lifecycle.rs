//! Starting, stopping, adding and removing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use orrery_supervisor::{
    ChildSpec, CommandRefused, EndWhen, ErrorClass, ExitError, ExitReason, NodeKind, NodeState, Restart,
    Shutdown, SpecError, StartError, Strategy, SupervisorHandle, SupervisorSpec, SystemClock,
};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::Tree;
use crate::actors::{Log, Manners, Order, Worker, intensity, worker, worker_with};

fn three(log: &Log) -> SupervisorSpec {
    SupervisorSpec::new("root", Strategy::OneForAll, intensity(3, 60))
        .child(worker("a", log))
        .child(worker("b", log))
        .child(worker("c", log))
}

#[tokio::test]
async fn children_start_in_order_and_stop_in_reverse() {
    let log = Log::default();
    let tree = Tree::start(three(&log)).await;
    assert_eq!(log.next(3).await, ["start a", "start b", "start c"]);
    assert_eq!(tree.stop().await, ExitReason::Shutdown);
    assert_eq!(log.take(), ["stop c", "stop b", "stop a"]);
    assert_eq!(tree.handle.join().await, ExitReason::Shutdown);
    assert_eq!(tree.told(), Vec::<String>::new());
    assert_eq!(tree.handle.tree(Duration::from_secs(1)).await, Err(CommandRefused::NoAnswer));
}

#[tokio::test]
async fn nested_trees_stop_from_the_leaves_of_the_last_branch() {
    let log = Log::default();
    let below = |id: &str, first: &str, second: &str| {
        let spec = SupervisorSpec::new(id, Strategy::OneForAll, intensity(3, 60));
        ChildSpec::supervisor(spec.child(worker(first, &log)).child(worker(second, &log)))
    };
    let spec = SupervisorSpec::new("root", Strategy::OneForOne, intensity(3, 60));
    let tree = Tree::start(spec.child(below("x", "a", "b")).child(below("y", "c", "d"))).await;
    log.next(4).await;
    let snapshot = tree.snapshot().await;
    assert_eq!(snapshot.find(&["y"]).map(|node| node.kind), Some(NodeKind::Supervisor));
    assert_eq!(snapshot.find(&["y", "d"]).map(|node| node.state), Some(NodeState::Running));
    tree.stop().await;
    assert_eq!(log.take(), ["stop d", "stop c", "stop b", "stop a"]);
}

#[tokio::test]
async fn stop_that_hangs_is_killed_at_its_limit() {
    let log = Log::default();
    let slow = worker_with(Manners { slow_stop: Duration::from_secs(3600), ..Manners::new("b", &log) });
    let spec = SupervisorSpec::new("root", Strategy::OneForOne, intensity(3, 60))
        .child(worker("a", &log))
        .child(slow.shutdown(Shutdown::Within(Duration::from_millis(50))));
    let tree = Tree::start(spec).await;
    log.next(2).await;
    assert_eq!(tree.handle.stop(Duration::from_secs(20)).await, ExitReason::Shutdown);
    assert_eq!(log.take(), ["stop a"], "b never came to its end");
}

#[tokio::test]
async fn deadline_of_the_whole_stop_kills_the_rest() {
    let log = Log::default();
    let slow = |name: &str| {
        let manners = Manners { slow_stop: Duration::from_secs(3600), ..Manners::new(name, &log) };
        worker_with(manners).shutdown(Shutdown::Within(Duration::from_secs(7200)))
    };
    let below = SupervisorSpec::new("x", Strategy::OneForOne, intensity(3, 60)).child(slow("b"));
    let spec = SupervisorSpec::new("root", Strategy::OneForOne, intensity(3, 60))
        .child(slow("a"))
        .child(ChildSpec::supervisor(below));
    let tree = Tree::start(spec).await;
    log.next(2).await;
    assert_eq!(tree.handle.stop(Duration::from_millis(50)).await, ExitReason::Shutdown);
    assert_eq!(log.take(), Vec::<String>::new());
}

#[tokio::test]
async fn start_that_hangs_is_given_up_and_holds_no_commands_up() {
    let log = Log::default();
    let slow = worker_with(Manners { slow_start: Duration::from_secs(3600), ..Manners::new("a", &log) });
    let spec = SupervisorSpec::new("root", Strategy::OneForOne, intensity(1, 60))
        .child(slow.start_timeout(Duration::from_millis(200)));
    let tree = Tree::start(spec).await;
    assert_eq!(tree.snapshot().await.find(&["a"]).map(|node| node.state), Some(NodeState::Starting));
    let reason = tree.handle.join().await;
    assert!(matches!(&reason, ExitReason::Failed(error) if error.class == ErrorClass::Internal), "{reason}");
    assert_eq!(tree.told(), ["root/a start_timed_out restarted", "root/a start_timed_out escalated"]);
    assert_eq!(log.take(), Vec::<String>::new());
}

#[tokio::test]
async fn stop_does_not_wait_for_a_start_that_hangs() {
    let log = Log::default();
    let slow = worker_with(Manners { slow_start: Duration::from_secs(3600), ..Manners::new("b", &log) });
    let spec = SupervisorSpec::new("root", Strategy::OneForOne, intensity(1, 60));
    let tree = Tree::start(spec.child(worker("a", &log)).child(slow)).await;
    log.next(1).await;
    assert_eq!(tree.stop().await, ExitReason::Shutdown);
    assert_eq!(log.take(), ["stop a"]);
}

#[tokio::test]
async fn children_come_and_go_while_the_tree_runs() {
    let log = Log::default();
    let below = SupervisorSpec::new("x", Strategy::OneForOne, intensity(3, 60)).child(worker("a", &log));
    let spec = SupervisorSpec::new("root", Strategy::OneForOne, intensity(3, 60));
    let tree = Tree::start(spec.child(ChildSpec::supervisor(below))).await;
    assert_eq!(log.next(1).await, ["start a"]);
    tree.handle.add_child(&["x"], worker("b", &log)).await.unwrap();
    assert_eq!(log.next(1).await, ["start b"]);
    let again = tree.handle.add_child(&["x"], worker("b", &log)).await;
    assert_eq!(again, Err(CommandRefused::AlreadyThere("b".into())));
    tree.handle.remove_child(&["x", "a"]).await.unwrap();
    assert_eq!(log.next(1).await, ["stop a"]);
    tree.until(&["x"], |node| node.children.len() == 1).await;
    tree.handle.add_child(&["x"], worker("a", &log)).await.unwrap();
    assert_eq!(log.next(1).await, ["start a"]);
    tree.stop().await;
    assert_eq!(log.take(), ["stop a", "stop b"], "the new one is the last");
}

#[tokio::test]
async fn command_that_makes_no_sense_is_refused() {
    let log = Log::default();
    let tree = Tree::start(three(&log)).await;
    log.next(3).await;
    let handle = &tree.handle;
    assert_eq!(handle.resume(&["z"]).await, Err(CommandRefused::NoSuchChild("z".into())));
    assert_eq!(handle.resume(&["a"]).await, Err(CommandRefused::NotParked("a".into())));
    assert_eq!(handle.park(&["a"]).await, Err(CommandRefused::NotAlone("a".into())));
    assert_eq!(handle.park(&["a", "z"]).await, Err(CommandRefused::NotASupervisor("a".into())));
    assert_eq!(handle.kill(&["z"]).await, Err(CommandRefused::NoSuchChild("z".into())));
    let nameless = handle.add_child(&[], worker("", &log)).await;
    assert_eq!(nameless, Err(CommandRefused::Spec(SpecError::EmptyId { supervisor: "root".into() })));
    tree.stop().await;
}

#[tokio::test]
async fn nothing_starts_if_any_specification_is_wrong() {
    let log = Log::default();
    let below = SupervisorSpec::new("x", Strategy::OneForOne, intensity(3, 60));
    let below = below.child(worker("b", &log)).child(worker("b", &log));
    let spec = SupervisorSpec::new("root", Strategy::OneForOne, intensity(3, 60))
        .child(worker("a", &log))
        .child(ChildSpec::supervisor(below));
    let result = SupervisorHandle::start(spec, Arc::new(SystemClock::new()), 1, None).await;
    let expect = SpecError::DuplicateId { supervisor: "root/x".into(), id: "b".into() };
    assert!(matches!(result, Err(StartError::Spec(error)) if error == expect));
    assert_eq!(log.take(), Vec::<String>::new());
}

#[tokio::test]
async fn work_that_has_an_end_ends_its_supervisor() {
    let log = Log::default();
    let below = SupervisorSpec::new("x", Strategy::OneForAll, intensity(3, 60))
        .child(worker("a", &log).restart(Restart::Transient))
        .child(worker("b", &log).restart(Restart::Transient))
        .end_when(EndWhen::AllEnded);
    let spec = SupervisorSpec::new("root", Strategy::OneForOne, intensity(3, 60))
        .child(ChildSpec::supervisor(below).restart(Restart::Transient));
    let tree = Tree::start(spec.end_when(EndWhen::AllEnded)).await;
    log.next(2).await;
    log.tell("b", Order::End);
    tree.until_state(&["x", "b"], NodeState::Ended).await;
    log.tell("a", Order::End);
    assert_eq!(tree.handle.join().await, ExitReason::Normal);
    assert_eq!(tree.told(), ["root/x/b normal ended", "root/x/a normal ended", "root/x normal ended"]);
}

#[tokio::test]
async fn sibling_is_found_by_id_and_type() {
    let log = Log::default();
    let (seen, lookup) = (log.clone(), log.clone());
    let caller = ChildSpec::worker("b", move |context| {
        let handle = context.sibling::<Order>("a")?;
        handle
            .send(Order::Say("hello"))
            .map_err(|error| ExitError::new(ErrorClass::Internal, error.to_string()))?;
        let absent = context.sibling::<Order>("z").map(|_| ());
        seen.write(absent.map_or_else(|error| error.to_string(), |()| String::new()));
        let other = context.sibling::<u64>("a").map(|_| ());
        seen.write(other.map_or_else(|error| error.to_string(), |()| String::new()));
        Ok((Worker, (Manners::new("b", &lookup), Arc::clone(context.probe()))))
    });
    let spec = SupervisorSpec::new("root", Strategy::RestForOne, intensity(3, 60));
    let tree = Tree::start(spec.child(worker("a", &log)).child(caller)).await;
    let mut lines = log.next(5).await;
    lines.sort();
    assert_eq!(
        lines,
        [
            "a says hello",
            "no sibling `z` is running; list it before this child, under one_for_all or rest_for_one",
            "sibling `a` does not take u64; ask for its own message type",
            "start a",
            "start b",
        ]
    );
    tree.stop().await;
}

/// Ends as soon as it runs.
struct Brief;

impl Actor for Brief {
    type Msg = Order;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Order>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn post_start(&self, _: ActorRef<Order>, (): &mut ()) -> Result<(), ActorProcessingErr> {
        Err(ExitError::new(ErrorClass::Unavailable, "at once").into())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn end_that_comes_before_its_start_is_reported_is_not_lost() {
    let mut spec = SupervisorSpec::new("root", Strategy::OneForOne, intensity(3, 60));
    for child in 0..300 {
        let child = ChildSpec::worker(format!("{child}"), |_| Ok((Brief, ())));
        spec = spec.child(child.restart(Restart::Temporary));
    }
    let tree = Tree::start(spec.end_when(EndWhen::AllEnded)).await;
    let ended = tokio::time::timeout(Duration::from_secs(60), tree.handle.join()).await;
    assert_eq!(ended, Ok(ExitReason::Normal));
    assert_eq!(tree.told().len(), 300);
}

/// Ractor would kill the children without their `post_stop`.
#[tokio::test]
async fn supervisor_that_is_stopped_past_its_handle_stops_its_children_in_order_too() {
    let log = Log::default();
    let (made, root) = (log.clone(), Arc::new(Mutex::new(None)));
    let seen = Arc::clone(&root);
    let first = ChildSpec::worker("a", move |context| {
        *seen.lock().unwrap() = Some(context.supervisor().clone());
        Ok((Worker, (Manners::new("a", &made), Arc::clone(context.probe()))))
    });
    let below = SupervisorSpec::new("x", Strategy::OneForOne, intensity(3, 60)).child(worker("c", &log));
    let spec = SupervisorSpec::new("root", Strategy::OneForOne, intensity(3, 60)).child(first);
    let tree = Tree::start(spec.child(worker("b", &log)).child(ChildSpec::supervisor(below))).await;
    log.next(3).await;
    tree.until_state(&["x", "c"], NodeState::Running).await;
    let root = root.lock().unwrap().take().unwrap();
    root.stop(None);
    assert_eq!(tree.handle.join().await, ExitReason::Shutdown);
    assert_eq!(log.take(), ["stop c", "stop b", "stop a"]);
}
