//! A supervision tree as its owner sees it.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorRef};
use tokio::sync::watch;

use crate::child_spec::{ChildId, ChildSpec, SupervisorSpec};
use crate::clock::Clock;
use crate::core::{CommandRefused, KILL_GRACE};
use crate::exit::{ExitReason, StartError};
use crate::report::Observer;
use crate::supervisor::{Arguments, Environment, Request, Supervisor, SupervisorMessage, ask_within};
use crate::tree::TreeNode;

/// How long a supervisor may take to accept a command. It does no I/O, so only a starved machine takes longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A running tree. Clones are the same tree; dropping them does not end it, [`Self::stop`] does.
///
/// Commands name children by their path, ids from below the root: `["pipelines", "pubnet"]`. They return when the command
/// is accepted; the tree shows what became of it.
#[derive(Clone, Debug)]
pub struct SupervisorHandle {
    root: ActorRef<SupervisorMessage>,
    exit: watch::Receiver<Option<ExitReason>>,
}

impl SupervisorHandle {
    /// Validates the whole tree, then starts it. Returns when the root runs; its children start after that, one at a time.
    ///
    /// `clock` judges restart intensities, `seed` draws the backoffs, `observer` is given every report. Needs a tokio
    /// runtime with timers.
    ///
    /// # Errors
    ///
    /// [`StartError::Spec`] if the tree makes no sense: then nothing has been started.
    pub async fn start(
        spec: SupervisorSpec,
        clock: Arc<dyn Clock>,
        seed: u64,
        observer: Option<Observer>,
    ) -> Result<Self, StartError> {
        spec.validate()?;
        let (sender, exit) = watch::channel(None);
        let arguments = Arguments {
            path: spec.id.to_string(),
            spec: Arc::new(spec),
            incarnation: 1,
            environment: Environment { clock, observer, seed },
            exit: Some(sender),
        };
        let (root, _) = Actor::spawn(None, Supervisor, arguments).await?;
        Ok(Self { root, exit })
    }

    /// A snapshot. A supervisor that does not answer in time shows as not answered.
    ///
    /// # Errors
    ///
    /// [`CommandRefused::NoAnswer`] if the root has ended, or did not answer within `timeout`.
    pub async fn tree(&self, timeout: Duration) -> Result<TreeNode, CommandRefused> {
        let ask = |reply| SupervisorMessage::Tree { timeout, reply };
        ask_within(&self.root, ask, timeout).await.ok_or(CommandRefused::NoAnswer)
    }

    /// Stops every child in reverse order, each within its own limit, all within `deadline`; whatever is left then is
    /// killed. Returns why the root ended, which is an earlier reason if it had one.
    pub async fn stop(&self, deadline: Duration) -> ExitReason {
        // If the root has ended there is nobody to tell.
        let _ = self.root.send_message(SupervisorMessage::Stop { within: Some(deadline) });
        let patience = deadline.saturating_add(KILL_GRACE).saturating_add(ANSWER_WITHIN);
        if let Ok(reason) = tokio::time::timeout(patience, self.join()).await {
            return reason;
        }
        self.root.kill();
        tokio::time::timeout(KILL_GRACE, self.join()).await.unwrap_or(ExitReason::Killed)
    }

    /// As [`Self::stop`], for whoever cannot wait: tells the root, and returns at once.
    pub fn begin_stop(&self, deadline: Duration) {
        // If the root has ended there is nobody to tell.
        let _ = self.root.send_message(SupervisorMessage::Stop { within: Some(deadline) });
    }

    /// Waits until the root has ended, and tells why. [`ExitReason::Failed`] is an escalation, whose class says what went
    /// wrong; [`ExitReason::Parked`] means that the root itself must not run.
    pub async fn join(&self) -> ExitReason {
        let mut exit = self.exit.clone();
        let ended = exit.wait_for(Option::is_some).await.map(|reason| reason.clone());
        // A root that could not tell was killed.
        ended.ok().flatten().unwrap_or(ExitReason::Killed)
    }

    /// Starts a child that is parked or has ended, with the next incarnation and a backoff that begins anew.
    ///
    /// # Errors
    ///
    /// See [`CommandRefused`].
    pub async fn resume(&self, path: &[&str]) -> Result<(), CommandRefused> {
        self.ask(path, Request::Resume).await
    }

    /// Stops a child of a one_for_one supervisor, until it is resumed.
    ///
    /// # Errors
    ///
    /// See [`CommandRefused`].
    pub async fn park(&self, path: &[&str]) -> Result<(), CommandRefused> {
        self.ask(path, Request::Park).await
    }

    /// For tests of faults: kills a child in the middle of whatever it does, as if from outside. What follows is what its
    /// specification says about a child that was killed.
    ///
    /// # Errors
    ///
    /// See [`CommandRefused`].
    pub async fn kill(&self, path: &[&str]) -> Result<(), CommandRefused> {
        self.ask(path, Request::Kill).await
    }

    /// Adds a child behind those that the supervisor at `path` has, and starts it.
    ///
    /// # Errors
    ///
    /// See [`CommandRefused`].
    pub async fn add_child(&self, path: &[&str], child: ChildSpec) -> Result<(), CommandRefused> {
        let mut path: Vec<&str> = path.to_vec();
        let id = child.rules.id.clone();
        path.push(id.as_str());
        self.ask(&path, Request::Add(Box::new(child))).await
    }

    /// Stops a child and takes it from the list.
    ///
    /// # Errors
    ///
    /// See [`CommandRefused`].
    pub async fn remove_child(&self, path: &[&str]) -> Result<(), CommandRefused> {
        self.ask(path, Request::Remove).await
    }

    async fn ask(&self, path: &[&str], request: Request) -> Result<(), CommandRefused> {
        let path = path.iter().map(|id| ChildId::from(*id)).collect();
        let ask = |reply| SupervisorMessage::Ask { path, request, reply };
        ask_within(&self.root, ask, ANSWER_WITHIN).await.unwrap_or(Err(CommandRefused::NoAnswer))
    }
}
