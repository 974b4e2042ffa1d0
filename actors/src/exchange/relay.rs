//! A stage that works for a processor on another node, as a tree of its own: the stage, and a stand-in for the processor
//! that hands on what the stage tells it. Nothing in it is restarted: the pipeline on the other node is.

use std::sync::Arc;
use std::time::Duration;

use orrery_supervisor::{
    ChildSpec, Clock, EndWhen, ErrorClass, ExitError, ExitReason, Handle, Probe, Restart, RestartIntensity,
    RestartReport, Shutdown, StartError, Strategy, SupervisorHandle, SupervisorSpec,
};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::{mpsc, watch};

use crate::envelope::{ProcessorMessage, SinkMessage};

/// Messages of the stage that may wait for the stream. The stage sends against credits, this only joins two mailboxes.
const RELAYED_WAITING: usize = 16;

/// Time that a stage may take to end its message when the stream has ended: a commit that is broken off is only made again.
const STOPS_WITHIN: Duration = Duration::from_secs(5);

/// Period of restarts, of which there are none: longer than any backoff of a stage.
const NO_RESTARTS_WITHIN: Duration = Duration::from_secs(3600);

/// What the stand-in hands on.
#[derive(Debug)]
pub(super) enum Relayed {
    /// The sink, before anything that it says.
    Sink(Handle<SinkMessage>),
    /// What the stage tells its processor.
    Told(Box<ProcessorMessage>),
}

/// The tree of one stage. Dropping it stops the stage.
pub(super) struct Stage {
    tree: SupervisorHandle,
    pub(super) relayed: mpsc::Receiver<Relayed>,
    /// Why the stage ended, once it has.
    pub(super) ended: watch::Receiver<Option<ExitReason>>,
}

/// Which stage a tree is for: they start in different orders, and a sink is told to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StageKind {
    Fetcher,
    Sink,
}

impl Stage {
    /// Starts a stage.
    pub(super) async fn start(
        name: String,
        kind: StageKind,
        child: ChildSpec,
        clock: Arc<dyn Clock>,
        seed: u64,
    ) -> Result<Self, ExitError> {
        let (messages, relayed) = mpsc::channel(RELAYED_WAITING);
        let (end, ended) = watch::channel(None);
        let id = child.id().clone();
        let observer = Arc::new(move |report: &RestartReport| {
            // The first end is the cause of others.
            end.send_if_modified(|end| end.is_none() && end.replace(report.reason.clone()).is_none());
        });
        let child = child.restart(Restart::Transient);
        let relay = ChildSpec::worker("processor", move |context| {
            let sink = match kind {
                StageKind::Fetcher => None,
                StageKind::Sink => Some(context.sibling::<SinkMessage>(id.as_str())?),
            };
            Ok((Relay, RelayState { messages: messages.clone(), sink, probe: context.probe().clone() }))
        });
        let relay = relay.restart(Restart::Transient).shutdown(Shutdown::Within(STOPS_WITHIN));
        let invalid = |error: &dyn std::fmt::Display| ExitError::new(ErrorClass::Internal, error.to_string());
        let intensity = RestartIntensity::new(0, NO_RESTARTS_WITHIN).map_err(|error| invalid(&error))?;
        let spec = SupervisorSpec::new(name, Strategy::OneForAll, intensity).end_when(EndWhen::Told);
        let spec = match kind {
            StageKind::Fetcher => spec.child(relay).child(child),
            StageKind::Sink => spec.child(child).child(relay),
        };
        let tree =
            SupervisorHandle::start(spec, clock, seed, Some(observer)).await.map_err(
                |error| match error {
                    StartError::Refused(error) => error,
                    other => invalid(&other),
                },
            )?;
        Ok(Self { tree, relayed, ended })
    }

    /// Waits until the stage has ended: normally, or with its error.
    pub(super) async fn ended(&mut self) -> Result<(), ExitError> {
        let told = async {
            match self.ended.wait_for(Option::is_some).await {
                Ok(reason) => reason.clone().unwrap_or(ExitReason::Killed),
                // The tree has gone with its observer.
                Err(_) => ExitReason::Killed,
            }
        };
        let reason = tokio::select! {
            reason = told => reason,
            reason = self.tree.join() => reason,
        };
        match reason {
            ExitReason::Normal => Ok(()),
            ExitReason::Failed(error) | ExitReason::StartRefused(error) => Err(error),
            // Asked to stop by its node, which may well serve again.
            reason @ (ExitReason::Shutdown | ExitReason::Killed) => {
                Err(ExitError::new(ErrorClass::Unavailable, format!("the stage was ended: {reason}")))
            }
            reason => Err(ExitError::new(ErrorClass::Internal, format!("the stage {reason}"))),
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.tree.begin_stop(STOPS_WITHIN.saturating_mul(2));
    }
}

/// The stand-in.
struct Relay;

struct RelayState {
    messages: mpsc::Sender<Relayed>,
    sink: Option<Handle<SinkMessage>>,
    probe: Arc<Probe>,
}

impl Actor for Relay {
    type Msg = ProcessorMessage;
    type State = RelayState;
    type Arguments = RelayState;

    async fn pre_start(
        &self,
        _: ActorRef<ProcessorMessage>,
        state: RelayState,
    ) -> Result<RelayState, ActorProcessingErr> {
        Ok(state)
    }

    async fn post_start(
        &self,
        myself: ActorRef<ProcessorMessage>,
        state: &mut RelayState,
    ) -> Result<(), ActorProcessingErr> {
        let Some(sink) = state.sink.take() else { return Ok(()) };
        let processor = Handle::new(myself, state.probe.clone());
        let gone = |_| ExitError::new(ErrorClass::Unavailable, "the sink has ended");
        let _ = state.messages.send(Relayed::Sink(sink.clone())).await;
        sink.send(SinkMessage::Open { processor, sink: 0 }).map_err(gone)?;
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<ProcessorMessage>,
        message: ProcessorMessage,
        state: &mut RelayState,
    ) -> Result<(), ActorProcessingErr> {
        // Without a stream to take it the tree is being stopped.
        let _ = state.messages.send(Relayed::Told(Box::new(message))).await;
        Ok(())
    }
}
