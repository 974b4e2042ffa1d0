//! Children that are one future.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use orrery_supervisor::{
    ChildSpec, ErrorClass, ExitError, ExitReason, NodeState, RestartIntensity, Strategy, SupervisorSpec,
    TaskFuture,
};

use crate::Tree;

/// A tree with one task that lives through `lives` in turn, and then for ever.
async fn tree(lives: Vec<fn() -> TaskFuture>) -> (Tree, Arc<AtomicU64>) {
    let started = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&started);
    let intensity = RestartIntensity::new(5, Duration::from_secs(60)).unwrap();
    let task = ChildSpec::task("task", move |_| {
        let life = usize::try_from(counted.fetch_add(1, Ordering::Relaxed)).unwrap();
        Ok(lives.get(life).map_or_else(|| Box::pin(std::future::pending()) as TaskFuture, |life| life()))
    });
    let spec = SupervisorSpec::new("root", Strategy::OneForOne, intensity).child(task.backoff(None));
    (Tree::start(spec).await, started)
}

#[tokio::test]
async fn a_task_is_restarted_after_an_error_a_panic_and_an_end() {
    let lives: Vec<fn() -> TaskFuture> = vec![
        || Box::pin(async { Err(ExitError::new(ErrorClass::Unavailable, "the port is taken")) }),
        || Box::pin(async { panic!("a bug") }),
        || Box::pin(async { Ok(()) }),
    ];
    let (tree, started) = tree(lives).await;
    tree.until(&["task"], |task| task.incarnation == 4 && task.state == NodeState::Running).await;
    assert_eq!(started.load(Ordering::Relaxed), 4);
    let reasons: Vec<_> =
        tree.reports.lock().unwrap().iter().map(|report| report.reason.to_string()).collect();
    assert_eq!(
        reasons,
        ["failed: unavailable: the port is taken", "failed: internal: panicked: a bug", "ended by itself"]
    );
    assert_eq!(tree.handle.stop(Duration::from_secs(5)).await, ExitReason::Shutdown);
}

#[tokio::test]
async fn a_task_is_dropped_where_it_waits_when_it_is_stopped() {
    struct Tells(tokio::sync::mpsc::Sender<()>);
    impl Drop for Tells {
        fn drop(&mut self) {
            self.0.try_send(()).unwrap();
        }
    }
    let (sender, mut dropped) = tokio::sync::mpsc::channel(1);
    let intensity = RestartIntensity::new(1, Duration::from_secs(60)).unwrap();
    let task = ChildSpec::task("task", move |_| {
        let tells = Tells(sender.clone());
        Ok(Box::pin(async move {
            std::future::pending::<()>().await;
            drop(tells);
            Ok(())
        }))
    });
    let tree = Tree::start(SupervisorSpec::new("root", Strategy::OneForOne, intensity).child(task)).await;
    tree.until(&["task"], |task| task.state == NodeState::Running).await;
    assert_eq!(tree.handle.stop(Duration::from_secs(5)).await, ExitReason::Shutdown);
    assert_eq!(dropped.recv().await, Some(()));
}

/// Names of the threads that a task and its whole subtree run on, over a restart.
#[test]
fn a_child_may_have_threads_of_its_own_and_all_that_is_below_it_too() {
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("apart")
        .enable_all()
        .build()
        .unwrap();
    let apart = threads.handle().clone();
    let here = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    here.block_on(async move {
        let (told, mut names) = tokio::sync::mpsc::channel(8);
        let intensity = RestartIntensity::new(5, Duration::from_secs(60)).unwrap();
        let task = ChildSpec::task("task", move |_| {
            let told = told.clone();
            Ok(Box::pin(async move {
                told.try_send(std::thread::current().name().map(str::to_owned)).unwrap();
                Err(ExitError::new(ErrorClass::Unavailable, "again"))
            }))
        });
        let below = SupervisorSpec::new("below", Strategy::OneForOne, intensity).child(task.backoff(None));
        let spec = SupervisorSpec::new("root", Strategy::OneForOne, intensity);
        let tree = Tree::start(spec.child(ChildSpec::supervisor(below).on(apart))).await;
        for _ in 0..3 {
            assert_eq!(names.recv().await.unwrap().as_deref(), Some("apart"));
        }
        tree.handle.stop(Duration::from_secs(5)).await;
    });
}
