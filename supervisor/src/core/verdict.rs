//! What the end of one life means, before anything is counted.

use crate::child_spec::Restart;
use crate::exit::{ErrorClass, ExitReason};

/// See [`verdict`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Start it again, if the intensity allows it.
    Restart,
    /// It has ended for good.
    End,
    /// The child, itself a supervisor, ended parked: it waits for `resume`, its siblings run on.
    ParkChild,
    /// The work of this supervisor must not go on: it ends parked.
    ParkAll,
    /// Give up at once.
    Escalate,
}

/// | reason | permanent | transient | temporary |
/// |---|---|---|---|
/// | parked | park child | park child | park child |
/// | `Fenced`, `Data` | park all | park all | end |
/// | `Exhausted`, `Invalid` | escalate | escalate | end |
/// | normal, shutdown | restart | end | end |
/// | anything else | restart | restart | end |
pub(crate) const fn verdict(restart: Restart, reason: &ExitReason) -> Verdict {
    if matches!(reason, ExitReason::Parked(_)) {
        return Verdict::ParkChild;
    }
    match (restart, reason.class()) {
        (Restart::Temporary, _) => Verdict::End,
        (Restart::Permanent | Restart::Transient, Some(ErrorClass::Fenced | ErrorClass::Data)) => {
            Verdict::ParkAll
        }
        (Restart::Permanent | Restart::Transient, Some(ErrorClass::Exhausted | ErrorClass::Invalid)) => {
            Verdict::Escalate
        }
        (Restart::Transient, None) if reason.is_normal() => Verdict::End,
        (
            Restart::Permanent | Restart::Transient,
            None | Some(ErrorClass::Unavailable | ErrorClass::Internal),
        ) => Verdict::Restart,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::exit::ExitError;

    #[test]
    fn verdict_follows_the_table() {
        use Verdict::{End, Escalate, ParkAll, ParkChild, Restart as Again};
        let check = |reason: &ExitReason, permanent, transient, temporary| {
            let expect = [permanent, transient, temporary];
            let found = [Restart::Permanent, Restart::Transient, Restart::Temporary]
                .map(|restart| verdict(restart, reason));
            assert_eq!(found, expect, "{reason}");
        };
        check(&ExitReason::Parked("x".into()), ParkChild, ParkChild, ParkChild);
        for reason in [ExitReason::Failed, ExitReason::StartRefused] {
            let of = |class| reason(ExitError::new(class, "x"));
            check(&of(ErrorClass::Fenced), ParkAll, ParkAll, End);
            check(&of(ErrorClass::Data), ParkAll, ParkAll, End);
            check(&of(ErrorClass::Exhausted), Escalate, Escalate, End);
            check(&of(ErrorClass::Invalid), Escalate, Escalate, End);
            check(&of(ErrorClass::Unavailable), Again, Again, End);
            check(&of(ErrorClass::Internal), Again, Again, End);
        }
        check(&ExitReason::Normal, Again, End, End);
        check(&ExitReason::Shutdown, Again, End, End);
        check(&ExitReason::Killed, Again, Again, End);
        check(&ExitReason::Panicked("x".into()), Again, Again, End);
        check(&ExitReason::StartTimedOut(Duration::ZERO), Again, Again, End);
        check(&ExitReason::Stalled { queued: 1, since: Duration::ZERO }, Again, Again, End);
    }
}
