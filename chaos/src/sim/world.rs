//! Simulated time, chance and a trace: everything that happens in a run goes through one of these, so that a seed decides
//! all of it.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use orrery_supervisor::{Clock, MonotonicTime};
use sha2::{Digest, Sha256};

use crate::history::{Entry, Kind, Op};
use crate::random::Random;

/// One run's time, chance, history and trace. Clones are the same world.
#[derive(Clone)]
pub(super) struct World(Arc<Mutex<Inner>>);

/// Moments since the beginning, in microseconds.
pub(super) type Micros = u64;

/// Things that happen whoever is still there to see it, such as a request that arrives after its sender died.
type Later = Box<dyn FnOnce() + Send>;

struct Inner {
    now: Micros,
    /// Events are ordered by time, then by the order in which they were planned.
    planned: BTreeMap<(Micros, u64), Planned>,
    next_event: u64,
    random: Random,
    hash: Sha256,
    lines: u64,
    trace: Option<Vec<String>>,
    history: Vec<Entry>,
    next_op: u64,
}

enum Planned {
    Wake(Waker),
    Do(Later),
}

impl World {
    /// A world at its beginning. With `keep_trace` the lines of its trace can be read at the end.
    pub(super) fn new(seed: u64, keep_trace: bool) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            now: 0,
            planned: BTreeMap::new(),
            next_event: 0,
            random: Random::new(seed),
            hash: Sha256::new(),
            lines: 0,
            trace: keep_trace.then(Vec::new),
            history: Vec::new(),
            next_op: 0,
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Microseconds since the beginning.
    pub(super) fn now(&self) -> Micros {
        self.inner().now
    }

    /// A number from 0 to `bound - 1`.
    pub(super) fn below(&self, bound: usize) -> usize {
        self.inner().random.below(bound)
    }

    /// A number of microseconds from `from` to `to - 1`.
    pub(super) fn micros(&self, from: Micros, to: Micros) -> Micros {
        let span = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        from + self.below(span) as u64
    }

    /// True for `per_mille` of a thousand draws.
    pub(super) fn chance(&self, per_mille: u32) -> bool {
        self.below(1000) < per_mille as usize
    }

    /// 64 random bits.
    pub(super) fn draw(&self) -> u64 {
        self.inner().random.next_u64()
    }

    /// Adds a line to the trace, with the time.
    pub(super) fn trace(&self, line: fmt::Arguments<'_>) {
        let mut inner = self.inner();
        let line = format!("{} {line}\n", inner.now);
        inner.hash.update(line.as_bytes());
        inner.lines += 1;
        if let Some(trace) = &mut inner.trace {
            trace.push(line);
        }
    }

    /// Writes what happened into the history and into the trace. Gives the number of the operation.
    pub(super) fn note(&self, process: &str, kind: Kind, operation: Option<u64>, what: Op) -> u64 {
        self.trace(format_args!("{process} {kind:?} {what:?}"));
        let mut inner = self.inner();
        let operation = operation.unwrap_or_else(|| {
            inner.next_op += 1;
            inner.next_op
        });
        let entry = Entry { at_us: inner.now, process: process.to_owned(), operation, kind, what };
        inner.history.push(entry);
        operation
    }

    /// Something that was seen to be so.
    pub(super) fn saw(&self, process: &str, what: Op) {
        self.note(process, Kind::Ok, None, what);
    }

    /// Waits.
    pub(super) fn sleep(&self, micros: Micros) -> Sleep {
        Sleep { world: self.clone(), at: self.now() + micros, key: None }
    }

    /// Has something happen later, whoever is still there then.
    pub(super) fn later(&self, micros: Micros, what: impl FnOnce() + Send + 'static) {
        let mut inner = self.inner();
        let key = (inner.now + micros, inner.next_event);
        inner.next_event += 1;
        inner.planned.insert(key, Planned::Do(Box::new(what)));
    }

    /// Goes on to the next moment at which something happens, and has it happen. False if nothing ever will, or not
    /// before `end`.
    pub(super) fn advance(&self, end: Micros) -> bool {
        let planned = {
            let mut inner = self.inner();
            let Some(first) = inner.planned.first_entry() else { return false };
            if first.key().0 > end {
                return false;
            }
            let ((at, _), planned) = first.remove_entry();
            inner.now = inner.now.max(at);
            planned
        };
        match planned {
            Planned::Wake(waker) => waker.wake(),
            Planned::Do(what) => what(),
        }
        true
    }

    /// Nothing happens until `end`.
    pub(super) fn pass_to(&self, end: Micros) {
        let mut inner = self.inner();
        inner.now = inner.now.max(end);
    }

    /// SHA-256 of the trace so far, in hexadecimal, and how many lines it has.
    pub(super) fn trace_hash(&self) -> (String, u64) {
        let inner = self.inner();
        let hash = inner.hash.clone().finalize();
        (hash.iter().map(|byte| format!("{byte:02x}")).collect(), inner.lines)
    }

    /// What happened, in order.
    pub(super) fn history(&self) -> Vec<Entry> {
        self.inner().history.clone()
    }

    /// The trace, if it was kept.
    pub(super) fn lines(&self) -> Vec<String> {
        self.inner().trace.clone().unwrap_or_default()
    }
}

impl Clock for World {
    fn now(&self) -> MonotonicTime {
        MonotonicTime::ORIGIN.after(Duration::from_micros(Self::now(self)))
    }
}

/// A wait; dropped, it is forgotten.
pub(super) struct Sleep {
    world: World,
    at: Micros,
    key: Option<(Micros, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let world = self.world.clone();
        let mut inner = world.inner();
        if inner.now >= self.at && self.key.is_none_or(|key| !inner.planned.contains_key(&key)) {
            self.key = None;
            return Poll::Ready(());
        }
        let key = match self.key {
            Some(key) => key,
            None => {
                inner.next_event += 1;
                (self.at, inner.next_event - 1)
            }
        };
        inner.planned.insert(key, Planned::Wake(context.waker().clone()));
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.world.inner().planned.remove(&key);
        }
    }
}
