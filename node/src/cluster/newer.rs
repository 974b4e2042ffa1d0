//! What a coordinator makes of a node that has heard of a newer one: it stands by until its lease is read again, which
//! either says the same, or shows that the newer one is none of this dataset's.

use std::time::Duration;

use orrery_supervisor::MonotonicTime;

/// Leases are read every two seconds, and an answer may take three: the second one after that has been read by then.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(10);

/// What was heard.
#[derive(Debug, Default)]
pub(super) struct Newer {
    waits: Option<Waits>,
    /// Epochs up to this are of nobody here.
    disproved: u64,
}

#[derive(Clone, Copy, Debug)]
struct Waits {
    /// Of the lease that was refused.
    own: u64,
    newer: u64,
    since: MonotonicTime,
}

impl Newer {
    /// A node refuses epoch `own` as it has heard of `newer`. Gives whether the coordinator is to stand by for it.
    pub(super) fn heard(&mut self, own: u64, newer: u64, now: MonotonicTime) -> bool {
        let is_news = newer > self.disproved;
        if is_news {
            self.waits = Some(Waits { own, newer, since: now });
        }
        is_news
    }

    /// Whether the coordinator stands by though its lease, of epoch `own`, says that it is the active one.
    pub(super) fn waits(&mut self, own: u64, now: MonotonicTime) -> bool {
        let Some(Waits { newer, since, .. }) = self.waits.filter(|waits| waits.own == own) else {
            self.waits = None;
            return false;
        };
        let waits = now.since(since) < CONFIRMED_WITHIN;
        if !waits {
            self.waits = None;
            self.disproved = newer;
        }
        waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u64) -> MonotonicTime {
        MonotonicTime::ORIGIN.after(Duration::from_secs(seconds))
    }

    #[test]
    fn a_coordinator_stands_by_once_for_a_newer_one_until_its_lease_changes() {
        let mut newer = Newer::default();
        assert!(!newer.waits(2, after(0)));
        assert!(newer.heard(2, 3, after(0)));
        assert!(newer.waits(2, after(1)) && newer.waits(2, after(9)));
        assert!(!newer.waits(4, after(9)), "a later lease is its own");
        assert!(!newer.waits(2, after(9)));
    }

    #[test]
    fn a_newer_coordinator_of_whom_the_lease_does_not_tell_is_no_reason_a_second_time() {
        let mut newer = Newer::default();
        assert!(newer.heard(2, 9, after(0)));
        assert!(!newer.waits(2, after(10)));
        assert!(!newer.heard(2, 9, after(11)) && !newer.waits(2, after(11)));
        assert!(newer.heard(2, 10, after(12)) && newer.waits(2, after(12)));
    }
}
