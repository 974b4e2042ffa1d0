mod simulation;

use super::electorate::Eligibility;
use super::looks::{Look, Looks};
use super::*;
use crate::clock::MonotonicTime;

const TICK: Duration = Duration::from_millis(100);

fn id(text: &str) -> NodeIdentity {
    text.parse().unwrap()
}

fn lease(epoch: u64, holder: &str) -> Lease {
    Lease { epoch: Epoch::new(epoch).unwrap(), holder: id(holder) }
}

fn electorate(nodes: &[(&str, Eligibility)]) -> Event {
    Event::Members(Electorate::from_parts(nodes.iter().map(|(node, eligibility)| (id(node), *eligibility))))
}

/// One node whose store answers at once with what the test says.
struct Bench {
    core: LeaseCore,
    now: MonotonicTime,
    stored: Option<Lease>,
    store_fails: bool,
    log: Vec<String>,
    looks: Looks,
    /// Listings, and questions for what follows the newest lease.
    looked: (u32, u32),
}

impl Bench {
    fn new(me: &str, stored: Option<Lease>) -> Self {
        let core = LeaseCore::new(id(me), LeaseTimings::default());
        Self {
            core,
            now: MonotonicTime::ORIGIN,
            stored,
            store_fails: false,
            log: Vec::new(),
            looks: Looks::default(),
            looked: (0, 0),
        }
    }

    fn event(&mut self, event: Event) {
        let mut actions = self.core.step(event, self.now);
        while !actions.is_empty() {
            let mut answers = Vec::new();
            for action in actions.drain(..) {
                answers.extend(match action {
                    Action::Read if self.store_fails => Some(Event::Failed),
                    Action::Read => {
                        let look = self.looks.next(self.now, self.core.newest());
                        match look {
                            Look::All => self.looked.0 += 1,
                            Look::After(_) => self.looked.1 += 1,
                        }
                        self.looks.answered(&look, self.now);
                        Some(Event::Read(self.stored.clone()))
                    }
                    Action::Create(lease) => {
                        self.log.push(format!("create {}", lease.epoch));
                        let exists = self.stored.as_ref().is_some_and(|stored| stored.epoch >= lease.epoch);
                        if !exists {
                            self.stored = Some(lease);
                        }
                        Some(Event::Created(if exists { Created::Exists } else { Created::Created }))
                    }
                    Action::Activate(epoch) => {
                        self.log.push(format!("active {epoch}"));
                        None
                    }
                    Action::StandDown { epoch, reason } => {
                        self.log.push(format!("down {epoch} {reason:?}"));
                        None
                    }
                });
            }
            for answer in answers {
                actions.extend(self.core.step(answer, self.now));
            }
        }
    }

    fn run(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        while self.now < end {
            self.now = self.now.after(TICK);
            self.event(Event::Tick);
        }
    }

    /// What happened since it was asked last.
    fn happened(&mut self) -> String {
        std::mem::take(&mut self.log).join(", ")
    }
}

use Eligibility::{Candidate, Never, Suspect};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_lease_is_taken_when_its_holder_is_gone() {
    let check = |stored: Option<Lease>,
                 before: &[(&str, Eligibility)],
                 after: &[(&str, Eligibility)],
                 expect: &str| {
        let mut bench = Bench::new("me.5", stored);
        bench.event(electorate(before));
        bench.run(5 * SECOND);
        bench.event(electorate(after));
        bench.run(5 * SECOND);
        assert_eq!(bench.happened(), expect, "{before:?} {after:?}");
    };
    let alone = [("me.5", Candidate)];
    let both = [("me.5", Candidate), ("a.1", Candidate)];
    check(None, &alone, &alone, "create 1, active 1");
    check(Some(lease(7, "a.1")), &both, &both, "");
    check(Some(lease(7, "a.1")), &both, &alone, "create 8, active 8");
    check(Some(lease(7, "a.1")), &both, &[("me.5", Candidate), ("a.1", Suspect)], "");
    check(Some(lease(7, "a.1")), &both, &[("me.5", Candidate), ("a.1", Never)], "create 8, active 8");
    check(Some(lease(7, "a.1")), &both, &[("me.5", Candidate), ("a.2", Candidate)], "create 8, active 8");
    // Its own former life is over, whoever else is there.
    check(Some(lease(7, "me.4")), &alone, &alone, "create 8, active 8");
    // Its own lease, of which it did not hear: it is active.
    check(Some(lease(7, "me.5")), &alone, &alone, "active 7");
    // A stranger, unknown to others too.
    check(Some(lease(7, "x.1")), &both, &both, "create 8, active 8");
    check(Some(lease(7, "x.1")), &alone, &alone, "");
    // Who may not hold it does not take it.
    check(None, &[("me.5", Never)], &[("me.5", Never)], "");
    check(Some(lease(7, "a.1")), &both, &[("me.5", Never)], "");
    check(Some(lease(7, "a.1")), &both, &[("me.5", Suspect)], "");
    check(Some(lease(7, "a.1")), &both, &[("me.6", Candidate)], "");
}

#[test]
fn a_holder_of_whom_nothing_is_known_is_waited_for() {
    let mut bench = Bench::new("me.5", Some(lease(7, "x.1")));
    bench.event(electorate(&[("me.5", Candidate)]));
    bench.run(29 * SECOND);
    bench.stored = Some(lease(8, "x.1"));
    bench.run(29 * SECOND);
    assert_eq!(bench.happened(), "");
    bench.run(4 * SECOND);
    assert_eq!(bench.happened(), "create 9, active 9");
}

#[test]
fn a_holder_stands_down_when_it_is_deposed_blind_or_was_paused() {
    let mut bench = Bench::new("me.5", None);
    bench.event(electorate(&[("me.5", Candidate)]));
    bench.run(SECOND);
    assert_eq!(bench.happened(), "create 1, active 1");
    bench.store_fails = true;
    bench.run(16 * SECOND);
    assert_eq!(bench.happened(), "down 1 Blind");
    bench.store_fails = false;
    bench.run(3 * SECOND);
    assert_eq!(bench.happened(), "active 1");
    bench.now = bench.now.after(5 * SECOND);
    bench.event(Event::Tick);
    assert_eq!(bench.happened(), "down 1 Paused, active 1");
    bench.stored = Some(lease(2, "a.1"));
    bench.now = bench.now.after(5 * SECOND);
    bench.event(Event::Tick);
    assert_eq!(bench.happened(), "down 1 Paused");
    bench.stored = Some(lease(3, "me.5"));
    bench.run(3 * SECOND);
    bench.stored = Some(lease(4, "a.1"));
    bench.run(3 * SECOND);
    assert_eq!(bench.happened(), "active 3, down 3 Deposed");
}

#[test]
fn an_answer_from_before_a_pause_is_not_believed() {
    let mut core = LeaseCore::new(id("me.5"), LeaseTimings::default());
    let at = |seconds: u64| MonotonicTime::ORIGIN.after(SECOND * u32::try_from(seconds).unwrap());
    assert_eq!(core.step(Event::Tick, at(0)), [Action::Read]);
    let mine = Event::Read(Some(lease(1, "me.5")));
    assert_eq!(core.step(mine.clone(), at(60)), [Action::Read]);
    assert_eq!(core.step(mine, at(60)), [Action::Activate(Epoch::FIRST)]);
}

#[test]
fn who_ranks_later_waits_for_its_turn() {
    let nodes = ["a.1", "b.1", "c.1", "me.5"];
    let members: Vec<_> = nodes.iter().map(|node| (*node, Candidate)).collect();
    let mut turns = Vec::new();
    for me in nodes {
        let mut bench = Bench::new(me, Some(lease(7, "x.1")));
        bench.event(electorate(&[members.clone(), vec![("x.1", Candidate)]].concat()));
        bench.run(5 * SECOND);
        bench.event(electorate(&members));
        let begin = bench.now;
        while bench.core.active().is_none() {
            bench.run(TICK);
        }
        turns.push(bench.now.since(begin));
    }
    turns.sort_unstable();
    assert_eq!(turns, [0, 300, 600, 900].map(Duration::from_millis));
}

#[test]
fn a_contested_lease_is_taken_back_ever_later() {
    let mut bench = Bench::new("me.5", None);
    bench.event(electorate(&[("me.5", Candidate), ("a.1", Candidate)]));
    let mut waits = Vec::new();
    for _ in 0..9 {
        let begin = bench.now;
        while bench.core.active().is_none() {
            bench.run(TICK);
        }
        waits.push(bench.now.since(begin).as_millis());
        // Somebody whom this node does not see takes it at once.
        let next = bench.core.newest().unwrap().epoch.next();
        bench.stored = Some(Lease { epoch: next, holder: id("x.1") });
        while bench.core.active().is_some() {
            bench.run(TICK);
        }
    }
    let first = waits.remove(1);
    assert!(first <= 3000, "{first}");
    assert!(waits[1..].is_sorted(), "{waits:?}");
    assert!(*waits.last().unwrap() >= 16_000, "{waits:?}");
}

#[test]
fn a_store_that_forgets_is_not_believed() {
    let mut bench = Bench::new("me.5", Some(lease(7, "a.1")));
    bench.event(electorate(&[("me.5", Candidate), ("a.1", Candidate)]));
    bench.run(SECOND);
    bench.stored = None;
    bench.run(60 * SECOND);
    assert_eq!(bench.core.newest(), Some(&lease(7, "a.1")));
    assert_eq!(bench.happened(), "");
}

#[test]
fn a_store_is_listed_once_a_minute_and_asked_for_the_next_lease_otherwise() {
    let mut bench = Bench::new("me.5", Some(lease(1000, "a.1")));
    bench.event(electorate(&[("me.5", Candidate), ("a.1", Candidate)]));
    bench.run(600 * SECOND);
    let (listings, questions) = bench.looked;
    assert!((9..=11).contains(&listings), "{listings} listings");
    assert!((250..=300).contains(&questions), "{questions} questions");
}

/// A store in memory that fails as often as it is told to.
#[derive(Default)]
struct MemoryStore {
    leases: std::sync::Mutex<std::collections::BTreeMap<Epoch, NodeIdentity>>,
    failures: std::sync::atomic::AtomicU32,
    listings: std::sync::atomic::AtomicU32,
    forgotten: tokio::sync::Notify,
}

impl MemoryStore {
    fn fails(&self) -> bool {
        use std::sync::atomic::Ordering::Relaxed;
        self.failures.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

impl LeaseStore for MemoryStore {
    fn create<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<Created, LeaseStoreError>> {
        Box::pin(async move {
            let mut leases = self.leases.lock().unwrap();
            if leases.contains_key(&lease.epoch) {
                return Ok(Created::Exists);
            }
            leases.insert(lease.epoch, lease.holder.clone());
            // The answer is lost, but the lease is there.
            if self.fails() {
                Err(LeaseStoreError("connection reset".to_owned()))
            } else {
                Ok(Created::Created)
            }
        })
    }

    fn newest(&self) -> BoxFuture<'_, Result<Option<Lease>, LeaseStoreError>> {
        let leases = self.leases.lock().unwrap();
        let newest = leases.last_key_value();
        let newest = newest.map(|(epoch, holder)| Lease { epoch: *epoch, holder: holder.clone() });
        self.listings.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Box::pin(async move { Ok(newest) })
    }

    fn get(&self, epoch: Epoch) -> BoxFuture<'_, Result<Option<Lease>, LeaseStoreError>> {
        let holder = self.leases.lock().unwrap().get(&epoch).cloned();
        Box::pin(async move { Ok(holder.map(|holder| Lease { epoch, holder })) })
    }

    fn forget(&self, before: Epoch) -> BoxFuture<'_, Result<usize, LeaseStoreError>> {
        let mut leases = self.leases.lock().unwrap();
        let later = leases.split_off(&before);
        let count = std::mem::replace(&mut *leases, later).len();
        self.forgotten.notify_one();
        Box::pin(async move { Ok(count) })
    }
}

impl MemoryStore {
    fn with(epochs: std::ops::RangeInclusive<u64>, holder: &str) -> Self {
        let leases = epochs.map(|epoch| (Epoch::new(epoch).unwrap(), id(holder))).collect();
        Self { leases: std::sync::Mutex::new(leases), ..Self::default() }
    }
}

#[tokio::test]
async fn leases_after_the_known_one_are_found_without_listing_all() {
    let check = async |stored: std::ops::RangeInclusive<u64>, look: Look, expect: u64, listings: u32| {
        let store = MemoryStore::with(stored, "a.1");
        let newest = keeper::newest(&store, &look).await.unwrap();
        assert_eq!(newest, Some(lease(expect, "a.1")), "{look:?}");
        assert_eq!(store.listings.into_inner(), listings, "{look:?}");
    };
    let after = |epoch| Look::After(lease(epoch, "a.1"));
    check(1..=10, Look::All, 10, 1).await;
    check(1..=10, after(10), 10, 0).await;
    check(1..=10, after(6), 10, 0).await;
    check(1..=100, after(6), 100, 1).await;
}

#[tokio::test]
async fn the_keeper_performs_what_the_core_decides() {
    use std::sync::Arc;

    use crate::clock::SystemClock;
    use crate::cluster::membership::{Member, MemberState, Members, Profile};
    use crate::cluster::role::Roles;

    let member = |node: &str, draining| Member {
        identity: id(node),
        profile: Profile {
            address: ([127, 0, 0, 1], 1).into(),
            roles: Roles::all(),
            version: String::new(),
            protocol: 1,
            capacity: 1,
        },
        load: 0.0,
        draining,
        state: MemberState::Alive,
    };
    // Those of its former life, of which most are deleted.
    let store = Arc::new(MemoryStore { failures: 1.into(), ..MemoryStore::with(1..=1000, "a.0") });
    let timings = LeaseTimings { read_interval: TICK, ..LeaseTimings::default() };
    let (members, members_receiver) =
        tokio::sync::watch::channel(Members::new(id("a.1"), [member("a.1", false)]));
    let (coordination_sender, mut coordination) = tokio::sync::watch::channel(Coordination::default());
    let keeper = keep(
        id("a.1"),
        timings,
        Arc::clone(&store) as Arc<dyn LeaseStore>,
        members_receiver,
        Arc::new(SystemClock::new()),
        coordination_sender,
    );
    let story = async {
        let active = async |coordination: &mut tokio::sync::watch::Receiver<Coordination>,
                            expect: Option<u64>| {
            let is = |now: &Coordination| now.active.map(Epoch::get) == expect;
            coordination.wait_for(is).await.unwrap();
        };
        active(&mut coordination, Some(1001)).await;
        store.forgotten.notified().await;
        assert_eq!(store.leases.lock().unwrap().keys().next().map(|epoch| epoch.get()), Some(901));
        store.leases.lock().unwrap().insert(Epoch::new(1002).unwrap(), id("b.1"));
        members.send(Members::new(id("a.1"), [member("a.1", false), member("b.1", false)])).unwrap();
        active(&mut coordination, None).await;
        assert_eq!(coordination.borrow_and_update().newest, Some(lease(1002, "b.1")));
        members.send(Members::new(id("a.1"), [member("a.1", false), member("b.1", true)])).unwrap();
        active(&mut coordination, Some(1003)).await;
        drop(members);
    };
    let everything = async { tokio::join!(keeper, story) };
    tokio::time::timeout(Duration::from_secs(60), everything).await.unwrap();
    assert_eq!(coordination.borrow().active, None);
    assert!((101..=103).contains(&store.leases.lock().unwrap().len()));
}
