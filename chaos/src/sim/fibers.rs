//! Processes of a simulation: futures that are polled one at a time, in an order that the seed decides, and that can be
//! paused and dropped at any await.
//!
//! Work on another thread (`spawn_blocking`) is waited for before anything else happens, so that it takes no simulated time
//! and changes no order: there is one such thread, which works in order, and behind each poll it is asked whether it is done.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::task::{Context, Wake, Waker};
use std::thread::{self, ThreadId};

use super::world::{Micros, World};

/// A process that runs.
struct Fiber {
    name: String,
    future: Pin<Box<dyn Future<Output = ()>>>,
    woken: Arc<Flag>,
    paused_until: Micros,
}

struct Flag {
    /// By what happens in the simulation.
    is_set: AtomicBool,
    /// By work on the other thread.
    by_thread: AtomicBool,
    runner: ThreadId,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        let flag = if thread::current().id() == self.runner { &self.is_set } else { &self.by_thread };
        flag.store(true, Ordering::Release);
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
        runtime.max_blocking_threads(1);
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
        let runner = thread::current().id();
        let woken = Flag { is_set: AtomicBool::new(true), by_thread: AtomicBool::new(false), runner };
        let woken = Arc::new(woken);
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
        loop {
            fiber.woken.is_set.store(false, Ordering::Release);
            let polled = fiber.future.as_mut().poll(&mut Context::from_waker(&waker));
            if polled.is_ready() {
                self.world.trace(format_args!("{} ends", fiber.name));
                self.fibers.remove(&id);
                break;
            }
            finish_thread(self.runtime.handle());
            if !fiber.woken.by_thread.swap(false, Ordering::AcqRel) {
                break;
            }
        }
    }
}

/// Waits until the other thread has done all that it was given.
fn finish_thread(runtime: &tokio::runtime::Handle) {
    let (done, is_done) = sync_channel(1);
    runtime.spawn_blocking(move || done.send(()));
    let _ = is_done.recv();
}
