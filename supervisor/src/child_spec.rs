//! What a supervisor runs, as data: a list of children reads like a table.
//!
//! ```text
//! SupervisorSpec::new("pipeline", Strategy::OneForAll, intensity)
//!     .child(ChildSpec::worker("sink", sink::factory(settings)).shutdown(Shutdown::Within(secs(30))))
//!     .child(ChildSpec::worker("ttp", ttp::factory(settings)))
//!     .child(ChildSpec::worker("source", source::factory(settings)).restart(Restart::Transient))
//! ```
//!
//! Children start in this order, one at a time, and stop in reverse. A whole tree is validated before its first start.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use ractor::{Actor, ActorCell};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::backoff::Backoff;
use crate::exit::{ErrorClass, ExitError, StartError};
use crate::restart_intensity::{RestartIntensity, RestartIntensityError};
use crate::start::StartContext;
use crate::supervisor;

/// Name of a child among its siblings. What an actor is known by outside of the tree's own reports: nothing looks up
/// actors by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildId(Arc<str>);

impl ChildId {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ChildId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl From<String> for ChildId {
    fn from(id: String) -> Self {
        Self(id.into())
    }
}

impl fmt::Display for ChildId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Who is restarted together with a child that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Nobody: children are independent, and a child whose start fails does not hold up those behind it.
    OneForOne,
    /// Everybody.
    OneForAll,
    /// Everybody who started after it.
    RestForOne,
}

/// When a child that ended is started again. [`ErrorClass`] overrides it: `Exhausted` and `Invalid` escalate, and
/// `Fenced` and `Data` park, unless the child is temporary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Restart {
    /// Always.
    Permanent,
    /// If it did not end normally; or else together with others of its group.
    Transient,
    /// Never.
    Temporary,
}

/// How a child is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shutdown {
    /// At once, in the middle of whatever it does, without `post_stop`.
    Kill,
    /// It finishes the message in work, drops the others and runs `post_stop`; killed if that lasts longer.
    Within(Duration),
}

/// Whether a supervisor may end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndWhen {
    /// Only when it is told to.
    Told,
    /// When every child has ended for good: for work that has an end. As parked, if a child is.
    AllEnded,
}

/// Starts one life of a child: spawns exactly one actor, linked to [`StartContext::supervisor`], and gives its cell.
/// Runs as a task of its own under the start timeout, and is dropped when that has passed.
pub type Factory =
    Arc<dyn Fn(StartContext) -> BoxFuture<'static, Result<ActorCell, StartError>> + Send + Sync>;

/// Worker, or supervisor of others.
#[derive(Clone, Debug)]
pub enum ChildKind {
    /// Does the work.
    Worker,
    /// Runs the tree below it. Counts as started when it runs; what its own children do is its business.
    Supervisor(Arc<SupervisorSpec>),
}

/// One child.
#[derive(Clone)]
pub struct ChildSpec {
    pub(crate) rules: ChildRules,
    pub(crate) kind: ChildKind,
    pub(crate) start_timeout: Duration,
    pub(crate) factory: Factory,
}

/// The part of a child's specification that decides.
#[derive(Clone, Debug)]
pub(crate) struct ChildRules {
    pub(crate) id: ChildId,
    pub(crate) restart: Restart,
    pub(crate) shutdown: Shutdown,
    /// `None` restarts at once.
    pub(crate) backoff: Option<Backoff>,
    pub(crate) stall_after: Option<Duration>,
}

impl ChildSpec {
    /// For workers that give no other: enough for one commit to a slow store.
    pub const SHUTDOWN_WITHIN: Duration = Duration::from_secs(10);

    /// For children that give no other. Starts do no I/O, so that even a busy machine needs a fraction of this.
    pub const START_TIMEOUT: Duration = Duration::from_secs(10);

    /// A supervisor ends by itself when the deadlines of its children have passed; this only bounds a bug.
    const SUPERVISOR_SHUTDOWN: Duration = Duration::from_secs(3600);

    /// A worker: `make` gives the actor and its arguments, anew for every life. Its messages are counted and its errors
    /// typed. Permanent, stopped within [`Self::SHUTDOWN_WITHIN`], restarted with [`Backoff::DEFAULT`].
    pub fn worker<A: Actor>(
        id: impl Into<ChildId>,
        make: impl Fn(&StartContext) -> Result<(A, A::Arguments), StartError> + Send + Sync + 'static,
    ) -> Self {
        let make = Arc::new(make);
        Self::custom(
            id,
            Arc::new(move |context| {
                let make = Arc::clone(&make);
                Box::pin(async move {
                    let (actor, arguments) = make(&context)?;
                    context.spawn(actor, arguments).await
                })
            }),
        )
    }

    /// A worker whose factory does more than make an actor.
    pub fn custom(id: impl Into<ChildId>, factory: Factory) -> Self {
        Self {
            rules: ChildRules {
                id: id.into(),
                restart: Restart::Permanent,
                shutdown: Shutdown::Within(Self::SHUTDOWN_WITHIN),
                backoff: Some(Backoff::DEFAULT),
                stall_after: None,
            },
            kind: ChildKind::Worker,
            start_timeout: Self::START_TIMEOUT,
            factory,
        }
    }

    /// A supervisor as a child, under the id of its specification. Permanent, and given the time that its children need to
    /// stop.
    pub fn supervisor(spec: SupervisorSpec) -> Self {
        let spec = Arc::new(spec);
        let below = Arc::clone(&spec);
        let factory: Factory = Arc::new(move |context| {
            let below = Arc::clone(&below);
            Box::pin(supervisor::start_below(context, below))
        });
        let shutdown = Shutdown::Within(Self::SUPERVISOR_SHUTDOWN);
        let child = Self::custom(spec.id.clone(), factory).shutdown(shutdown);
        Self { kind: ChildKind::Supervisor(spec), ..child }
    }

    /// When it is started again.
    #[must_use]
    pub const fn restart(mut self, restart: Restart) -> Self {
        self.rules.restart = restart;
        self
    }

    /// How it is stopped.
    #[must_use]
    pub const fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.rules.shutdown = shutdown;
        self
    }

    /// How long a start may last.
    #[must_use]
    pub const fn start_timeout(mut self, timeout: Duration) -> Self {
        self.start_timeout = timeout;
        self
    }

    /// How long to wait before a restart; `None` restarts at once.
    #[must_use]
    pub const fn backoff(mut self, backoff: Option<Backoff>) -> Self {
        self.rules.backoff = backoff;
        self
    }

    /// Kill and restart it when it has messages and made no progress for this long: a handler that hangs is invisible
    /// otherwise. Must be longer than the slowest message takes, or what handles it tells that it gets on, by
    /// [`progressed`](crate::progressed). Noticed up to a quarter later.
    #[must_use]
    pub const fn stall_after(mut self, limit: Duration) -> Self {
        self.rules.stall_after = Some(limit);
        self
    }

    /// Have it run, and all that is below it, on the threads of another runtime than its supervisor's.
    #[must_use]
    pub fn on(mut self, runtime: Handle) -> Self {
        let factory = self.factory;
        self.factory = Arc::new(move |context| {
            let (start, runtime) = (factory(context), runtime.clone());
            Box::pin(async move {
                // Ends with this future: a start that takes too long is dropped.
                let mut started = JoinSet::new();
                started.spawn_on(start, &runtime);
                let failed = |why: &dyn fmt::Display| {
                    StartError::from(ExitError::new(ErrorClass::Internal, why.to_string()))
                };
                match started.join_next().await {
                    Some(Ok(started)) => started,
                    Some(Err(error)) => Err(failed(&error)),
                    None => Err(failed(&"it was not begun")),
                }
            })
        });
        self
    }

    /// Its name among its siblings.
    pub const fn id(&self) -> &ChildId {
        &self.rules.id
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ChildSpec")
            .field("rules", &self.rules)
            .field("kind", &self.kind)
            .field("start_timeout", &self.start_timeout)
            .finish_non_exhaustive()
    }
}

/// A supervisor and its children.
#[derive(Clone, Debug)]
pub struct SupervisorSpec {
    pub(crate) id: ChildId,
    pub(crate) strategy: Strategy,
    pub(crate) intensity: RestartIntensity,
    pub(crate) end_when: EndWhen,
    pub(crate) children: Vec<ChildSpec>,
}

/// A specification that makes no sense. Says which supervisor, as the path from the root.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecError {
    /// Reports and commands could not name it.
    #[error("a child of `{supervisor}` has no id; name it")]
    EmptyId {
        /// Path.
        supervisor: String,
    },
    /// Reports and commands could not tell them apart.
    #[error("`{supervisor}` has two children `{id}`; rename one")]
    DuplicateId {
        /// Path.
        supervisor: String,
        /// Of both.
        id: String,
    },
    /// A child that always fails would be restarted for ever.
    #[error("child `{id}` of `{supervisor}`: {error}")]
    Intensity {
        /// Path.
        supervisor: String,
        /// Whose backoff.
        id: String,
        /// What does not fit.
        error: RestartIntensityError,
    },
    /// A limit of zero forbids everything.
    #[error("child `{id}` of `{supervisor}` has a {limit} of zero; give a positive duration")]
    ZeroLimit {
        /// Path.
        supervisor: String,
        /// Whose.
        id: String,
        /// Which.
        limit: &'static str,
    },
}

impl SupervisorSpec {
    /// Without children.
    pub fn new(id: impl Into<ChildId>, strategy: Strategy, intensity: RestartIntensity) -> Self {
        Self { id: id.into(), strategy, intensity, end_when: EndWhen::Told, children: Vec::new() }
    }

    /// Adds a child, to be started after those before it.
    #[must_use]
    pub fn child(mut self, child: ChildSpec) -> Self {
        self.children.push(child);
        self
    }

    /// Whether it may end by itself.
    #[must_use]
    pub const fn end_when(mut self, end_when: EndWhen) -> Self {
        self.end_when = end_when;
        self
    }

    /// Checks it and everything below it.
    ///
    /// # Errors
    ///
    /// See [`SpecError`].
    pub fn validate(&self) -> Result<(), SpecError> {
        self.validate_at(self.id.as_str())
    }

    fn validate_at(&self, path: &str) -> Result<(), SpecError> {
        let mut ids = BTreeSet::new();
        for child in &self.children {
            if !ids.insert(&child.rules.id) {
                return Err(SpecError::DuplicateId {
                    supervisor: path.to_owned(),
                    id: child.rules.id.to_string(),
                });
            }
            child.validate_at(path, self.intensity)?;
        }
        Ok(())
    }
}

impl ChildSpec {
    /// Checks it as a child of the supervisor at `path`.
    pub(crate) fn validate_at(&self, path: &str, intensity: RestartIntensity) -> Result<(), SpecError> {
        let ChildRules { id, backoff, stall_after, .. } = &self.rules;
        let supervisor = path.to_owned();
        if id.as_str().is_empty() {
            return Err(SpecError::EmptyId { supervisor });
        }
        let zero = |limit| SpecError::ZeroLimit { supervisor: path.to_owned(), id: id.to_string(), limit };
        if self.start_timeout.is_zero() {
            return Err(zero("start timeout"));
        }
        if stall_after.is_some_and(|limit| limit.is_zero()) {
            return Err(zero("stall limit"));
        }
        if let Some(Err(error)) = backoff.map(|backoff| intensity.can_be_exceeded_with(&backoff)) {
            return Err(SpecError::Intensity { supervisor, id: id.to_string(), error });
        }
        match &self.kind {
            ChildKind::Worker => Ok(()),
            ChildKind::Supervisor(spec) => spec.validate_at(&format!("{path}/{id}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn worker(id: &str) -> ChildSpec {
        ChildSpec::custom(
            id,
            Arc::new(|_| Box::pin(async { Err(StartError::NoSibling { id: String::new() }) })),
        )
    }

    #[test]
    fn senseless_specification_is_refused_with_the_path_to_it() {
        let check = |child: ChildSpec, expect: &str| {
            let below =
                SupervisorSpec::new("x", Strategy::OneForOne, RestartIntensity::new(3, secs(10)).unwrap());
            let below = below.child(worker("a")).child(child);
            let root =
                SupervisorSpec::new("root", Strategy::OneForOne, RestartIntensity::new(3, secs(60)).unwrap());
            let result = root.child(ChildSpec::supervisor(below)).validate();
            assert_eq!(result.map_err(|error| error.to_string()).err().unwrap_or_default(), expect);
        };
        check(worker("b"), "");
        check(worker("b").backoff(None).stall_after(secs(1)).start_timeout(secs(1)), "");
        check(worker("a"), "`root/x` has two children `a`; rename one");
        check(worker(""), "a child of `root/x` has no id; name it");
        check(
            worker("b").start_timeout(Duration::ZERO),
            "child `b` of `root/x` has a start timeout of zero; give a positive duration",
        );
        check(
            worker("b").stall_after(Duration::ZERO),
            "child `b` of `root/x` has a stall limit of zero; give a positive duration",
        );
        check(
            worker("b").backoff(Backoff::new(secs(1), secs(8)).ok()),
            "child `b` of `root/x`: more than 3 restarts in 10s may never happen, since 4 delays last up to 15s; \
             lengthen the period, or lower the number or the backoff",
        );
    }
}
