//! An ordered parallel map over a source: one thread reads, several work, results come out in the order of the ledgers.
//!
//! Memory: at most [`PrefetchLimits::ledgers_in_flight_max`] ledgers are read and not yet taken as results, and their XDR
//! has at most [`PrefetchLimits::xdr_bytes_in_flight_max`] bytes, or is a single larger ledger. What the results
//! themselves hold is the caller's. The reader holds one more ledger while it waits for room.
//!
//! A ledger's turn is kept by a queue of result slots in reading order; whichever worker fills a slot, the slots are
//! emptied in order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use orrery_schemas::LedgerSequence;

use super::{LedgerSource, RawLedger, SourceError};

/// XDR may nest 1,500 levels deep, and a decoder may use several frames a level; 2 MiB, the default, is not enough.
pub const WORKER_STACK_BYTES: usize = 16 << 20;

/// How long a wait lasts before it looks at the cancel flag, which wakes nobody.
const CANCEL_POLL: Duration = Duration::from_millis(20);

/// How much a prefetch may do and hold at once. Zeros count as one.
#[derive(Clone, Copy, Debug)]
pub struct PrefetchLimits {
    /// Threads that map; the reader is one more.
    pub workers: usize,
    /// Ledgers read and not yet taken as results. Fewer than twice the workers leave some idle.
    pub ledgers_in_flight_max: usize,
    /// Bytes of XDR of those ledgers. A single ledger may exceed it, or it could never pass.
    pub xdr_bytes_in_flight_max: usize,
}

/// Why a prefetch ended before its source did.
#[derive(Debug, thiserror::Error)]
pub enum PrefetchError {
    /// The source failed; every ledger before was delivered.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The work on one ledger panicked; every ledger before was delivered. A bug.
    #[error("{file}: byte {offset}: ledger {ledger}: the work on it panicked: {message}")]
    Panicked {
        /// Input of the ledger.
        file: Arc<str>,
        /// Where the ledger begins in it.
        offset: u64,
        /// The ledger.
        ledger: LedgerSequence,
        /// What the panic said.
        message: String,
    },
    /// The source panicked. A bug.
    #[error("reading ledgers panicked: {0}")]
    ReaderPanicked(String),
    /// The cancel flag was raised.
    #[error("cancelled")]
    Cancelled,
    /// The system gave no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// Results in the order of their ledgers; ends after the first error.
///
/// Dropping it stops the threads as soon as each finishes the ledger it is at; it does not wait for them, since a reader
/// may be waiting for a pipe.
pub struct Prefetch<T> {
    slots: Option<Receiver<Receiver<Outcome<T>>>>,
    room: Arc<Room>,
    cancel: Arc<AtomicBool>,
}

struct Outcome<T> {
    result: Result<T, PrefetchError>,
    xdr_bytes: usize,
}

struct Job<T> {
    ledger: RawLedger,
    slot: SyncSender<Outcome<T>>,
}

impl<T: Send + 'static> Prefetch<T> {
    /// Starts the threads. `map` gets each ledger once; `cancel`, once true, stops everything within a ledger's work.
    pub fn start<F>(
        source: Box<dyn LedgerSource>,
        limits: PrefetchLimits,
        cancel: Arc<AtomicBool>,
        map: F,
    ) -> Result<Self, PrefetchError>
    where
        F: Fn(RawLedger) -> T + Send + Sync + 'static,
    {
        let in_flight_max = limits.ledgers_in_flight_max.max(1);
        let room = Arc::new(Room::new(in_flight_max, limits.xdr_bytes_in_flight_max));
        // Room bounds both queues, so that no send to them ever waits.
        let (slots_in, slots) = sync_channel(in_flight_max + 1);
        let (jobs_in, jobs) = sync_channel(in_flight_max);
        let (jobs, map) = (Arc::new(Mutex::new(jobs)), Arc::new(map));
        // From here on dropping it, also by an early return, closes the room and so ends the threads.
        let prefetch = Self { slots: Some(slots), room: room.clone(), cancel: cancel.clone() };
        for index in 0..limits.workers.max(1) {
            let (jobs, map, room, cancel) = (jobs.clone(), map.clone(), room.clone(), cancel.clone());
            spawn(format!("ledger-work-{index}"), move || work(&jobs, &*map, &room, &cancel))?;
        }
        spawn("ledger-read".to_owned(), move || {
            let feed = Feed { slots: slots_in, jobs: jobs_in };
            let read = catch_unwind(AssertUnwindSafe(|| feed.run(source, &room, &cancel)));
            if let Err(panic) = read {
                feed.fail(PrefetchError::ReaderPanicked(message_of(&*panic)));
            }
        })?;
        Ok(prefetch)
    }
}

impl<T> Prefetch<T> {
    /// Waits for a message or the cancel flag. `None` if the sender is gone.
    fn wait<M>(&self, receiver: &Receiver<M>) -> Result<Option<M>, PrefetchError> {
        loop {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(PrefetchError::Cancelled);
            }
            match receiver.recv_timeout(CANCEL_POLL) {
                Ok(message) => return Ok(Some(message)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }

    fn next_outcome(&self) -> Result<Option<Outcome<T>>, PrefetchError> {
        let Some(slots) = &self.slots else { return Ok(None) };
        let Some(slot) = self.wait(slots)? else { return Ok(None) };
        // A worker drops a slot unfilled only if it was told to stop.
        self.wait(&slot)?.map(Some).ok_or(PrefetchError::Cancelled)
    }
}

impl<T> Iterator for Prefetch<T> {
    type Item = Result<T, PrefetchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = match self.next_outcome() {
            Ok(None) => return None,
            Ok(Some(outcome)) => {
                self.room.release(outcome.xdr_bytes);
                outcome.result
            }
            Err(error) => Err(error),
        };
        if result.is_err() {
            self.slots = None;
            self.room.close();
        }
        Some(result)
    }
}

impl<T> Drop for Prefetch<T> {
    fn drop(&mut self) {
        self.room.close();
    }
}

/// The reader's ends of both queues.
struct Feed<T> {
    slots: SyncSender<Receiver<Outcome<T>>>,
    jobs: SyncSender<Job<T>>,
}

impl<T> Feed<T> {
    fn run(&self, mut source: Box<dyn LedgerSource>, room: &Room, cancel: &AtomicBool) {
        while !room.is_closed() && !cancel.load(Ordering::Relaxed) {
            let ledger = match source.next_ledger() {
                None => return,
                Some(Err(error)) => return self.fail(error.into()),
                Some(Ok(ledger)) => ledger,
            };
            if !room.acquire(ledger.xdr.len(), cancel) {
                return;
            }
            let (slot, outcome) = sync_channel(1);
            if self.slots.send(outcome).is_err() || self.jobs.send(Job { ledger, slot }).is_err() {
                return;
            }
        }
    }

    /// Puts `error` behind all ledgers read so far.
    fn fail(&self, error: PrefetchError) {
        let (slot, outcome) = sync_channel(1);
        // A send fails only if nobody takes results any more.
        let _ = slot.send(Outcome { result: Err(error), xdr_bytes: 0 });
        let _ = self.slots.send(outcome);
    }
}

fn work<T>(
    jobs: &Mutex<Receiver<Job<T>>>,
    map: &(dyn Fn(RawLedger) -> T + Sync),
    room: &Room,
    cancel: &AtomicBool,
) {
    loop {
        let job = lock(jobs).recv();
        let Ok(Job { ledger, slot }) = job else { return };
        if room.is_closed() || cancel.load(Ordering::Relaxed) {
            return;
        }
        let (file, offset, sequence, xdr_bytes) =
            (ledger.file.clone(), ledger.offset, ledger.sequence, ledger.xdr.len());
        let result = catch_unwind(AssertUnwindSafe(|| map(ledger))).map_err(|panic| {
            let message = message_of(&*panic);
            PrefetchError::Panicked { file, offset, ledger: sequence, message }
        });
        // Fails only if nobody takes results any more.
        let _ = slot.send(Outcome { result, xdr_bytes });
    }
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> Result<(), PrefetchError> {
    let builder = thread::Builder::new().name(name).stack_size(WORKER_STACK_BYTES);
    builder.spawn(run).map(drop).map_err(PrefetchError::Thread)
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

/// The state behind these locks is changed in single steps, so that a panic cannot leave it half changed.
fn lock<S>(mutex: &Mutex<S>) -> MutexGuard<'_, S> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Room for ledgers in flight: taken by the reader, given back when a result is taken.
struct Room {
    ledgers_max: usize,
    xdr_bytes_max: usize,
    used: Mutex<Used>,
    changed: Condvar,
}

#[derive(Default)]
struct Used {
    ledgers: usize,
    xdr_bytes: usize,
    is_closed: bool,
}

impl Room {
    fn new(ledgers_max: usize, xdr_bytes_max: usize) -> Self {
        Self { ledgers_max, xdr_bytes_max, used: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits until there is room. False if nobody wants results any more.
    fn acquire(&self, xdr_bytes: usize, cancel: &AtomicBool) -> bool {
        let mut used = lock(&self.used);
        loop {
            if used.is_closed || cancel.load(Ordering::Relaxed) {
                return false;
            }
            let fits = used.ledgers < self.ledgers_max && used.xdr_bytes + xdr_bytes <= self.xdr_bytes_max;
            if fits || used.ledgers == 0 {
                used.ledgers += 1;
                used.xdr_bytes += xdr_bytes;
                return true;
            }
            let waited = self.changed.wait_timeout(used, CANCEL_POLL);
            used = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn release(&self, xdr_bytes: usize) {
        let mut used = lock(&self.used);
        // An error takes no room.
        used.ledgers = used.ledgers.saturating_sub(1);
        used.xdr_bytes -= xdr_bytes;
        self.changed.notify_one();
    }

    fn close(&self) {
        lock(&self.used).is_closed = true;
        self.changed.notify_one();
    }

    fn is_closed(&self) -> bool {
        lock(&self.used).is_closed
    }
}
