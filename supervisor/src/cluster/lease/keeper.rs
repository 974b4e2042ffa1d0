//! Performs what the lease's core decides.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{debug, info, warn};

use super::looks::{Look, Looks, forgotten_before};
use super::{Action, Electorate, Epoch, Event, Lease, LeaseCore, LeaseStore, LeaseStoreError, LeaseTimings};
use crate::clock::{Clock, MonotonicTime};
use crate::cluster::membership::Members;
use crate::cluster::name::NodeIdentity;

/// How often the core is stepped. Waits are as exact as this.
const TICK: Duration = Duration::from_millis(100);

/// Leases after the known one that are asked for one by one; when there are more, all are listed.
const STEPS_MAX: u32 = 8;

/// Deleting old leases is given up after this; the next takeover goes on.
const FORGET_MAX: Duration = Duration::from_secs(60);

/// Who coordinates, as far as this node knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coordination {
    /// The epoch with which this node assigns work; none if it does not.
    pub active: Option<Epoch>,
    /// The newest lease that this node has seen.
    pub newest: Option<Lease>,
}

/// Keeps this node's part in the lease, for as long as the returned future is polled. It ends when the membership does.
pub async fn keep(
    me: NodeIdentity,
    timings: LeaseTimings,
    store: Arc<dyn LeaseStore>,
    mut members: watch::Receiver<Members>,
    clock: Arc<dyn Clock>,
    coordination: watch::Sender<Coordination>,
) {
    let mut core = LeaseCore::new(me, timings);
    let mut looks = Looks::default();
    let mut operation: Option<BoxFuture<'static, Answer>> = None;
    let mut forgetting: Option<BoxFuture<'static, ()>> = None;
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    members.mark_changed();
    if members.borrow().is_joining() {
        info!("this node was told whom to join: it takes no lease before it has met another node");
    }
    loop {
        let event = tokio::select! {
            answer = ended(&mut operation) => {
                operation = None;
                if let Some((look, at)) = answer.looked {
                    looks.answered(&look, at);
                }
                answer.event
            }
            () = ended(&mut forgetting) => {
                forgetting = None;
                continue;
            }
            changed = members.changed() => {
                if changed.is_err() {
                    break;
                }
                Event::Members(Electorate::of(&members.borrow_and_update()))
            }
            _ = tick.tick() => Event::Tick,
        };
        let now = clock.now();
        for action in core.step(event, now) {
            match action {
                Action::Read => {
                    let look = looks.next(now, core.newest());
                    operation = Some(read(Arc::clone(&store), look, now, timings.operation_max).boxed());
                }
                Action::Create(lease) => {
                    operation = Some(create(Arc::clone(&store), lease, timings.operation_max).boxed());
                }
                Action::Activate(epoch) => {
                    info!(%epoch, "this node coordinates");
                    looks.created();
                    let before = forgotten_before(epoch);
                    forgetting = before.map(|before| forget(Arc::clone(&store), before).boxed());
                }
                Action::StandDown { epoch, reason } => {
                    info!(%epoch, reason = reason.as_str(), "this node no longer coordinates");
                }
            }
        }
        let now = Coordination { active: core.active(), newest: core.newest().cloned() };
        coordination.send_if_modified(|current| {
            let changed = *current != now;
            *current = now;
            changed
        });
    }
    coordination.send_modify(|coordination| coordination.active = None);
}

/// What became of one operation of the store.
struct Answer {
    event: Event,
    /// If leases were read: how, and when that began.
    looked: Option<(Look, MonotonicTime)>,
}

/// What is under way; never, if nothing is.
async fn ended<T>(operation: &mut Option<BoxFuture<'static, T>>) -> T {
    match operation {
        Some(operation) => operation.await,
        None => pending().await,
    }
}

async fn read(store: Arc<dyn LeaseStore>, look: Look, now: MonotonicTime, limit: Duration) -> Answer {
    let event = match timeout(limit, newest(store.as_ref(), &look)).await {
        Ok(Ok(newest)) => Event::Read(newest),
        Ok(Err(error)) => {
            warn!(%error, "newest lease could not be read, retrying");
            Event::Failed
        }
        Err(_) => {
            warn!(limit = ?limit, "newest lease was not read in time, retrying");
            Event::Failed
        }
    };
    let looked = matches!(event, Event::Read(_)).then_some((look, now));
    Answer { event, looked }
}

pub(super) async fn newest(store: &dyn LeaseStore, look: &Look) -> Result<Option<Lease>, LeaseStoreError> {
    let Look::After(known) = look else { return store.newest().await };
    let mut newest = known.clone();
    for _ in 0..STEPS_MAX {
        match store.get(newest.epoch.next()).await? {
            Some(next) => newest = next,
            None => return Ok(Some(newest)),
        }
    }
    store.newest().await
}

async fn create(store: Arc<dyn LeaseStore>, lease: Lease, limit: Duration) -> Answer {
    let event = match timeout(limit, store.create(&lease)).await {
        Ok(Ok(created)) => Event::Created(created),
        Ok(Err(error)) => {
            warn!(%error, epoch = %lease.epoch, "lease could not be created, looking again");
            Event::Failed
        }
        Err(_) => {
            warn!(limit = ?limit, epoch = %lease.epoch, "lease was not created in time, looking again");
            Event::Failed
        }
    };
    Answer { event, looked: None }
}

/// Best effort: the next who takes over tries again.
async fn forget(store: Arc<dyn LeaseStore>, before: Epoch) {
    match timeout(FORGET_MAX, store.forget(before)).await {
        Ok(Ok(0)) => {}
        Ok(Ok(count)) => debug!(count, %before, "old leases deleted"),
        Ok(Err(error)) => debug!(%error, "old leases stay"),
        Err(_) => debug!(limit = ?FORGET_MAX, "old leases stay: not deleted in time"),
    }
}
