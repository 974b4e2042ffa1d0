//! What ractor does that this crate works around. A failure here is news: the workaround may go.

use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::watch;

/// Counts supervision events and does nothing about them.
struct Parent;

impl Actor for Parent {
    type Msg = ();
    type State = watch::Sender<Vec<String>>;
    type Arguments = watch::Sender<Vec<String>>;

    async fn pre_start(
        &self,
        _: ActorRef<()>,
        events: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(events)
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<()>,
        event: SupervisionEvent,
        events: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let told = match event {
            SupervisionEvent::ActorTerminated(_, state, reason) => {
                format!("terminated, state {}, {reason:?}", state.is_some())
            }
            SupervisionEvent::ActorFailed(_, error) => format!("failed, {error}"),
            SupervisionEvent::ActorStarted(_) => "started".to_owned(),
            SupervisionEvent::ProcessGroupChanged(_) | SupervisionEvent::PidLifecycleEvent(_) => {
                return Ok(());
            }
        };
        events.send_modify(|events| events.push(told));
        Ok(())
    }
}

/// Says when its `post_stop` runs.
struct Child;

#[derive(Clone)]
struct ChildArguments {
    refuse: bool,
    stopped: watch::Sender<bool>,
}

impl Actor for Child {
    type Msg = ();
    type State = watch::Sender<bool>;
    type Arguments = ChildArguments;

    async fn pre_start(
        &self,
        _: ActorRef<()>,
        arguments: ChildArguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        if arguments.refuse { Err("refused".into()) } else { Ok(arguments.stopped) }
    }

    async fn post_stop(&self, _: ActorRef<()>, stopped: &mut Self::State) -> Result<(), ActorProcessingErr> {
        stopped.send_replace(true);
        Ok(())
    }
}

#[tokio::test]
async fn parent_that_stops_kills_its_children_without_their_post_stop() {
    let events = watch::Sender::default();
    let stopped = watch::Sender::new(false);
    let (parent, _) = Actor::spawn(None, Parent, events.clone()).await.unwrap();
    let arguments = ChildArguments { refuse: false, stopped: stopped.clone() };
    let (child, _) = Actor::spawn_linked(None, Child, arguments, parent.get_cell()).await.unwrap();
    parent.stop_and_wait(None, Some(Duration::from_secs(5))).await.unwrap();
    child.wait(Some(Duration::from_secs(5))).await.unwrap();
    assert!(!*stopped.borrow(), "children are stopped, not killed, now");
}

#[tokio::test]
async fn pre_start_that_fails_gives_no_supervision_event() {
    let events: watch::Sender<Vec<String>> = watch::Sender::default();
    let stopped = watch::Sender::new(false);
    let (parent, _) = Actor::spawn(None, Parent, events.clone()).await.unwrap();
    let refusing = ChildArguments { refuse: true, stopped: stopped.clone() };
    let refused = Actor::spawn_linked(None, Child, refusing.clone(), parent.get_cell()).await;
    assert!(refused.is_err());
    // Another child's events come after any of the first.
    let arguments = ChildArguments { refuse: false, ..refusing };
    let (child, _) = Actor::spawn_linked(None, Child, arguments, parent.get_cell()).await.unwrap();
    child.stop_and_wait(None, Some(Duration::from_secs(5))).await.unwrap();
    let mut receiver = events.subscribe();
    let seen = tokio::time::timeout(Duration::from_secs(5), receiver.wait_for(|events| events.len() >= 2));
    let seen = seen.await.unwrap().unwrap().clone();
    assert_eq!(seen, ["started", "terminated, state true, None"]);
    parent.stop(None);
}

#[tokio::test]
async fn killed_idle_child_is_told_as_terminated_by_a_word_alone() {
    let events: watch::Sender<Vec<String>> = watch::Sender::default();
    let (parent, _) = Actor::spawn(None, Parent, events.clone()).await.unwrap();
    let arguments = ChildArguments { refuse: false, stopped: watch::Sender::new(false) };
    let (child, _) = Actor::spawn_linked(None, Child, arguments, parent.get_cell()).await.unwrap();
    let mut receiver = events.subscribe();
    receiver.wait_for(|events| !events.is_empty()).await.unwrap();
    child.kill_and_wait(Some(Duration::from_secs(5))).await.unwrap();
    let seen = tokio::time::timeout(Duration::from_secs(5), receiver.wait_for(|events| events.len() >= 2));
    assert_eq!(seen.await.unwrap().unwrap()[1], "terminated, state true, Some(\"killed\")");
    parent.stop(None);
}
