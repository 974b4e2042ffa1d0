//! The threads of a node: some that answer, and some that work.
//!
//! Ledgers are decoded, encrypted and compressed by threads of a lower priority. Whatever has to be prompt (heartbeats,
//! leases, calls between nodes, health, the feed) runs on others, so that a node that is busy is not taken for dead: on two
//! cores, a call beside bulk traffic takes 3 ms at the 99th percentile instead of up to 17.

use orrery_actors::source::WORKER_STACK_BYTES;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::exit::Failure;
use crate::settings::Settings;

/// Threads beside a runtime's own, where the configuration does not say: more than the sums of all queues ask for.
const BLOCKING_THREADS_MAX: usize = 512;

/// How much less of a processor working threads get, when others want it too: a tenth.
const NICENESS: i32 = 10;

/// Both kinds.
pub(crate) struct Threads {
    answering: Runtime,
    working: Runtime,
}

impl Threads {
    /// Of a node.
    ///
    /// # Errors
    ///
    /// The system has no threads left.
    pub(crate) fn new(settings: &Settings) -> Result<Self, Failure> {
        let blocking = settings.blocking_threads.map_or(BLOCKING_THREADS_MAX, |count| count.get() as usize);
        // One that hangs on one thread is begun anew by a supervisor on another.
        let threads = std::thread::available_parallelism().map_or(2, |count| count.get().max(2));
        let mut working = builder("orrery-work", blocking);
        let working = working.worker_threads(threads).on_thread_start(give_way).build().map_err(failed)?;
        Ok(Self { answering: builder("orrery", blocking).build().map_err(failed)?, working })
    }

    /// Those that work.
    pub(crate) fn working(&self) -> Handle {
        self.working.handle().clone()
    }

    /// Runs `future` on those that answer, until it ends.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.answering.block_on(future)
    }
}

/// A runtime for what needs none of a node's settings.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    builder("orrery", BLOCKING_THREADS_MAX).build().map_err(failed)
}

/// Threads that may decode the deepest ledger. One blocking thread is enough: none waits for another.
fn builder(name: &str, blocking_threads: usize) -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder
        .max_blocking_threads(blocking_threads)
        .thread_stack_size(WORKER_STACK_BYTES)
        .thread_name(name)
        .enable_all();
    builder
}

fn failed(error: std::io::Error) -> Failure {
    Failure::Unavailable(format!("start threads: {error}"))
}

/// Lowers the priority of the thread that calls it.
fn give_way() {
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS) {
        tracing::debug!(%error, "a working thread keeps its priority");
    }
}
