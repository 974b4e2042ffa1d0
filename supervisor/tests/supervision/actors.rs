//! Actors that misbehave on demand, and write down what happens to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use orrery_supervisor::{
    ChildSpec, ErrorClass, ExitError, Handle, Probe, RestartIntensity, StartContext, StartError,
};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::watch;

/// What happened, in order; and the handles of whoever lives.
#[derive(Clone, Default)]
pub(crate) struct Log {
    lines: Arc<watch::Sender<Vec<String>>>,
    handles: Arc<Mutex<BTreeMap<String, Handle<Order>>>>,
}

impl Log {
    pub(crate) fn write(&self, line: impl Into<String>) {
        self.lines.send_modify(|lines| lines.push(line.into()));
    }

    /// Everything so far, forgotten then.
    pub(crate) fn take(&self) -> Vec<String> {
        let mut taken = Vec::new();
        self.lines.send_modify(|lines| taken = std::mem::take(lines));
        taken
    }

    /// Waits until there are so many lines, and takes them.
    pub(crate) async fn next(&self, count: usize) -> Vec<String> {
        let mut receiver = self.lines.subscribe();
        let wait = receiver.wait_for(|lines| lines.len() >= count);
        let waited = tokio::time::timeout(Duration::from_secs(20), wait).await.map(|found| found.is_ok());
        let lines = self.take();
        assert_eq!(waited, Ok(true), "fewer than {count} lines: {lines:?}");
        lines
    }

    /// Tells the current life of `name`.
    pub(crate) fn tell(&self, name: &str, order: Order) {
        assert!(self.try_tell(name, order), "{name} takes no messages");
    }

    /// Whether it took the message.
    pub(crate) fn try_tell(&self, name: &str, order: Order) -> bool {
        let handle = self.handles.lock().unwrap().get(name).cloned();
        handle.unwrap_or_else(|| panic!("{name} never lived")).send(order).is_ok()
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Order {
    Panic,
    Fail(ErrorClass),
    FailUntyped,
    End,
    Hang,
    Say(&'static str),
}

impl ractor::Message for Order {}

/// Does as it is told; its start and stop are logged as `start a`, `stop a`.
pub(crate) struct Worker;

#[derive(Clone)]
pub(crate) struct Manners {
    pub(crate) name: String,
    pub(crate) log: Log,
    pub(crate) refuse: Option<ErrorClass>,
    pub(crate) slow_start: Duration,
    pub(crate) slow_stop: Duration,
}

impl Manners {
    pub(crate) fn new(name: &str, log: &Log) -> Self {
        Self {
            name: name.to_owned(),
            log: log.clone(),
            refuse: None,
            slow_start: Duration::ZERO,
            slow_stop: Duration::ZERO,
        }
    }
}

impl Actor for Worker {
    type Msg = Order;
    type State = Manners;
    type Arguments = (Manners, Arc<Probe>);

    async fn pre_start(
        &self,
        myself: ActorRef<Order>,
        (manners, probe): (Manners, Arc<Probe>),
    ) -> Result<Manners, ActorProcessingErr> {
        if let Some(class) = manners.refuse {
            manners.log.write(format!("refuse {}", manners.name));
            return Err(ExitError::new(class, "not today").into());
        }
        if !manners.slow_start.is_zero() {
            tokio::time::sleep(manners.slow_start).await;
        }
        manners.log.handles.lock().unwrap().insert(manners.name.clone(), Handle::new(myself, probe));
        manners.log.write(format!("start {}", manners.name));
        Ok(manners)
    }

    async fn handle(
        &self,
        myself: ActorRef<Order>,
        order: Order,
        state: &mut Manners,
    ) -> Result<(), ActorProcessingErr> {
        match order {
            Order::Panic => panic!("told to"),
            Order::Fail(class) => return Err(ExitError::new(class, "told to").into()),
            Order::FailUntyped => return Err("told to".into()),
            Order::End => myself.stop(None),
            Order::Hang => std::future::pending().await,
            Order::Say(word) => state.log.write(format!("{} says {word}", state.name)),
        }
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Order>, state: &mut Manners) -> Result<(), ActorProcessingErr> {
        if !state.slow_stop.is_zero() {
            tokio::time::sleep(state.slow_stop).await;
        }
        state.log.write(format!("stop {}", state.name));
        Ok(())
    }
}

/// A worker that is restarted at once.
pub(crate) fn worker(name: &str, log: &Log) -> ChildSpec {
    worker_with(Manners::new(name, log))
}

pub(crate) fn worker_with(manners: Manners) -> ChildSpec {
    let make = {
        let manners = manners.clone();
        move |context: &StartContext| -> Result<_, StartError> {
            Ok((Worker, (manners.clone(), Arc::clone(context.probe()))))
        }
    };
    ChildSpec::worker(manners.name, make).backoff(None)
}

pub(crate) fn intensity(max: u32, period: u64) -> RestartIntensity {
    RestartIntensity::new(max, Duration::from_secs(period)).unwrap()
}
