//! Performs what the lease's core decides.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use super::{Action, Electorate, Epoch, Event, Lease, LeaseCore, LeaseStore, LeaseTimings};
use crate::clock::Clock;
use crate::cluster::membership::Members;
use crate::cluster::name::NodeIdentity;

/// How often the core is stepped. Waits are as exact as this.
const TICK: Duration = Duration::from_millis(100);

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
    let mut operation: Option<BoxFuture<'static, Event>> = None;
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    members.mark_changed();
    loop {
        let answered = async {
            match operation.as_mut() {
                Some(operation) => operation.await,
                None => pending().await,
            }
        };
        let event = tokio::select! {
            event = answered => {
                operation = None;
                event
            }
            changed = members.changed() => {
                if changed.is_err() {
                    break;
                }
                Event::Members(Electorate::of(&members.borrow_and_update()))
            }
            _ = tick.tick() => Event::Tick,
        };
        for action in core.step(event, clock.now()) {
            match action {
                Action::Read => operation = Some(read(Arc::clone(&store), timings.operation_max).boxed()),
                Action::Create(lease) => {
                    operation = Some(create(Arc::clone(&store), lease, timings.operation_max).boxed());
                }
                Action::Activate(epoch) => info!(%epoch, "this node coordinates"),
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

async fn read(store: Arc<dyn LeaseStore>, limit: Duration) -> Event {
    match timeout(limit, store.newest()).await {
        Ok(Ok(newest)) => Event::Read(newest),
        Ok(Err(error)) => {
            warn!(%error, "newest lease could not be read, retrying");
            Event::Failed
        }
        Err(_) => {
            warn!(limit = ?limit, "newest lease was not read in time, retrying");
            Event::Failed
        }
    }
}

async fn create(store: Arc<dyn LeaseStore>, lease: Lease, limit: Duration) -> Event {
    match timeout(limit, store.create(&lease)).await {
        Ok(Ok(created)) => Event::Created(created),
        Ok(Err(error)) => {
            warn!(%error, epoch = %lease.epoch, "lease could not be created, looking again");
            Event::Failed
        }
        Err(_) => {
            warn!(limit = ?limit, epoch = %lease.epoch, "lease was not created in time, looking again");
            Event::Failed
        }
    }
}
