//! Why an actor ended, and what that means for its supervisor.
//!
//! A worker ends itself by returning an [`ExitError`] from a handler; its [`ErrorClass`] says what to do next. Ractor
//! hands panics and errors on in the same box, so the box is opened once, here ([`ExitReason::of_failure`]), by type and
//! never by text.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorProcessingErr, SpawnErr};
use thiserror::Error;

use crate::child_spec::SpecError;

/// What to do about an error.
///
/// | class | supervisor |
/// |---|---|
/// | `Unavailable` | restarts, within its intensity |
/// | `Internal` | restarts, within its intensity: a bug, perhaps not met again |
/// | `Exhausted` | escalates at once: it was waited for as long as it may be |
/// | `Invalid` | escalates at once: restarting cannot help |
/// | `Fenced` | parks: somebody else owns the work now |
/// | `Data` | parks: the same input would fail again, and a person must look at it |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// Something outside is away; a later attempt may work. Retried by whoever met it until its budget was spent.
    Unavailable,
    /// Something outside stayed away for longer than anybody is to wait. A restart would begin the wait anew.
    Exhausted,
    /// Settings or arguments make no sense.
    Invalid,
    /// A newer owner exists.
    Fenced,
    /// Input is not what it must be.
    Data,
    /// A bug of ours.
    Internal,
}

impl ErrorClass {
    /// For labels and logs: a word in lower case that stays the same.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Exhausted => "exhausted",
            Self::Invalid => "invalid",
            Self::Fenced => "fenced",
            Self::Data => "data",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The error with which an actor ends itself. Equal if class and message are.
#[derive(Clone, Debug)]
pub struct ExitError {
    /// Decides what its supervisor does.
    pub class: ErrorClass,
    /// What failed, with the input, the value and the fix.
    pub message: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl ExitError {
    /// Without a source.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), source: None }
    }

    /// The same error, caused by `source`.
    #[must_use]
    pub fn caused_by(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// An error box as it leaves a handler: the `ExitError` that it is, or else [`ErrorClass::Internal`].
    pub fn of_box(error: ActorProcessingErr) -> Self {
        match error.downcast::<Self>() {
            Ok(error) => *error,
            Err(other) => Self {
                class: ErrorClass::Internal,
                message: other.to_string(),
                source: other.source().map(|source| Arc::new(Text(chain(source))) as _),
            },
        }
    }
}

impl PartialEq for ExitError {
    fn eq(&self, other: &Self) -> bool {
        self.class == other.class && self.message == other.message
    }
}

impl Eq for ExitError {}

impl fmt::Display for ExitError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.class, self.message)
    }
}

impl Error for ExitError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as _)
    }
}

/// An error of which only the text is left.
#[derive(Debug, Error)]
#[error("{0}")]
struct Text(String);

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}

/// Why an actor is no longer there, or never was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// It had nothing left to do.
    Normal,
    /// It was asked to stop, and did.
    Shutdown,
    /// It was ended from outside without a chance to clean up.
    Killed,
    /// It had messages and made no progress for this long, and was killed for it.
    Stalled {
        /// Messages that waited, the one in work included.
        queued: u64,
        /// Without progress.
        since: Duration,
    },
    /// A handler panicked, with this text.
    Panicked(String),
    /// A handler returned this error; or a supervisor gave up, and says why.
    Failed(ExitError),
    /// It refused to start.
    StartRefused(ExitError),
    /// It did not start within this time.
    StartTimedOut(Duration),
    /// A supervisor ended because a child of it must not run: see [`ErrorClass::Fenced`] and [`ErrorClass::Data`]. Or an
    /// operator asked for it. To its own supervisor that is a normal end, after which it waits for `resume`.
    Parked(String),
}

impl ExitReason {
    /// The reason of an `ActorFailed`: an [`ExitError`], or else the text of a panic. Errors of other types were turned
    /// into [`ErrorClass::Internal`] before ractor saw them, if the actor was started by a child spec for workers.
    pub(crate) fn of_failure(error: ActorProcessingErr) -> Self {
        match error.downcast::<ExitError>() {
            Ok(error) => Self::Failed(*error),
            Err(other) => Self::Panicked(other.to_string()),
        }
    }

    /// The reason of an `ActorTerminated`. Ractor tells a kill by this word alone if the actor was idle, and leaves no
    /// state if it was at work or its task was dropped.
    pub(crate) fn of_termination(has_state: bool, why: Option<&str>) -> Self {
        if has_state && why != Some("killed") { Self::Normal } else { Self::Killed }
    }

    /// The class of an error, whether met while starting or while running.
    pub const fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::Failed(error) | Self::StartRefused(error) => Some(error.class),
            Self::Normal
            | Self::Shutdown
            | Self::Killed
            | Self::Stalled { .. }
            | Self::Panicked(_)
            | Self::StartTimedOut(_)
            | Self::Parked(_) => None,
        }
    }

    /// Whether the actor ended as it should have. A transient child is restarted only if not.
    pub const fn is_normal(&self) -> bool {
        matches!(self, Self::Normal | Self::Shutdown | Self::Parked(_))
    }

    /// For labels and logs: a word in lower case that stays the same.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Shutdown => "shutdown",
            Self::Killed => "killed",
            Self::Stalled { .. } => "stalled",
            Self::Panicked(_) => "panicked",
            Self::Failed(_) => "failed",
            Self::StartRefused(_) => "start_refused",
            Self::StartTimedOut(_) => "start_timed_out",
            Self::Parked(_) => "parked",
        }
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => formatter.write_str("ended by itself"),
            Self::Shutdown => formatter.write_str("stopped as asked"),
            Self::Killed => formatter.write_str("killed"),
            Self::Stalled { queued, since } => {
                write!(formatter, "stalled: no progress on {queued} messages for {since:?}")
            }
            Self::Panicked(text) => write!(formatter, "panicked: {text}"),
            Self::Failed(error) => {
                write!(formatter, "failed: {error}")?;
                write_source(formatter, error)
            }
            Self::StartRefused(error) => {
                write!(formatter, "refused to start: {error}")?;
                write_source(formatter, error)
            }
            Self::StartTimedOut(limit) => write!(formatter, "did not start within {limit:?}"),
            Self::Parked(why) => write!(formatter, "parked: {why}"),
        }
    }
}

fn write_source(formatter: &mut fmt::Formatter<'_>, error: &ExitError) -> fmt::Result {
    error.source().map_or(Ok(()), |source| write!(formatter, ": {}", chain(source)))
}

/// Why a factory gave no actor.
#[derive(Debug, Error)]
pub enum StartError {
    /// The actor, or its factory, refused; the class counts as if it had been running.
    #[error("{0}")]
    Refused(#[from] ExitError),
    /// What is to be started makes no sense.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// No child of this id is running beside it.
    #[error("no sibling `{id}` is running; list it before this child, under one_for_all or rest_for_one")]
    NoSibling {
        /// As asked for.
        id: String,
    },
    /// The sibling takes other messages.
    #[error("sibling `{id}` does not take {message}; ask for its own message type")]
    SiblingOfOtherType {
        /// As asked for.
        id: String,
        /// The type asked for.
        message: &'static str,
    },
}

impl From<SpawnErr> for StartError {
    fn from(error: SpawnErr) -> Self {
        Self::Refused(match error {
            SpawnErr::StartupFailed(error) => ExitError::of_box(error),
            other @ (SpawnErr::ActorAlreadyStarted | SpawnErr::ActorAlreadyRegistered(_)) => {
                ExitError::new(ErrorClass::Internal, other.to_string())
            }
        })
    }
}

impl From<StartError> for ExitReason {
    fn from(error: StartError) -> Self {
        Self::StartRefused(match error {
            StartError::Refused(error) => error,
            // The sibling may be on its way back.
            StartError::NoSibling { .. } => ExitError::new(ErrorClass::Unavailable, error.to_string()),
            StartError::SiblingOfOtherType { .. } | StartError::Spec(_) => {
                ExitError::new(ErrorClass::Invalid, error.to_string())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn failure_is_told_by_type() {
        let check = |error: ActorProcessingErr, expect: ExitReason| {
            assert_eq!(ExitReason::of_failure(error), expect);
        };
        let fenced = ExitError::new(ErrorClass::Fenced, "epoch 3 is newer");
        check(fenced.clone().into(), ExitReason::Failed(fenced));
        check("fenced: epoch 3 is newer".into(), ExitReason::Panicked("fenced: epoch 3 is newer".into()));
    }

    #[test]
    fn kill_is_told_from_a_stop() {
        let check = |has_state, why, expect| {
            assert_eq!(ExitReason::of_termination(has_state, why), expect, "{has_state} {why:?}");
        };
        check(true, None, ExitReason::Normal);
        check(true, Some("Drained"), ExitReason::Normal);
        check(true, Some("killed"), ExitReason::Killed);
        check(false, Some("killed"), ExitReason::Killed);
        check(false, Some("actor_task_cancelled"), ExitReason::Killed);
    }

    #[test]
    fn other_errors_of_a_handler_are_internal_and_keep_their_text() {
        let error = ExitError::of_box(Box::new(io::Error::other("disk on fire")));
        assert_eq!(error, ExitError::new(ErrorClass::Internal, "disk on fire"));
        let data = ExitError::new(ErrorClass::Data, "ledger 5").caused_by(io::Error::other("bad xdr"));
        assert_eq!(ExitError::of_box(data.clone().into()), data);
    }

    #[test]
    fn display_tells_the_whole_chain() {
        let error = ExitError::new(ErrorClass::Data, "decode ledger 5").caused_by(io::Error::other("byte 7"));
        assert_eq!(ExitReason::Failed(error).to_string(), "failed: data: decode ledger 5: byte 7");
    }

    #[test]
    fn start_errors_have_a_class() {
        let check = |error: StartError, expect| assert_eq!(ExitReason::from(error).class(), Some(expect));
        check(StartError::NoSibling { id: "sink".into() }, ErrorClass::Unavailable);
        check(StartError::SiblingOfOtherType { id: "sink".into(), message: "u8" }, ErrorClass::Invalid);
        check(ExitError::new(ErrorClass::Data, "x").into(), ErrorClass::Data);
        check(SpawnErr::StartupFailed("no".into()).into(), ErrorClass::Internal);
        let typed = ExitError::new(ErrorClass::Fenced, "x");
        check(SpawnErr::StartupFailed(typed.into()).into(), ErrorClass::Fenced);
    }
}
