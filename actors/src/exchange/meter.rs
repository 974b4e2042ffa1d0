//! What the streams of a node carry, counted: for metrics, for status, and for tests that hold it against the written sum.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use orrery_schemas::LedgerSequence;

use crate::metrics::exchange as metrics;

/// Counts of streams, over all their lives. The ends of the streams write; status and tests read.
#[derive(Debug, Default)]
pub struct ExchangeMeter {
    streams: AtomicUsize,
    sent_bytes: AtomicU64,
    received_bytes: AtomicU64,
    in_flight_bytes: AtomicUsize,
    in_flight_bytes_max: AtomicUsize,
    durable: AtomicU64,
}

/// The counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExchangeCounts {
    /// Streams that are open.
    pub streams: usize,
    /// Bytes of batches sent, as they are in memory.
    pub sent_bytes: u64,
    /// Bytes of batches received.
    pub received_bytes: u64,
    /// Bytes of batches that were sent and not granted anew, or were received and are not handed on.
    pub in_flight_bytes: usize,
    /// The most that these ever were.
    pub in_flight_bytes_max: usize,
    /// Last ledger that another node acknowledged as durable; 0 before the first.
    pub durable: u64,
}

impl ExchangeMeter {
    /// The counts now.
    pub fn counts(&self) -> ExchangeCounts {
        ExchangeCounts {
            streams: self.streams.load(Ordering::Relaxed),
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
            received_bytes: self.received_bytes.load(Ordering::Relaxed),
            in_flight_bytes: self.in_flight_bytes.load(Ordering::Relaxed),
            in_flight_bytes_max: self.in_flight_bytes_max.load(Ordering::Relaxed),
            durable: self.durable.load(Ordering::Relaxed),
        }
    }
}

/// One stream's share of a meter. What it holds ends with it.
#[derive(Debug)]
pub(super) struct StreamMeter {
    meter: Arc<ExchangeMeter>,
    in_flight_bytes: usize,
}

impl StreamMeter {
    pub(super) fn new(meter: Arc<ExchangeMeter>) -> Self {
        metrics::streams(meter.streams.fetch_add(1, Ordering::Relaxed) + 1);
        Self { meter, in_flight_bytes: 0 }
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.meter.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        metrics::sent(bytes);
    }

    pub(super) fn received(&self, bytes: usize) {
        self.meter.received_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        metrics::received(bytes);
    }

    pub(super) fn durable(&self, ledger: LedgerSequence) {
        self.meter.durable.fetch_max(ledger.0.into(), Ordering::Relaxed);
    }

    pub(super) fn in_flight(&mut self, bytes: usize) {
        let before = std::mem::replace(&mut self.in_flight_bytes, bytes);
        let total = &self.meter.in_flight_bytes;
        // Wraps both ways: only the sum over all streams counts.
        let now = total
            .fetch_add(bytes.wrapping_sub(before), Ordering::Relaxed)
            .wrapping_add(bytes.wrapping_sub(before));
        self.meter.in_flight_bytes_max.fetch_max(now, Ordering::Relaxed);
        metrics::in_flight(now);
    }
}

impl Drop for StreamMeter {
    fn drop(&mut self) {
        self.in_flight(0);
        metrics::streams(self.meter.streams.fetch_sub(1, Ordering::Relaxed).saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_streams_hold_is_summed_and_ends_with_them() {
        let meter = Arc::new(ExchangeMeter::default());
        let (mut one, mut other) = (StreamMeter::new(meter.clone()), StreamMeter::new(meter.clone()));
        one.in_flight(5);
        other.in_flight(7);
        one.in_flight(2);
        assert_eq!((meter.counts().in_flight_bytes, meter.counts().in_flight_bytes_max), (9, 12));
        drop(other);
        assert_eq!((meter.counts().in_flight_bytes, meter.counts().streams), (2, 1));
        drop(one);
        assert_eq!((meter.counts().in_flight_bytes, meter.counts().in_flight_bytes_max), (0, 12));
    }
}
