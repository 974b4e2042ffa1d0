//! Writes down what happens in a run, as it is seen from outside.

use std::time::Duration;

use orrery_supervisor::{Clock, MonotonicTime, SystemClock};

use crate::history::{Entry, Kind, Op};

/// A history in the making, with the clock that it is timed by.
#[derive(Debug)]
pub struct Recorder {
    clock: SystemClock,
    entries: Vec<Entry>,
}

impl Recorder {
    /// An empty one, whose time begins now.
    #[expect(clippy::new_without_default, reason = "its time begins when it is made")]
    pub fn new() -> Self {
        Self { clock: SystemClock::new(), entries: Vec::new() }
    }

    /// Time since the run began.
    pub fn now(&self) -> Duration {
        self.clock.now().since(MonotonicTime::ORIGIN)
    }

    /// Notes what was seen of `process`.
    pub fn saw(&mut self, process: &str, what: Op) {
        self.saw_at(self.now(), process, what);
    }

    /// Notes what was seen earlier.
    pub fn saw_at(&mut self, at: Duration, process: &str, what: Op) {
        let at_us = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        self.entries.push(Entry { at_us, process: process.to_owned(), operation: 0, kind: Kind::Ok, what });
    }

    /// All of it, in the order of time.
    pub fn into_entries(mut self) -> Vec<Entry> {
        self.entries.sort_by_key(|entry| entry.at_us);
        self.entries
    }
}
