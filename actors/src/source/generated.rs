//! Synthetic ledgers as a source: generated as they are asked for, and paced if the URL says so.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use orrery_schemas::LedgerSequence;
use orrery_supervisor::{Clock, MonotonicTime, SystemClock};

use super::synthetic::{Rate, SyntheticLedgers, SyntheticSpec};
use super::{LedgerBound, RawLedger, SourceError};

/// Ledgers of a spec inside a range. A clone goes on by itself.
#[derive(Clone)]
pub(super) struct GeneratedLedgers {
    name: Arc<str>,
    chain: u32,
    /// Sequence of the next ledger that is generated.
    next: u32,
    wanted: std::ops::RangeInclusive<u32>,
    ledgers: SyntheticLedgers,
    pace: Option<Pace>,
}

impl GeneratedLedgers {
    pub(super) fn new(
        spec: &SyntheticSpec,
        chain: u32,
        wanted: std::ops::RangeInclusive<LedgerSequence>,
    ) -> Self {
        Self {
            name: spec.to_string().into(),
            chain,
            next: LedgerBound::FIRST_CLOSED.0,
            wanted: wanted.start().0..=wanted.end().0,
            ledgers: SyntheticLedgers::new(spec),
            pace: spec.rate.map(Pace::new),
        }
    }

    /// The same ledgers from `first` on, which is not before the next one.
    pub(super) fn from(&self, first: LedgerSequence) -> Self {
        Self { wanted: first.0..=*self.wanted.end(), ..self.clone() }
    }
}

impl Iterator for GeneratedLedgers {
    type Item = Result<RawLedger, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let sequence = self.next;
            if sequence > *self.wanted.end() {
                return None;
            }
            let ledger = self.ledgers.next()?;
            self.next += 1;
            if sequence < *self.wanted.start() {
                continue;
            }
            if let Some(pace) = &mut self.pace {
                pace.wait();
            }
            return Some(Ok(RawLedger {
                file: self.name.clone(),
                chain: self.chain,
                offset: 0,
                sequence: LedgerSequence(sequence),
                xdr: Bytes::from(ledger.to_xdr()),
            }));
        }
    }
}

/// Hands out ledgers at a rate; a reader that falls behind gets the ones it missed at once, as from a live network.
#[derive(Clone)]
struct Pace {
    clock: SystemClock,
    interval: Duration,
    due: MonotonicTime,
}

impl Pace {
    fn new(rate: Rate) -> Self {
        let interval = Duration::from_secs(1_000) / rate.ledgers_per_1000_seconds();
        Self { clock: SystemClock::new(), interval, due: MonotonicTime::ORIGIN }
    }

    fn wait(&mut self) {
        self.due = self.due.after(self.interval);
        let early = self.due.since(self.clock.now());
        if early.is_zero() {
            return;
        }
        // Nobody notifies: a timed wait is a sleep that a source's own thread may take.
        let (lock, never) = (Mutex::new(()), Condvar::new());
        let guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
        drop(never.wait_timeout_while(guard, early, |()| true));
    }
}
