//! A child that is a loop rather than an actor with messages: it waits for sockets, timers and channels at once.
//!
//! Ractor runs one handler at a time and does not interrupt it, so that such a loop cannot be a handler. It runs as a
//! task of its own that lives exactly as long as its actor: it is dropped where it waits when the actor is stopped, and
//! its end, its error or its panic ends the actor.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use futures::future::BoxFuture;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_cluster::RactorMessage;
use tokio::task::JoinHandle;

use crate::child_spec::{ChildId, ChildSpec};
use crate::exit::{ErrorClass, ExitError, StartError};
use crate::start::StartContext;

/// What a task runs, and how it ends.
pub type TaskFuture = BoxFuture<'static, Result<(), ExitError>>;

impl ChildSpec {
    /// A child that is one future: `make` gives it, anew for every life. Otherwise as [`Self::worker`].
    pub fn task(
        id: impl Into<ChildId>,
        make: impl Fn(&StartContext) -> Result<TaskFuture, StartError> + Send + Sync + 'static,
    ) -> Self {
        Self::worker(id, move |context| Ok((TaskActor, make(context)?)))
    }
}

struct TaskActor;

/// The task's last word.
#[derive(Debug, RactorMessage)]
struct Ended(Result<(), ExitError>);

/// A task that ends with whoever holds this.
#[derive(Debug)]
pub(crate) struct ScopedTask(JoinHandle<()>);

impl ScopedTask {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that spawns: aborted on drop, held by a supervised actor"
    )]
    pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(future))
    }
}

impl Drop for ScopedTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Actor for TaskActor {
    type Msg = Ended;
    type State = ScopedTask;
    type Arguments = TaskFuture;

    async fn pre_start(
        &self,
        myself: ActorRef<Ended>,
        future: TaskFuture,
    ) -> Result<ScopedTask, ActorProcessingErr> {
        Ok(ScopedTask::spawn(async move {
            let ended = AssertUnwindSafe(future).catch_unwind().await;
            let ended = ended.unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
            // The actor is gone only if it is stopping, which drops this task.
            let _ = myself.send_message(Ended(ended));
        }))
    }

    async fn handle(
        &self,
        myself: ActorRef<Ended>,
        Ended(ended): Ended,
        _: &mut ScopedTask,
    ) -> Result<(), ActorProcessingErr> {
        ended?;
        myself.stop(None);
        Ok(())
    }
}

/// The error of a future that panicked.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> ExitError {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    ExitError::new(ErrorClass::Internal, format!("panicked: {}", text.unwrap_or("without a text")))
}
