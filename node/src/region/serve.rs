//! What peer regions are told by any node of this one: its report, slots of its logs, and files that these name.

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::FlightData;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{BoxStream, try_unfold};
use orrery_actors::dataset::{
    DatasetError, SlotObject, Store, TableKind, read_object, read_slot, slot_facts,
};
use orrery_actors::region::ticket::{
    PART_BYTES_MAX, PartHead, REPORT_ACTION, RegionTicket, SLOTS_BYTES_MAX, SLOTS_MAX,
};
use orrery_supervisor::Clock;
use orrery_supervisor::cluster::certificates::Purpose;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Response, Status};

use super::told::Regions;

/// Answers at a time, of all peer regions: each holds a slot, or some parts of a file.
const ANSWERS_MAX: usize = 32;

/// A report that is older is no news of this region: its coordinator is gone.
const REPORT_AGE_MAX: Duration = Duration::from_secs(5);

/// Bytes of a file that are read at a time: a store takes as long for a part.
const READ_BYTES: u64 = 4 << 20;

/// What answers.
#[derive(Clone)]
pub(crate) struct RegionService {
    regions: Regions,
    /// `None` for a node that does not touch it.
    dataset: Option<Store>,
    clock: Arc<dyn Clock>,
    places: Arc<Semaphore>,
}

type Frames = Response<BoxStream<'static, Result<FlightData, Status>>>;

impl RegionService {
    pub(crate) fn new(regions: Regions, dataset: Option<Store>, clock: Arc<dyn Clock>) -> Self {
        Self { regions, dataset, clock, places: Arc::new(Semaphore::new(ANSWERS_MAX)) }
    }

    /// Whether somebody may ask at all: nodes of peer regions, by their authority or by this cluster's own.
    fn admit(&self, purpose: Purpose) -> Result<(), Status> {
        if !self.regions.is_region() {
            return Err(Status::not_found("this cluster is no region among others: it has no [region]"));
        }
        match purpose {
            Purpose::Node | Purpose::Region => Ok(()),
            Purpose::Operator => {
                Err(Status::permission_denied("only nodes of peer regions may ask for this"))
            }
        }
    }

    /// The answer to an action, if it is regions that it is about or asked by; `None` for one of somebody else.
    ///
    /// # Errors
    ///
    /// Whoever asks may not.
    pub(crate) fn act(&self, action: &str, purpose: Purpose) -> Result<Option<Vec<u8>>, Status> {
        match purpose {
            _ if action == REPORT_ACTION => self.report(purpose).map(Some),
            Purpose::Region => {
                let reason = format!("a node of a peer region may ask for {REPORT_ACTION} alone");
                Err(Status::permission_denied(reason))
            }
            Purpose::Node | Purpose::Operator => Ok(None),
        }
    }

    /// What this region says of itself.
    fn report(&self, purpose: Purpose) -> Result<Vec<u8>, Status> {
        self.admit(purpose)?;
        let own = self.regions.own_at_most(REPORT_AGE_MAX, self.clock.now());
        let own =
            own.ok_or_else(|| Status::unavailable("no coordinator has told this node of its region lately"))?;
        Ok(own.to_json())
    }

    /// Slots, or a file.
    pub(crate) async fn get(&self, ticket: &[u8], purpose: Purpose) -> Result<Frames, Status> {
        self.admit(purpose)?;
        let refused =
            |error: orrery_actors::region::ticket::TicketError| Status::invalid_argument(error.to_string());
        let ticket = RegionTicket::decode(ticket).map_err(refused)?;
        let table = ticket.table().map_err(refused)?;
        let Some(dataset) = self.dataset.clone() else {
            return Err(Status::unavailable("this node does not reach the dataset"));
        };
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return Err(Status::resource_exhausted(format!(
                "{ANSWERS_MAX} answers are under way, which is all"
            )));
        };
        let source = Source { dataset, table, _place: place };
        Ok(Response::new(match ticket {
            RegionTicket::Slots { from, max, .. } => source.slots(from, max.min(SLOTS_MAX)),
            RegionTicket::Object { slot, path, .. } => source.object(slot, &path).await?,
        }))
    }
}

/// What is read from.
struct Source {
    dataset: Store,
    table: TableKind,
    _place: OwnedSemaphorePermit,
}

impl Source {
    /// Slots one after another, read when there is room for them.
    fn slots(self, from: u64, max: u32) -> BoxStream<'static, Result<FlightData, Status>> {
        let state = (self, from, max, 0_usize);
        try_unfold(state, |(source, slot, left, sent)| async move {
            if left == 0 || sent > SLOTS_BYTES_MAX {
                return Ok(None);
            }
            let found = read_slot(&source.dataset, source.table, slot).await.map_err(away)?;
            let Some(bytes) = found else { return Ok(None) };
            let sent = sent + bytes.len();
            let frames = futures::stream::iter(parts(slot, bytes, 0)).map(Ok);
            Ok::<_, Status>(Some((frames, (source, slot + 1, left - 1, sent))))
        })
        .flat_map(|frames| match frames {
            Ok(frames) => frames.boxed(),
            Err(error) => futures::stream::iter([Err(error)]).boxed(),
        })
        .boxed()
    }

    /// A file, if the slot names it.
    async fn object(
        self,
        slot: u64,
        path: &str,
    ) -> Result<BoxStream<'static, Result<FlightData, Status>>, Status> {
        let bytes = read_slot(&self.dataset, self.table, slot).await.map_err(away)?;
        let facts = bytes.and_then(|bytes| slot_facts(slot, &bytes).ok());
        let object = facts.and_then(|facts| facts.object).filter(|object| object.path == path);
        let Some(object) = object else {
            return Err(Status::not_found(format!("slot {slot} of {} names no such file", self.table)));
        };
        let state = (self, object, 0_u64);
        Ok(try_unfold(state, move |(source, object, offset)| async move {
            let SlotObject { path, bytes, .. } = &object;
            let end = bytes.min(&(offset + READ_BYTES)).to_owned();
            if offset >= end {
                return Ok(None);
            }
            let found = read_object(&source.dataset, source.table, path, offset..end).await.map_err(away)?;
            let found = found.ok_or_else(|| Status::not_found(format!("{path} is not there")))?;
            let frames = futures::stream::iter(parts(slot, found, bytes - end)).map(Ok);
            Ok::<_, Status>(Some((frames, (source, object, end))))
        })
        .flat_map(|frames| match frames {
            Ok(frames) => frames.boxed(),
            Err(error) => futures::stream::iter([Err(error)]).boxed(),
        })
        .boxed())
    }
}

/// Frames of some bytes, behind which so many more come.
fn parts(slot: u64, bytes: Bytes, behind: u64) -> Vec<FlightData> {
    let count = bytes.len().div_ceil(PART_BYTES_MAX).max(1);
    (0..count)
        .map(|place| {
            let start = place * PART_BYTES_MAX;
            let end = bytes.len().min(start + PART_BYTES_MAX);
            let left = behind + (bytes.len() - end) as u64;
            let app_metadata = PartHead { slot, left }.encode().into();
            let data_body = bytes.slice(start..end);
            FlightData { flight_descriptor: None, data_header: Bytes::new(), app_metadata, data_body }
        })
        .collect()
}

fn away(error: DatasetError) -> Status {
    Status::unavailable(error.to_string())
}

#[cfg(test)]
mod tests;
