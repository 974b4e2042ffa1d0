//! Whether the node's state takes what is written: a disk that is full fails every write, which is said now and then.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use orrery_supervisor::{Clock, MonotonicTime, Seldom, SystemClock};

use super::StateError;

/// Between two lines in the log.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// What became of the newest writes; clones are the same. Nothing that was not written is the truth: see [`super`].
#[derive(Clone, Debug)]
pub struct Writes(Arc<(SystemClock, Mutex<Newest>)>);

#[derive(Debug)]
struct Newest {
    said: Seldom,
    refused: Option<String>,
}

impl Default for Writes {
    fn default() -> Self {
        let newest = Newest { said: Seldom::new(SAID_EVERY), refused: None };
        Self(Arc::new((SystemClock::new(), Mutex::new(newest))))
    }
}

impl Writes {
    /// Gives what was written. A failure is noted, and said if it was not lately; `what` says what is missing then.
    pub fn note<T>(&self, what: &'static str, written: Result<T, StateError>) -> Option<T> {
        let (clock, newest) = &*self.0;
        let mut newest = newest.lock().unwrap_or_else(PoisonError::into_inner);
        match written {
            Ok(written) => {
                newest.refused = None;
                Some(written)
            }
            Err(error) => {
                if let Some(times) = newest.failed(clock.now(), &error) {
                    tracing::warn!(%error, what, times, "the node's state cannot be written");
                }
                None
            }
        }
    }

    /// Why the newest write failed, if it did.
    pub fn refused(&self) -> Option<String> {
        self.0.1.lock().unwrap_or_else(PoisonError::into_inner).refused.clone()
    }
}

impl Newest {
    fn failed(&mut self, now: MonotonicTime, error: &StateError) -> Option<u64> {
        self.refused = Some(format!(
            "the node's state cannot be written, so that a restarted node forgets what is parked or quarantined now: {error}; \
             free the disk of --data-dir, then restart the node"
        ));
        self.said.happened(now)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn full() -> StateError {
        StateError::Io { path: "data".into(), action: "write", source: io::ErrorKind::StorageFull.into() }
    }

    #[test]
    fn a_write_that_fails_is_told_until_one_works() {
        let writes = Writes::default();
        assert_eq!(writes.refused(), None);
        assert_eq!(writes.note::<u8>("a checkpoint", Err(full())), None);
        let why = writes.clone().refused().unwrap();
        assert!(why.contains("no storage space") && why.contains("--data-dir"), "{why}");
        assert_eq!(writes.note("a checkpoint", Ok(7)), Some(7));
        assert_eq!(writes.refused(), None);
    }

    #[test]
    fn a_thousand_failures_a_second_are_a_line_in_ten_seconds() {
        let mut newest = Newest { said: Seldom::new(SAID_EVERY), refused: None };
        let at = |millisecond| MonotonicTime::ORIGIN.after(Duration::from_millis(millisecond));
        let said: Vec<_> =
            (0..25_000).filter_map(|millisecond| newest.failed(at(millisecond), &full())).collect();
        assert_eq!(said, [1, 10_000, 10_000]);
    }
}
