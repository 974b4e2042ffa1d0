//! The one supervisor actor: it performs what its core decides, and tells the core what happened.
//!
//! Traps of ractor, and how they are met here:
//!
//! - A child's `pre_start` runs on the task of whoever spawns it: starts are tasks of their own, with a timeout.
//! - A child can end before its start is reported: such ends are kept until the report comes.
//! - An actor is known by its [`ractor::ActorId`], never by a name.
//! - Whenever a supervisor ends, ractor kills its children: this one ends only after they have.
//! - A killed actor is told as terminated, not as failed: see [`ExitReason::of_termination`].

mod lives;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::child_spec::{ChildId, ChildKind, ChildSpec, SupervisorSpec};
use crate::clock::Clock;
use crate::core::{Action, Child, Command, CommandRefused, CoreRules, Event, SupervisorCore, Timer};
use crate::exit::{ExitReason, StartError};
use crate::probe::Probe;
use crate::random::SeededRandom;
use crate::report::Observer;
use crate::start::StartContext;
use crate::tree::TreeNode;
use lives::{Lives, StartEnd};

/// What all supervisors of a tree share.
#[derive(Clone)]
pub(crate) struct Environment {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observer: Option<Observer>,
    /// Of the next supervisor to be started.
    pub(crate) seed: u64,
}

/// What a supervisor is asked.
pub(crate) enum SupervisorMessage {
    /// The task of a start is over.
    StartEnded(StartEnd),
    Elapsed(Timer),
    /// Stop all children, then end; kill whoever is left after `within`.
    Stop {
        within: Option<Duration>,
    },
    /// For the child at the end of the path.
    Ask {
        path: Vec<ChildId>,
        request: Request,
        reply: RpcReplyPort<Result<(), CommandRefused>>,
    },
    /// What is below it, told within the timeout.
    Tree {
        timeout: Duration,
        reply: RpcReplyPort<TreeNode>,
    },
}

impl ractor::Message for SupervisorMessage {}

/// What is asked about one child.
pub(crate) enum Request {
    Add(Box<ChildSpec>),
    Remove,
    Park,
    Resume,
    Kill,
}

pub(crate) struct Supervisor;

/// What a supervisor is started with.
pub(crate) struct Arguments {
    pub(crate) spec: Arc<SupervisorSpec>,
    /// From the root.
    pub(crate) path: String,
    pub(crate) incarnation: u64,
    pub(crate) environment: Environment,
    /// Of the root: told why it ended.
    pub(crate) exit: Option<watch::Sender<Option<ExitReason>>>,
}

/// Ends with its actor; what still runs of `tasks` is dropped then.
pub(crate) struct State {
    myself: ActorRef<SupervisorMessage>,
    id: ChildId,
    incarnation: u64,
    core: SupervisorCore,
    lives: Lives,
    environment: Environment,
    random: SeededRandom,
    /// Timers, starts and answers under way.
    tasks: JoinSet<()>,
    finished: Option<ExitReason>,
    exit: Option<watch::Sender<Option<ExitReason>>>,
}

/// The factory of a supervisor as a child.
pub(crate) async fn start_below(
    context: StartContext,
    spec: Arc<SupervisorSpec>,
) -> Result<ActorCell, StartError> {
    let parent = context.supervisor.clone();
    let StartContext { path, incarnation, environment, .. } = context;
    let arguments = Arguments { spec, path, incarnation, environment, exit: None };
    let (actor, _) = Actor::spawn_linked(None, Supervisor, arguments, parent).await?;
    Ok(actor.get_cell())
}

impl Actor for Supervisor {
    type Msg = SupervisorMessage;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<SupervisorMessage>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let Arguments { spec, path, incarnation, environment, exit } = arguments;
        let rules =
            CoreRules { path, strategy: spec.strategy, intensity: spec.intensity, end_when: spec.end_when };
        let children = spec.children.iter().map(|child| child.rules.clone()).collect();
        Ok(State {
            myself,
            id: spec.id.clone(),
            incarnation,
            core: SupervisorCore::new(rules, children, environment.clock.now()),
            lives: Lives::new(spec.children.clone()),
            random: SeededRandom::new(environment.seed),
            environment,
            tasks: JoinSet::new(),
            finished: None,
            exit,
        })
    }

    async fn post_start(
        &self,
        _myself: ActorRef<SupervisorMessage>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        state.step(Event::Begin)
    }

    async fn handle(
        &self,
        _myself: ActorRef<SupervisorMessage>,
        message: SupervisorMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SupervisorMessage::StartEnded(end) => state.start_ended(end),
            SupervisorMessage::Elapsed(Timer::Watchdog) => state.step(Event::Watched(state.lives.readings())),
            SupervisorMessage::Elapsed(timer) => state.step(Event::Elapsed(timer)),
            SupervisorMessage::Stop { within } => state.step(Event::StopRequested { within }),
            SupervisorMessage::Ask { path, request, reply } => state.asked(path, request, reply),
            SupervisorMessage::Tree { timeout, reply } => {
                state.tell_tree(timeout, reply);
                Ok(())
            }
        }
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<SupervisorMessage>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(cell, error) => {
                state.child_ended(&cell, ExitReason::of_failure(error))
            }
            SupervisionEvent::ActorTerminated(cell, last, why) => {
                let reason = ExitReason::of_termination(last.is_some(), why.as_deref());
                let of_supervisor =
                    last.and_then(|mut last| last.take::<State>().ok()).and_then(|last| last.finished);
                state.child_ended(&cell, of_supervisor.unwrap_or(reason))
            }
            SupervisionEvent::ActorStarted(_)
            | SupervisionEvent::ProcessGroupChanged(_)
            | SupervisionEvent::PidLifecycleEvent(_) => Ok(()),
        }
    }

    /// Only if somebody stopped this actor past its own messages is there anything to stop here.
    async fn post_stop(
        &self,
        _myself: ActorRef<SupervisorMessage>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        state.lives.stop_all(state.core.children()).await;
        state.tell_exit(ExitReason::Shutdown);
        Ok(())
    }
}

impl State {
    /// Hands an event to the core and does what it says.
    fn step(&mut self, event: Event) -> Result<(), ActorProcessingErr> {
        let now = self.environment.clock.now();
        let random = &mut self.random;
        let actions = self.core.step(event, now, &mut || random.draw());
        for action in actions {
            match action {
                Action::Start { child, incarnation } => self.start(child, incarnation),
                Action::Stop { child, incarnation } => self.lives.stop(&child, incarnation),
                Action::Kill { child, incarnation } => self.lives.kill(&child, incarnation),
                Action::Abandon { child, incarnation } => {
                    let supervisor = self.core.path();
                    tracing::error!(%supervisor, %child, incarnation, "killed child goes on, left behind");
                    self.lives.forget_life(&child, incarnation);
                }
                Action::Forget { child } => self.lives.forget(&child),
                Action::ArmTimer { timer, after } => {
                    let myself = self.myself.clone();
                    self.run_aside(async move {
                        tokio::time::sleep(after).await;
                        // Nobody waits any more if the supervisor has ended.
                        let _ = myself.send_message(SupervisorMessage::Elapsed(timer));
                    });
                }
                Action::Report(report) => {
                    report.log();
                    if let Some(observer) = &self.environment.observer {
                        observer(&report);
                    }
                }
                Action::Finish(reason) => return self.finish(reason),
            }
        }
        Ok(())
    }

    /// The one place where this crate starts a task that is not an actor. It ends with the supervisor.
    fn run_aside(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(task);
    }

    fn start(&mut self, child: ChildId, incarnation: u64) {
        let probe = Arc::new(Probe::default());
        let context = StartContext {
            supervisor: self.myself.get_cell(),
            path: format!("{}/{child}", self.core.path()),
            incarnation,
            probe: Arc::clone(&probe),
            siblings: self.lives.running(),
            environment: Environment { seed: self.random.draw(), ..self.environment.clone() },
        };
        let Some(start) = self.lives.begin_start(child, incarnation, probe, context) else { return };
        let myself = self.myself.clone();
        self.run_aside(async move {
            let end = start.await;
            // A supervisor that has ended has killed whatever was linked to it.
            let _ = myself.send_message(SupervisorMessage::StartEnded(end));
        });
    }

    fn start_ended(&mut self, end: StartEnd) -> Result<(), ActorProcessingErr> {
        let Some((child, incarnation, probe)) = self.lives.end_start(end.number) else { return Ok(()) };
        let is_current =
            self.core.child(&child).is_some_and(|found| found.incarnation == incarnation && found.is_alive());
        match end.result {
            Ok(cell) if is_current => {
                let early = self.lives.begin_life(child.clone(), incarnation, cell, probe);
                self.step(Event::ChildStarted { child: child.clone(), incarnation })?;
                let Some(reason) = early else { return Ok(()) };
                self.lives.forget_life(&child, incarnation);
                self.step(Event::ChildExited { child, incarnation, reason })
            }
            Ok(cell) => {
                cell.kill();
                Ok(())
            }
            Err(reason) => {
                // What the factory had spawned before it was dropped is linked, and nobody knows it.
                self.lives.kill_strangers(self.myself.get_children());
                self.step(Event::StartFailed { child, incarnation, reason })
            }
        }
    }

    fn child_ended(&mut self, cell: &ActorCell, reason: ExitReason) -> Result<(), ActorProcessingErr> {
        let Some((child, incarnation)) = self.lives.end_life(cell, &reason) else { return Ok(()) };
        let is_asked = self.core.child(&child).is_some_and(Child::is_stopping);
        let reason = if is_asked && reason == ExitReason::Normal { ExitReason::Shutdown } else { reason };
        self.step(Event::ChildExited { child, incarnation, reason })
    }

    fn asked(
        &mut self,
        mut path: Vec<ChildId>,
        request: Request,
        reply: RpcReplyPort<Result<(), CommandRefused>>,
    ) -> Result<(), ActorProcessingErr> {
        if path.len() > 1 {
            let below = path.remove(0);
            let Some(supervisor) = self.lives.supervisor(&below) else {
                let _ = reply.send(Err(CommandRefused::NotASupervisor(below.to_string())));
                return Ok(());
            };
            // If it has just ended the port is dropped, and whoever asks sees no answer.
            let _ = supervisor.send_message(SupervisorMessage::Ask { path, request, reply });
            return Ok(());
        }
        let (answer, result) = match path.pop() {
            Some(child) => self.carry_out(child, request),
            None => (Err(CommandRefused::NoSuchChild(String::new())), Ok(())),
        };
        let _ = reply.send(answer);
        result
    }

    /// The answer, and whether this supervisor goes on.
    fn carry_out(
        &mut self,
        child: ChildId,
        request: Request,
    ) -> (Result<(), CommandRefused>, Result<(), ActorProcessingErr>) {
        let command = match &request {
            Request::Kill => return (self.lives.kill_now(&child), Ok(())),
            Request::Add(spec) => {
                if let Err(error) = spec.validate_at(self.core.path(), self.core.intensity()) {
                    return (Err(error.into()), Ok(()));
                }
                Command::Add(spec.rules.clone())
            }
            Request::Remove => Command::Remove(child),
            Request::Park => Command::Park(child),
            Request::Resume => Command::Resume(child),
        };
        if let Err(refused) = self.core.check(&command) {
            return (Err(refused), Ok(()));
        }
        if let Request::Add(spec) = request {
            self.lives.add(*spec);
        }
        (Ok(()), self.step(Event::Command(command)))
    }

    fn finish(&mut self, reason: ExitReason) -> Result<(), ActorProcessingErr> {
        self.finished = Some(reason.clone());
        self.tell_exit(reason.clone());
        if let ExitReason::Failed(error) = reason {
            return Err(error.into());
        }
        self.myself.stop(Some(reason.kind().to_owned()));
        Ok(())
    }

    fn tell_exit(&mut self, reason: ExitReason) {
        if let Some(exit) = self.exit.take() {
            exit.send_replace(Some(self.finished.clone().unwrap_or(reason)));
        }
    }

    fn tell_tree(&mut self, timeout: Duration, reply: RpcReplyPort<TreeNode>) {
        let now = self.environment.clock.now();
        let mut tree = self.lives.tree(&self.core, now);
        tree.id = self.id.clone();
        tree.incarnation = self.incarnation;
        // Less than the whole time, so that what is known reaches whoever asked even if somebody below is silent.
        let timeout = timeout.mul_f64(0.8);
        let below: Vec<_> = tree
            .children
            .iter()
            .enumerate()
            .filter_map(|(index, child)| Some((index, self.lives.supervisor(&child.id)?.clone())))
            .collect();
        if below.is_empty() {
            let _ = reply.send(tree);
            return;
        }
        self.run_aside(async move {
            let answers = join_all(below.into_iter().map(|(index, supervisor)| async move {
                let ask = |reply| SupervisorMessage::Tree { timeout, reply };
                (index, ask_within(&supervisor, ask, timeout).await)
            }));
            for (index, answer) in answers.await {
                let child = &mut tree.children[index];
                child.answered = answer.is_some();
                let Some(answer) = answer else { continue };
                child.restarts_in_window = answer.restarts_in_window;
                child.children = answer.children;
            }
            let _ = reply.send(tree);
        });
    }
}

/// The answer of a supervisor, if it comes in time.
pub(crate) async fn ask_within<T: Send + 'static>(
    supervisor: &ActorRef<SupervisorMessage>,
    ask: impl FnOnce(RpcReplyPort<T>) -> SupervisorMessage,
    timeout: Duration,
) -> Option<T> {
    match supervisor.call(ask, Some(timeout)).await {
        Ok(ractor::rpc::CallResult::Success(answer)) => Some(answer),
        Ok(ractor::rpc::CallResult::Timeout | ractor::rpc::CallResult::SenderError) | Err(_) => None,
    }
}

/// Whether a child runs a tree of its own.
const fn is_supervisor(kind: &ChildKind) -> bool {
    matches!(kind, ChildKind::Supervisor(_))
}
