//! Datagrams that came to nothing: counted by reason, told at most once in a while.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::counter;
use tracing::warn;

use super::datagram::Refusal;
use crate::clock::{Clock, MonotonicTime};
use crate::{Metric, Shown};

const REFUSED_DATAGRAMS: &str = "orrery_membership_refused_datagrams_total";
const UNSENT_DATAGRAMS: &str = "orrery_membership_unsent_datagrams_total";

/// What becomes of datagrams.
pub const METRICS: [Metric; 2] = [
    Metric::counter(REFUSED_DATAGRAMS, "datagrams", "Datagrams of the gossip that were dropped, by reason.")
        .of(&["reason"])
        .shown(Shown::Sometimes),
    Metric::counter(UNSENT_DATAGRAMS, "datagrams", "Datagrams of the gossip that could not be sent.")
        .shown(Shown::Sometimes),
];

/// Who sends rubbish could otherwise fill the disk with log lines.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Datagrams of one node that came to nothing. Its socket writes; whoever has the handle reads.
pub struct GossipCounts {
    clock: Arc<dyn Clock>,
    refused: AtomicU64,
    unsent: AtomicU64,
    logged_at: Mutex<[Option<MonotonicTime>; 2]>,
}

impl GossipCounts {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, refused: AtomicU64::new(0), unsent: AtomicU64::new(0), logged_at: Mutex::default() }
    }

    /// Datagrams that were dropped as they came: not authentic, repeated, or no gossip.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Datagrams that could not be sent.
    pub fn unsent(&self) -> u64 {
        self.unsent.load(Ordering::Relaxed)
    }

    pub(super) fn refuse(&self, refusal: Refusal, from: SocketAddr) {
        let refused = 1 + self.refused.fetch_add(1, Ordering::Relaxed);
        counter!(REFUSED_DATAGRAMS, "reason" => refusal.as_str()).increment(1);
        // What it sends to itself, by whatever way, is nobody's fault.
        if refusal != Refusal::Own && self.is_due(0) {
            warn!(%from, reason = %refusal, refused, "datagram of the gossip dropped");
        }
    }

    pub(super) fn could_not_send(&self, to: SocketAddr, error: &dyn Display) {
        let unsent = 1 + self.unsent.fetch_add(1, Ordering::Relaxed);
        counter!(UNSENT_DATAGRAMS).increment(1);
        if self.is_due(1) {
            warn!(%to, %error, unsent, "datagram of the gossip could not be sent");
        }
    }

    /// One line in a while for each kind of message.
    fn is_due(&self, kind: usize) -> bool {
        let now = self.clock.now();
        let mut logged_at = self.logged_at.lock().unwrap_or_else(PoisonError::into_inner);
        let due = logged_at[kind].is_none_or(|at| now.since(at) >= LOG_INTERVAL);
        if due {
            logged_at[kind] = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn rubbish_is_counted_always_and_logged_seldom() {
        let clock = Arc::new(ManualClock::default());
        let counts = GossipCounts::new(Arc::clone(&clock) as Arc<dyn Clock>);
        assert!(counts.is_due(0) && counts.is_due(1));
        for _ in 0..1000 {
            counts.refuse(Refusal::Tag, ([127, 0, 0, 1], 1).into());
            assert!(!counts.is_due(0));
        }
        assert_eq!((counts.refused(), counts.unsent()), (1000, 0));
        clock.advance(LOG_INTERVAL);
        assert!(counts.is_due(0));
    }
}
