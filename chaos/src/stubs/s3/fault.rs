//! How a store misbehaves, and which requests that befalls. Pure: requests in, what is wrong with them out.

use std::time::Duration;

/// How a store misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoreFault {
    /// Not at all.
    #[default]
    None,
    /// O1: 503 SlowDown, 429, 500 and 502, by turns, and nothing is done.
    Throttles,
    /// O2: nothing is done, nothing is said for so long, and the connection is reset.
    SilentBefore(Duration),
    /// O3: it is done, and then the connection is reset, or 500 is answered, by turns.
    AnswerLost,
    /// O4: a put that a condition refuses is answered with 409 in place of 412; others are, without being done.
    Conflicts,
    /// O5: the connection is reset, and what was put comes so much later.
    AppliesLate(Duration),
    /// O6: lists are those of the moment when this began, and lack every second name.
    StaleLists,
    /// O7: what is read breaks off, is announced as longer or shorter, or is other bytes, by turns.
    BadBodies,
    /// O10: 403, as for credentials that have expired and for a clock that is wrong, by turns.
    Denies,
    /// O11: puts replace what is there, whatever their condition.
    IgnoresConditions,
}

/// Kinds of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Get,
    List,
    Put { is_conditional: bool },
    Other,
}

/// What is wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Answered with this status and S3's name for it, and nothing is done.
    Refused(u16, &'static str),
    Silent(Duration),
    /// Done; then a reset, or 500.
    LostByReset,
    LostByError,
    /// 409 in place of 412.
    OtherRefusal,
    Late(Duration),
    Stale,
    Cut,
    TooLong,
    TooShort,
    OtherBytes,
    Unconditional,
}

/// Which fault there is, and what it has done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Schedule {
    fault: StoreFault,
    /// Every so many-th request that the fault can befall.
    every: u64,
    could_befall: u64,
    /// Requests that it befell, since it was set.
    pub(super) befallen: u64,
}

impl Schedule {
    pub(super) fn new(fault: StoreFault, every: u64) -> Self {
        Self { fault, every: every.max(1), could_befall: 0, befallen: 0 }
    }

    /// What is wrong with the next request, if anything.
    pub(super) fn next(&mut self, kind: Kind) -> Option<Wrong> {
        if !self.fault.can_befall(kind) {
            return None;
        }
        self.could_befall += 1;
        if !self.could_befall.is_multiple_of(self.every) {
            return None;
        }
        let turn = self.befallen;
        self.befallen += 1;
        self.fault.wrong(turn)
    }
}

impl StoreFault {
    fn can_befall(self, kind: Kind) -> bool {
        match self {
            Self::None => false,
            Self::Throttles | Self::SilentBefore(_) | Self::Denies => true,
            Self::AnswerLost => matches!(kind, Kind::Put { .. } | Kind::Other),
            Self::AppliesLate(_) => matches!(kind, Kind::Put { .. }),
            Self::Conflicts | Self::IgnoresConditions => kind == Kind::Put { is_conditional: true },
            Self::StaleLists => kind == Kind::List,
            Self::BadBodies => kind == Kind::Get,
        }
    }

    fn wrong(self, turn: u64) -> Option<Wrong> {
        let by_turns = |all: &[Wrong]| all.get((turn % all.len() as u64) as usize).copied();
        match self {
            Self::None => None,
            Self::Throttles => by_turns(&[
                Wrong::Refused(503, "SlowDown"),
                Wrong::Refused(429, "TooManyRequests"),
                Wrong::Refused(500, "InternalError"),
                Wrong::Refused(502, "BadGateway"),
            ]),
            Self::SilentBefore(time) => Some(Wrong::Silent(time)),
            Self::AnswerLost => by_turns(&[Wrong::LostByReset, Wrong::LostByError]),
            Self::Conflicts => {
                by_turns(&[Wrong::OtherRefusal, Wrong::Refused(409, "ConditionalRequestConflict")])
            }
            Self::AppliesLate(time) => Some(Wrong::Late(time)),
            Self::StaleLists => Some(Wrong::Stale),
            Self::BadBodies => by_turns(&[Wrong::Cut, Wrong::TooLong, Wrong::TooShort, Wrong::OtherBytes]),
            Self::Denies => {
                by_turns(&[Wrong::Refused(403, "ExpiredToken"), Wrong::Refused(403, "RequestTimeTooSkewed")])
            }
            Self::IgnoresConditions => Some(Wrong::Unconditional),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_befalls_every_so_many_th_request_that_it_can() {
        let mut schedule = Schedule::new(StoreFault::AnswerLost, 2);
        let put = Kind::Put { is_conditional: true };
        let kinds = [put, Kind::Get, put, Kind::List, put, put, Kind::Other, put];
        let found: Vec<_> = kinds.iter().map(|kind| schedule.next(*kind)).collect();
        let (reset, error) = (Some(Wrong::LostByReset), Some(Wrong::LostByError));
        assert_eq!(found, [None, None, reset, None, None, error, None, reset]);
        assert_eq!(schedule.befallen, 3);
    }

    #[test]
    fn without_a_fault_nothing_is_wrong() {
        let mut schedule = Schedule::default();
        assert_eq!(schedule.next(Kind::Get), None);
        assert_eq!(schedule.befallen, 0);
    }
}
