//! Work that must not go on, and its way back.

use orrery_supervisor::{ChildSpec, ErrorClass, ExitReason, NodeState, Restart, Strategy, SupervisorSpec};

use crate::Tree;
use crate::actors::{Log, Order, intensity, worker};

fn two_pipelines(log: &Log) -> SupervisorSpec {
    let pipeline = |id: &str| {
        let spec = SupervisorSpec::new(id, Strategy::OneForAll, intensity(3, 60))
            .child(worker(&format!("{id}-sink"), log))
            .child(worker(&format!("{id}-ttp"), log))
            .child(worker(&format!("{id}-source"), log));
        ChildSpec::supervisor(spec).restart(Restart::Transient)
    };
    let pipelines = SupervisorSpec::new("pipelines", Strategy::OneForOne, intensity(5, 60))
        .child(pipeline("x"))
        .child(pipeline("y"));
    SupervisorSpec::new("root", Strategy::OneForOne, intensity(3, 60)).child(ChildSpec::supervisor(pipelines))
}

async fn check_parks(class: ErrorClass) {
    let log = Log::default();
    let tree = Tree::start(two_pipelines(&log)).await;
    log.next(6).await;
    log.tell("x-ttp", Order::Fail(class));
    assert_eq!(log.next(2).await, ["stop x-source", "stop x-sink"]);
    let node = tree.until_state(&["pipelines", "x"], NodeState::Parked).await;
    let why = format!("parked: x-ttp failed: {class}: told to");
    assert_eq!(node.last_error, Some(why));
    assert_eq!(tree.told(), ["root/pipelines/x/x-ttp failed parked", "root/pipelines/x parked parked"]);
    let sibling = tree.until_state(&["pipelines", "y"], NodeState::Running).await;
    assert_eq!(sibling.incarnation, 1);
    assert!(sibling.children.iter().all(|child| child.state == NodeState::Running && child.incarnation == 1));
    assert_eq!(log.take(), Vec::<String>::new());

    tree.handle.resume(&["pipelines", "x"]).await.unwrap();
    assert_eq!(log.next(3).await, ["start x-sink", "start x-ttp", "start x-source"]);
    let node = tree.until_state(&["pipelines", "x"], NodeState::Running).await;
    assert_eq!(node.incarnation, 2);
    tree.stop().await;
}

#[tokio::test]
async fn fenced_or_bad_data_parks_one_pipeline_and_leaves_its_sibling_alone() {
    check_parks(ErrorClass::Fenced).await;
    check_parks(ErrorClass::Data).await;
}

#[tokio::test]
async fn operator_parks_and_resumes_a_pipeline() {
    let log = Log::default();
    let tree = Tree::start(two_pipelines(&log)).await;
    log.next(6).await;
    tree.handle.park(&["pipelines", "y"]).await.unwrap();
    assert_eq!(log.next(3).await, ["stop y-source", "stop y-ttp", "stop y-sink"]);
    tree.until_state(&["pipelines", "y"], NodeState::Parked).await;
    tree.handle.resume(&["pipelines", "y"]).await.unwrap();
    assert_eq!(log.next(3).await, ["start y-sink", "start y-ttp", "start y-source"]);
    assert_eq!(tree.told(), Vec::<String>::new(), "nothing failed");
    tree.stop().await;
    assert_eq!(log.take().len(), 6);
}

#[tokio::test]
async fn root_that_must_not_run_ends_parked() {
    let log = Log::default();
    let spec = SupervisorSpec::new("root", Strategy::OneForOne, intensity(3, 60))
        .child(worker("a", &log))
        .child(worker("b", &log));
    let tree = Tree::start(spec).await;
    log.next(2).await;
    log.tell("a", Order::Fail(ErrorClass::Data));
    assert_eq!(tree.handle.join().await, ExitReason::Parked("a failed: data: told to".into()));
    assert_eq!(log.take(), ["stop b"]);
}
