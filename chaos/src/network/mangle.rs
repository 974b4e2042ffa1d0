//! Packets that come late, in another order, twice, or with other bytes: the system hands those that arrive at a node to this
//! process (NFQUEUE), which gives them back as it likes. What comes twice is copied on the way to the node, by nftables.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use nfq::{Message, Queue, Verdict};
use nix::sched::{CloneFlags, setns};
use orrery_supervisor::{Clock, MonotonicTime, SystemClock};

use super::{NAMESPACES, Network, run};
use crate::Random;
use crate::experiment::ExperimentError;

/// Number of the queue in the node's namespace.
const QUEUE: u16 = 7;

/// Packets that wait to be given back; more are lost, as at a router.
const WAITING_MAX: u32 = 4096;

/// One of so many packets has another byte, or comes late; what comes after one that is late overtakes it.
const OTHER_ONE_IN: usize = 40;
const LATE_ONE_IN: usize = 4;

/// How late.
const LATE_MILLIS_MAX: usize = 200;

/// One of so many comes twice.
const TWICE_PERCENT: u32 = 10;

/// Between two looks for packets that are due.
const LOOKS_EVERY: Duration = Duration::from_millis(2);

/// What was done to packets.
#[derive(Debug, Default)]
struct Counts {
    all: AtomicU64,
    late: AtomicU64,
    overtaken: AtomicU64,
    other: AtomicU64,
}

/// Does it until it is dropped.
#[derive(Debug)]
pub(crate) struct Mangler {
    namespace: String,
    /// Of the switch, where the device of the node's link copies.
    switch: String,
    ends: Arc<AtomicBool>,
    counts: Arc<Counts>,
    thread: Option<JoinHandle<()>>,
}

impl Network {
    /// From now on packets to a node come as chance has it.
    ///
    /// # Errors
    ///
    /// [`ExperimentError::Skipped`] if the system hands out no packets.
    pub(crate) fn mangle(&self, node: usize, seed: u64) -> Result<Mangler, ExperimentError> {
        let (namespace, switch) = (self.namespace(node), self.switch());
        let (ends, counts) = (Arc::<AtomicBool>::default(), Arc::<Counts>::default());
        let place = Path::new(NAMESPACES).join(&namespace);
        let (stops, noted) = (ends.clone(), counts.clone());
        let (opened, is_open) = mpsc::sync_channel(1);
        let work = move || {
            // The namespace is of the thread, which ends.
            let queue = open(&place);
            let told = queue.as_ref().map(drop).map_err(Clone::clone);
            if opened.send(told).is_ok()
                && let Ok(queue) = queue
            {
                Work { queue, random: Random::new(seed), late: Vec::new(), counts: noted }.go_on(&stops);
            }
        };
        let thread = Builder::new().name("mangler".to_owned()).spawn(work);
        let thread = Some(thread.map_err(ExperimentError::io("start", Path::new("a mangler")))?);
        let mangler = Mangler { namespace, switch, ends, counts, thread };
        let told = is_open.recv().unwrap_or_else(|_| Err("the thread has ended".to_owned()));
        told.map_err(|why| ExperimentError::Skipped(format!("NFQUEUE: {why}")))?;
        mangler.rules(node)?;
        Ok(mangler)
    }
}

impl Mangler {
    fn rules(&self, node: usize) -> Result<(), ExperimentError> {
        let Self { namespace, switch, .. } = self;
        let number = QUEUE.to_string();
        let words = ["iptables-legacy", "-A", "INPUT", "-i", "eth0", "-j", "NFQUEUE", "--queue-num", &number];
        run(&[&["netns", "exec", namespace][..], &words].concat())?;
        let device = format!("port{node}");
        let address = super::address(node);
        // On its way from one of the other ports to the node's.
        let ports = format!(
            "add chain netdev twice other {{ type filter hook ingress device port{} priority 0 ; }}",
            usize::from(node == 0)
        );
        let copy = format!(
            "add rule netdev twice other ip daddr {address} numgen random mod 100 < {TWICE_PERCENT} counter dup to {device}"
        );
        for rule in ["add table netdev twice", &ports, &copy] {
            run(&["netns", "exec", switch, "nft", rule])?;
        }
        Ok(())
    }

    /// What was done; nothing if nothing was.
    pub(crate) fn witness(&self) -> Option<String> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counts { all, late, overtaken, other } = &*self.counts;
        let words = ["netns", "exec", &self.switch, "nft", "list", "table", "netdev", "twice"];
        let twice = super::said(&words).map_or(0, |text| super::number_after(&text, "counter packets "));
        let (late, overtaken, other) = (count(late), count(overtaken), count(other));
        (late > 0 && overtaken > 0 && other > 0 && twice > 0).then(|| {
            let all = count(all);
            format!("of {all} packets {late} came late, {overtaken} of them overtaken, {twice} twice, {other} with other bytes")
        })
    }
}

impl Drop for Mangler {
    fn drop(&mut self) {
        // Rules first: a queue that nobody serves drops everything.
        let number = QUEUE.to_string();
        let words = ["iptables-legacy", "-D", "INPUT", "-i", "eth0", "-j", "NFQUEUE", "--queue-num", &number];
        let _ = run(&[&["netns", "exec", &self.namespace][..], &words].concat());
        let _ = run(&["netns", "exec", &self.switch, "nft", "delete table netdev twice"]);
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn open(place: &Path) -> Result<Queue, String> {
    let file = File::open(place).map_err(|error| error.to_string())?;
    setns(file, CloneFlags::CLONE_NEWNET).map_err(|error| error.to_string())?;
    let mut queue = Queue::open().map_err(|error| error.to_string())?;
    queue.bind(QUEUE).map_err(|error| error.to_string())?;
    queue.set_queue_max_len(QUEUE, WAITING_MAX).map_err(|error| error.to_string())?;
    queue.set_nonblocking(true);
    Ok(queue)
}

/// The thread's own.
struct Work {
    queue: Queue,
    random: Random,
    /// When each is due.
    late: Vec<(Duration, Message)>,
    counts: Arc<Counts>,
}

impl Work {
    fn go_on(mut self, ends: &AtomicBool) {
        let clock = SystemClock::new();
        while !ends.load(Ordering::Relaxed) {
            let now = clock.now().since(MonotonicTime::ORIGIN);
            let is_idle = self.take(now).is_err();
            self.give_back(now);
            if is_idle {
                std::thread::park_timeout(LOOKS_EVERY);
            }
        }
        self.give_back(Duration::MAX);
    }

    /// Takes one packet; an error if there is none.
    fn take(&mut self, now: Duration) -> Result<(), ErrorKind> {
        let mut packet = self.queue.recv().map_err(|error| error.kind())?;
        let add = |counter: &AtomicU64, count: usize| counter.fetch_add(count as u64, Ordering::Relaxed);
        add(&self.counts.all, 1);
        if self.random.below(OTHER_ONE_IN) == 0 {
            let mut bytes = packet.get_payload().to_vec();
            // Behind the header of IP, whose checksum the system has looked at already.
            let at = 20 + self.random.below(bytes.len().saturating_sub(20).max(1));
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 0x20);
            packet.set_payload(bytes);
            add(&self.counts.other, 1);
        }
        if self.random.below(LATE_ONE_IN) == 0 {
            let due = now + Duration::from_millis(self.random.below(LATE_MILLIS_MAX) as u64);
            add(&self.counts.late, 1);
            self.late.push((due, packet));
            return Ok(());
        }
        add(&self.counts.overtaken, usize::from(!self.late.is_empty()));
        self.accept(packet);
        Ok(())
    }

    fn give_back(&mut self, now: Duration) {
        let due = self.late.extract_if(.., |(due, _)| *due <= now).map(|(_, packet)| packet);
        let due: Vec<Message> = due.collect();
        due.into_iter().for_each(|packet| self.accept(packet));
    }

    fn accept(&mut self, mut packet: Message) {
        packet.set_verdict(Verdict::Accept);
        // One that the system has forgotten meanwhile is lost.
        let _ = self.queue.verdict(packet);
    }
}
