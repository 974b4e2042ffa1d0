//! Traces of ledgers that no reader was sent yet: the last step of a ledger on its way from its source to somebody's socket.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use orrery_schemas::LedgerSequence;
use tracing::{Span, info_span};

/// Ledgers that wait for a reader. More would hold back the traces of ledgers that nobody reads: a trace is told when its last
/// step is over.
const AWAITED_MAX: usize = 8;

/// Steps that begin when the feed is offered a ledger, and end when the first reader is sent it.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    steps: Mutex<VecDeque<(LedgerSequence, Span)>>,
    /// How many there are: thousands of readers ask, and most of the time there is none.
    count: AtomicUsize,
}

impl Awaited {
    /// A ledger is there, of a batch with this trace. Nothing is kept where nobody collects traces.
    pub(super) fn begin(&self, ledger: LedgerSequence, trace: &Span) {
        if trace.is_disabled() {
            return;
        }
        let step = info_span!(parent: trace, "deliver", ledger = ledger.0);
        if step.is_disabled() {
            return;
        }
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.push_back((ledger, step));
        while steps.len() > AWAITED_MAX {
            steps.pop_front();
        }
        self.count.store(steps.len(), Ordering::Release);
    }

    /// A reader was sent a ledger.
    pub(super) fn end(&self, ledger: LedgerSequence) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.retain(|(awaited, _)| *awaited != ledger);
        self.count.store(steps.len(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    fn waits(awaited: &Awaited) -> Vec<u32> {
        awaited.steps.lock().unwrap().iter().map(|(ledger, _)| ledger.0).collect()
    }

    #[test]
    fn a_ledger_waits_for_its_first_reader_among_the_newest_few() {
        let subscriber =
            tracing_subscriber::registry().with(tracing_subscriber::fmt::layer().with_writer(std::io::sink));
        tracing::subscriber::with_default(subscriber, || {
            let (awaited, trace) = (Awaited::default(), info_span!("ledgers"));
            for ledger in 1..=10 {
                awaited.begin(LedgerSequence(ledger), &trace);
            }
            assert_eq!(waits(&awaited), [3, 4, 5, 6, 7, 8, 9, 10]);
            for ledger in [9, 9, 1] {
                awaited.end(LedgerSequence(ledger));
            }
            assert_eq!(waits(&awaited), [3, 4, 5, 6, 7, 8, 10]);
        });
    }

    #[test]
    fn nothing_waits_where_nobody_collects() {
        let awaited = Awaited::default();
        awaited.begin(LedgerSequence(1), &Span::none());
        assert!(waits(&awaited).is_empty());
    }
}
