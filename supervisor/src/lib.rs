//! Supervision: who starts, watches, restarts and stops the actors, and when to give up. After Erlang/OTP, on ractor.
//!
//! What comes in is a [`SupervisorSpec`]: children as data, in start order. What goes out is a running tree behind a
//! [`SupervisorHandle`], a [`RestartReport`] for every life that ended without being asked to, and an [`ExitReason`] when
//! the root ends.
//!
//! - **Order.** Children start one at a time in the order of their list, and stop one at a time in reverse, each within its
//!   limit and then killed. Nobody is sent to an absent sibling: a factory asks its [`StartContext`] for the handles of
//!   those already running.
//! - **Restarts.** [`Strategy`] says who is restarted together, [`Restart`] when, [`Backoff`] how soon,
//!   [`RestartIntensity`] how often before the supervisor gives up and its own supervisor decides. Every life has an
//!   incarnation number.
//! - **Errors.** An actor ends itself with an [`ExitError`]; its [`ErrorClass`] says whether to restart, to escalate at
//!   once, or to park the work until somebody resumes it.
//! - **Stalls.** A handler that hangs is seen by its [`Probe`], if its [`ChildSpec`] says when to call it hung.
//!
//! Nobody outside of this crate spawns actors or handles supervision events (tests excepted). What decides is a pure core
//! (`core.rs`), tested against a model over random failures; `supervisor.rs` performs what it decides.

mod child_spec;
mod start;
mod task;
mod exit;
mod core;
mod restart_intensity;
mod backoff;
mod supervisor;
mod probe;
mod report;
mod tree;
mod handle;
mod clock;
mod random;
mod seldom;
mod metric;
mod seeded_bug;
#[cfg(feature = "seeded-bugs")]
pub mod seeded_bugs;
pub mod cluster;

pub use crate::core::CommandRefused;
pub use backoff::{Backoff, BackoffError};
pub use child_spec::{
    ChildId, ChildKind, ChildSpec, EndWhen, Factory, Restart, Shutdown, SpecError, Strategy, SupervisorSpec,
};
pub use clock::{Clock, ManualClock, MonotonicTime, SystemClock};
pub use exit::{ErrorClass, ExitError, ExitReason, StartError};
pub use handle::SupervisorHandle;
pub use metric::{Metric, MetricKind, Shown};
pub use probe::{Handle, Probe, progressed};
pub use random::SeededRandom;
pub use report::{Observer, Outcome, RestartReport};
pub use restart_intensity::{RestartIntensity, RestartIntensityError, RestartVerdict, RestartWindow};
pub use seldom::Seldom;
pub use start::StartContext;
pub use task::TaskFuture;
pub use tree::{NodeKind, NodeState, TreeNode};
