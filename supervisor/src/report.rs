//! What a supervisor tells about each child that ended without being asked to: one record, the same fields everywhere.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::child_spec::ChildId;
use crate::exit::ExitReason;

/// What became of the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is started again.
    Restarted,
    /// It ended for good, as it may.
    Ended,
    /// It waits for `resume`; if it is a worker, its supervisor stops the others and ends as parked.
    Parked,
    /// Its supervisor gives up.
    Escalated,
}

impl Outcome {
    /// For labels and logs: a word in lower case that stays the same.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restarted => "restarted",
            Self::Ended => "ended",
            Self::Parked => "parked",
            Self::Escalated => "escalated",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The end of one life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartReport {
    /// Path of the supervisor from the root.
    pub supervisor: String,
    /// Whose life ended.
    pub child: ChildId,
    /// Why it ended.
    pub reason: ExitReason,
    /// What became of the child.
    pub outcome: Outcome,
    /// Restarts of the supervisor that count, this one included if it is one.
    pub restarts_in_window: u32,
    /// Of the life that ended.
    pub incarnation: u64,
    /// Wait before the restart; zero if there is none.
    pub delay: Duration,
}

/// Is given every report, on the supervisor's task: it must return at once, and a panic of it would end the supervisor.
pub type Observer = Arc<dyn Fn(&RestartReport) + Send + Sync>;

impl RestartReport {
    /// Logged here and nowhere else. Escalations and parked work need a person.
    pub(crate) fn log(&self) {
        macro_rules! log {
            ($level:ident, $message:literal) => {
                tracing::$level!(
                    supervisor = %self.supervisor,
                    child = %self.child,
                    reason = %self.reason,
                    kind = self.reason.kind(),
                    restarts_in_window = self.restarts_in_window,
                    incarnation = self.incarnation,
                    delay_ms = u64::try_from(self.delay.as_millis()).unwrap_or(u64::MAX),
                    $message
                )
            };
        }
        match self.outcome {
            Outcome::Restarted => log!(warn, "child failed, restarting"),
            Outcome::Ended if self.reason.is_normal() => log!(debug, "child ended"),
            Outcome::Ended => log!(info, "child ended"),
            // The cause was logged where it was met, below, or stands in the answer to whoever asked for it.
            Outcome::Parked if matches!(self.reason, ExitReason::Parked(_)) => {
                tracing::info!(supervisor = %self.supervisor, child = %self.child, "parked, with all below it");
            }
            Outcome::Parked => log!(error, "child must not run, parked"),
            Outcome::Escalated => log!(error, "child failed, supervisor gives up"),
        }
    }
}
