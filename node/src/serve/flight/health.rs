//! Health as gRPC has it (`grpc.health.v1`): serving is what `/readyz` calls ready.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{BoxStream, StreamExt, unfold};
use tokio::sync::Semaphore;
use tokio::time::{Interval, MissedTickBehavior};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::readiness::Readiness;

/// Services that there are; the first one is the server as a whole.
const SERVICES: [&str; 2] = ["", "arrow.flight.protocol.FlightService"];

/// Between two looks for who watches.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Watches at once: whoever may ask need not say who they are.
const WATCHES_MAX: usize = 256;

/// Tells how a node is.
pub(super) struct NodeHealth {
    readiness: Arc<Readiness>,
    watches: Arc<Semaphore>,
}

impl NodeHealth {
    pub(super) fn new(readiness: Arc<Readiness>) -> Self {
        Self { readiness, watches: Arc::new(Semaphore::new(WATCHES_MAX)) }
    }
}

/// Whether a node is ready; `None` is of a service that there is not.
fn status(readiness: Option<&Readiness>) -> HealthCheckResponse {
    let status = match readiness.map(|readiness| readiness.answer().0) {
        Some(true) => ServingStatus::Serving,
        Some(false) => ServingStatus::NotServing,
        None => ServingStatus::ServiceUnknown,
    };
    HealthCheckResponse { status: status.into() }
}

/// One watch.
struct Watch {
    /// `None` of a service that there is not.
    readiness: Option<Arc<Readiness>>,
    told: Option<i32>,
    ticks: Interval,
    _place: tokio::sync::OwnedSemaphorePermit,
}

impl Watch {
    /// The next status that is another.
    async fn next(&mut self) -> HealthCheckResponse {
        loop {
            self.ticks.tick().await;
            let status = status(self.readiness.as_deref());
            if self.told != Some(status.status) {
                self.told = Some(status.status);
                return status;
            }
        }
    }
}

#[tonic::async_trait]
impl Health for NodeHealth {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !SERVICES.contains(&request.get_ref().service.as_str()) {
            let name: String = request.get_ref().service.chars().take(100).collect();
            return Err(Status::not_found(format!("there is no service {name:?}: ask for {SERVICES:?}")));
        }
        Ok(Response::new(status(Some(&self.readiness))))
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let place = self.watches.clone().try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!("{WATCHES_MAX} watch already: ask with Check now and then"))
        })?;
        let is_known = SERVICES.contains(&request.get_ref().service.as_str());
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let readiness = is_known.then(|| self.readiness.clone());
        let watch = Watch { readiness, told: None, ticks, _place: place };
        let statuses = unfold(watch, |mut watch| async move {
            let next = watch.next().await;
            Some((Ok(next), watch))
        });
        Ok(Response::new(statuses.boxed()))
    }
}
