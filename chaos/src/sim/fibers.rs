//! Processes of a simulation: futures that are polled one at a time, in an order that the seed decides, and that can be
//! paused and dropped at any await.
//!
//! Work on other threads (`spawn_blocking`) is waited for before anything else happens, so that it takes no simulated time
//! and changes no order.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use super::world::{Micros, World};

/// Longest wait for a thread: far above what encoding takes, below patience.
const THREAD_MAX: Duration = Duration::from_secs(120);

/// A process that runs.
struct Fiber {
    name: String,
    future: Pin<Box<dyn Future<Output = ()>>>,
    woken: Arc<Flag>,
    paused_until: Micros,
}

struct Flag {
    is_set: AtomicBool,
    runner: Thread,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.is_set.store(true, Ordering::Release);
        self.runner.unpark();
    }
}

/// All processes of one world.
pub(super) struct Fibers {
    world: World,
    fibers: BTreeMap<usize, Fiber>,
    next: usize,
    runtime: tokio::runtime::Runtime,
}

impl Fibers {
    /// None yet.
    ///
    /// # Errors
    ///
    /// The machine gives no threads.
    pub(super) fn new(world: &World) -> std::io::Result<Self> {
        // Only its threads for blocking work are used.
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        #[cfg(feature = "seeded-bugs")]
        {
            let bug = orrery_supervisor::seeded_bugs::active();
            runtime.on_thread_start(move || orrery_supervisor::seeded_bugs::switch(bug));
        }
        let runtime = runtime.build()?;
        Ok(Self { world: world.clone(), fibers: BTreeMap::new(), next: 0, runtime })
    }

    /// Begins a process; gives its number.
    pub(super) fn start(&mut self, name: &str, future: impl Future<Output = ()> + 'static) -> usize {
        let id = self.next;
        self.next += 1;
        let woken = Arc::new(Flag { is_set: AtomicBool::new(true), runner: thread::current() });
        let fiber = Fiber { name: name.to_owned(), future: Box::pin(future), woken, paused_until: 0 };
        self.world.trace(format_args!("{name} starts"));
        self.fibers.insert(id, fiber);
        id
    }

    /// Ends a process where it stands. What it had asked of others may still happen.
    pub(super) fn kill(&mut self, id: usize) {
        let _runtime = self.runtime.enter();
        if let Some(fiber) = self.fibers.remove(&id) {
            self.world.trace(format_args!("{} is killed", fiber.name));
            drop(fiber);
            self.world.forget(id);
        }
    }

    /// Has a process do nothing for a while; the world goes on.
    pub(super) fn pause(&mut self, id: usize, micros: Micros) {
        let until = self.world.now() + micros;
        if let Some(fiber) = self.fibers.get_mut(&id) {
            fiber.paused_until = until;
            self.world.trace(format_args!("{} is paused until {until}", fiber.name));
            // Something has to happen then, or nobody would look.
            self.world.later(micros, || {});
        }
    }

    /// Whether a process has not ended.
    pub(super) fn is_running(&self, id: usize) -> bool {
        self.fibers.contains_key(&id)
    }

    /// Runs until `end`.
    pub(super) fn run_until(&mut self, end: Micros) {
        loop {
            while let Some(id) = self.pick() {
                self.poll(id);
            }
            if !self.world.advance(end) {
                self.world.pass_to(end);
                return;
            }
        }
    }

    /// One of those that can go on, chosen by chance.
    fn pick(&self) -> Option<usize> {
        let now = self.world.now();
        let ready: Vec<usize> = self
            .fibers
            .iter()
            .filter(|(_, fiber)| fiber.woken.is_set.load(Ordering::Acquire) && fiber.paused_until <= now)
            .map(|(id, _)| *id)
            .collect();
        match ready.as_slice() {
            [] => None,
            [only] => Some(*only),
            several => several.get(self.world.below(several.len())).copied(),
        }
    }

    fn poll(&mut self, id: usize) {
        let _runtime = self.runtime.enter();
        let Some(fiber) = self.fibers.get_mut(&id) else { return };
        let waker = Waker::from(Arc::clone(&fiber.woken));
        self.world.enter(Some(id));
        loop {
            fiber.woken.is_set.store(false, Ordering::Release);
            match fiber.future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(()) => {
                    self.world.trace(format_args!("{} ends", fiber.name));
                    self.fibers.remove(&id);
                    self.world.forget(id);
                    break;
                }
                Poll::Pending if self.world.waits(id) => break,
                // It waits for a thread.
                Poll::Pending => {
                    while !fiber.woken.is_set.load(Ordering::Acquire) {
                        thread::park_timeout(THREAD_MAX);
                    }
                }
            }
        }
        self.world.enter(None);
    }
}
