//! How far a source is, for progress bars; read from any thread.

use std::sync::atomic::{AtomicU64, Ordering};

/// What progress counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressUnit {
    /// Ledgers given out.
    Ledgers,
    /// Bytes read from the inputs, before decompression.
    InputBytes,
}

/// A count that the source raises and anyone may read.
#[derive(Debug)]
pub struct Progress {
    unit: ProgressUnit,
    total: Option<u64>,
    done: AtomicU64,
}

impl Progress {
    /// `total` is `None` if the end is not known, as with a pipe.
    pub fn new(unit: ProgressUnit, total: Option<u64>) -> Self {
        Self { unit, total, done: AtomicU64::new(0) }
    }

    /// What is counted.
    pub fn unit(&self) -> ProgressUnit {
        self.unit
    }

    /// The count at the end, if known.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// The count so far.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Called by the source.
    pub(crate) fn add(&self, count: u64) {
        self.done.fetch_add(count, Ordering::Relaxed);
    }
}
