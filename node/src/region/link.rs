//! The link to a peer region: a connection for reports and one for copies, to whichever of its nodes answers, over Flight and its authority's certificates.
//!
//! Every wait has a limit. A connection that breaks is made anew at the next address, later each time it fails.

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, FlightData, Ticket};
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use orrery_actors::dataset::{Pace, SlotObject, TableKind};
use orrery_actors::region::replication::{PeerError, PeerRegion};
use orrery_actors::region::report::RegionReport;
use orrery_actors::region::ticket::{
    PART_BYTES_MAX, PartHead, REPORT_ACTION, RegionTicket, SLOTS_BYTES_MAX, SLOTS_MAX,
};
use orrery_supervisor::cluster::certificates::Credentials;
use orrery_supervisor::{Backoff, Clock, MonotonicTime, SeededRandom};
use tokio::sync::Mutex;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use super::settings::PeerSettings;
use crate::cluster::region_channel;

/// Time for a report: a region that takes longer is as good as unheard.
const REPORT_WITHIN: Duration = Duration::from_secs(2);

/// Time until slots or a file begin to come, and between their parts.
const PART_WITHIN: Duration = Duration::from_secs(15);

/// Most bytes of a message: a part with its head.
const MESSAGE_BYTES_MAX: usize = PART_BYTES_MAX + (64 << 10);

/// Largest slot.
const SLOT_BYTES_MAX: u64 = 16 << 20;

/// A link.
pub(super) struct PeerLink {
    settings: PeerSettings,
    credentials: Credentials,
    clock: Arc<dyn Clock>,
    /// For reports alone: they wait behind no file, and what fails of files makes nobody unheard.
    reports: Line,
    /// For slots and files.
    copies: Line,
    pace: Pace,
}

type Line = Mutex<Dialled>;

/// The connection, or why there is none.
struct Dialled {
    channel: Option<(u64, Channel)>,
    /// Number of the next connection.
    next: u64,
    /// Place of the address that is tried first.
    address: usize,
    failures: u32,
    /// Not tried before.
    rests_until: MonotonicTime,
    why: String,
    random: SeededRandom,
}

type Client = FlightServiceClient<Channel>;

impl PeerLink {
    pub(super) fn new(
        settings: PeerSettings,
        credentials: Credentials,
        clock: Arc<dyn Clock>,
        seed: u64,
    ) -> Self {
        let pace = Pace::mib_per_second(settings.mib_per_second, clock.clone());
        let line = |seed| {
            Mutex::new(Dialled {
                channel: None,
                next: 0,
                address: 0,
                failures: 0,
                rests_until: MonotonicTime::ORIGIN,
                why: String::new(),
                random: SeededRandom::new(seed),
            })
        };
        let (reports, copies) = (line(seed), line(!seed));
        Self { settings, credentials, clock, reports, copies, pace }
    }

    /// A client over the connection that is there, or over a new one.
    async fn client(&self, line: &Line) -> Result<(u64, Client), PeerError> {
        let mut dialled = line.lock().await;
        let client = |channel: &Channel| {
            FlightServiceClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
        };
        if let Some((number, channel)) = &dialled.channel {
            return Ok((*number, client(channel)));
        }
        if self.clock.now() < dialled.rests_until {
            return Err(PeerError::Away(dialled.why.clone()));
        }
        let mut reasons = Vec::new();
        let count = self.settings.addresses.len();
        for _ in 0..count {
            let Some(address) = self.settings.addresses.get(dialled.address % count.max(1)) else { break };
            match region_channel(address, &self.credentials, self.settings.name.as_str()).await {
                Ok(channel) => {
                    let number = dialled.next;
                    dialled.next += 1;
                    let client = client(&channel);
                    dialled.channel = Some((number, channel));
                    tracing::info!(region = %self.settings.name, address, "link to a peer region");
                    return Ok((number, client));
                }
                Err(error) => reasons.push(error.to_string()),
            }
            dialled.address = (dialled.address + 1) % count;
        }
        dialled.rest(self.clock.now(), reasons.join("; "));
        Err(PeerError::Away(dialled.why.clone()))
    }

    /// What an answer says about the connection.
    async fn judge<T>(&self, line: &Line, number: u64, answer: Result<T, PeerError>) -> Result<T, PeerError> {
        let mut dialled = line.lock().await;
        let is_current = dialled.channel.as_ref().is_some_and(|(current, _)| *current == number);
        match &answer {
            Ok(_) if is_current => dialled.failures = 0,
            Err(PeerError::Away(why)) if is_current => {
                dialled.channel = None;
                dialled.address = (dialled.address + 1) % self.settings.addresses.len().max(1);
                dialled.rest(self.clock.now(), why.clone());
            }
            _ => {}
        }
        answer
    }

    async fn ask_report(&self) -> Result<RegionReport, PeerError> {
        let (number, mut client) = self.client(&self.reports).await?;
        let asked = async {
            let action = Action { r#type: REPORT_ACTION.to_owned(), body: Bytes::new() };
            let mut answers = client.do_action(action).await.map_err(of_status)?.into_inner();
            let answer = answers.message().await.map_err(of_status)?;
            let answer = answer.ok_or_else(|| PeerError::Away("no report came".to_owned()))?;
            RegionReport::parse(&answer.body).map_err(|error| PeerError::Untrue(error.to_string()))
        };
        let answer = tokio::time::timeout(REPORT_WITHIN, asked).await;
        let late = |_| PeerError::Away(format!("no report within {REPORT_WITHIN:?}"));
        let answer = answer.map_err(late).flatten();
        // Another of its nodes may say more.
        let answer = answer.map_err(|error| match error {
            PeerError::Refused(why) => PeerError::Away(why),
            other => other,
        });
        self.judge(&self.reports, number, answer).await
    }

    /// The parts that answer a ticket.
    async fn get(&self, ticket: &RegionTicket) -> Result<(u64, Streaming<FlightData>), PeerError> {
        let (number, mut client) = self.client(&self.copies).await?;
        let asked = client.do_get(Ticket { ticket: ticket.encode().into() });
        let answer = within(asked).await;
        let answer = self.judge(&self.copies, number, answer).await?;
        Ok((number, answer.into_inner()))
    }

    async fn ask_slots(&self, table: TableKind, from: u64, max: u32) -> Result<Vec<Bytes>, PeerError> {
        let max = max.min(SLOTS_MAX);
        let ticket = RegionTicket::Slots { table: table.as_str().to_owned(), from, max };
        let (number, mut frames) = self.get(&ticket).await?;
        let (mut slots, mut bytes) = (Vec::new(), 0);
        for slot in (from..).take(max as usize) {
            let answer = whole(&mut frames, slot, SLOT_BYTES_MAX, &self.pace).await;
            let Some(whole) = self.judge(&self.copies, number, answer).await? else { break };
            bytes += whole.len();
            slots.push(whole);
            if bytes > SLOTS_BYTES_MAX {
                break;
            }
        }
        Ok(slots)
    }

    async fn ask_object(&self, table: TableKind, slot: u64, object: SlotObject) -> Result<Bytes, PeerError> {
        let ticket = RegionTicket::Object { table: table.as_str().to_owned(), slot, path: object.path };
        let (number, mut frames) = self.get(&ticket).await?;
        let answer = whole(&mut frames, slot, object.bytes, &self.pace).await;
        let answer = answer.and_then(|whole| whole.ok_or_else(|| PeerError::Away("no file came".to_owned())));
        self.judge(&self.copies, number, answer).await
    }
}

impl PeerRegion for PeerLink {
    fn report(&self) -> BoxFuture<'_, Result<RegionReport, PeerError>> {
        self.ask_report().boxed()
    }

    fn slots(&self, table: TableKind, from: u64, max: u32) -> BoxFuture<'_, Result<Vec<Bytes>, PeerError>> {
        self.ask_slots(table, from, max).boxed()
    }

    fn object(
        &self,
        table: TableKind,
        slot: u64,
        object: SlotObject,
    ) -> BoxFuture<'_, Result<Bytes, PeerError>> {
        self.ask_object(table, slot, object).boxed()
    }
}

impl Dialled {
    fn rest(&mut self, now: MonotonicTime, why: String) {
        self.failures += 1;
        let Self { failures, random, .. } = self;
        self.rests_until = now.after(Backoff::DEFAULT.delay(*failures, &mut || random.draw()));
        self.why = why;
    }
}

/// The next slot or file; `None` at the end. `bytes_max` bounds it.
async fn whole(
    frames: &mut (impl Stream<Item = Result<FlightData, Status>> + Unpin),
    slot: u64,
    bytes_max: u64,
    pace: &Pace,
) -> Result<Option<Bytes>, PeerError> {
    let untrue = |what: String| PeerError::Untrue(format!("slot {slot}: {what}"));
    let mut whole = BytesMut::new();
    let mut left = None;
    loop {
        let Some(frame) = within(frames.next().map(Option::transpose)).await? else {
            let is_cut = left.is_some();
            return if is_cut { Err(PeerError::Away("it was cut short".to_owned())) } else { Ok(None) };
        };
        let head = PartHead::decode(&frame.app_metadata).map_err(|error| untrue(error.to_string()))?;
        let part = frame.data_body;
        let size = part.len() as u64;
        let found = head.left.saturating_add(size);
        let is_idle = part.is_empty() && head.left > 0;
        if head.slot != slot || left.is_some_and(|left| left != found) || is_idle {
            return Err(untrue("its parts do not belong together".to_owned()));
        }
        if found.saturating_add(whole.len() as u64) > bytes_max {
            return Err(untrue(format!("more than {bytes_max} bytes")));
        }
        whole.extend_from_slice(&part);
        left = Some(head.left);
        pace.take(size).await;
        if head.left == 0 {
            return Ok(Some(whole.freeze()));
        }
    }
}

async fn within<T>(answer: impl Future<Output = Result<T, Status>>) -> Result<T, PeerError> {
    let late = |_| PeerError::Away(format!("nothing came within {PART_WITHIN:?}"));
    tokio::time::timeout(PART_WITHIN, answer).await.map_err(late)?.map_err(of_status)
}

fn of_status(status: Status) -> PeerError {
    let message = status.message().to_owned();
    match status.code() {
        Code::PermissionDenied | Code::Unauthenticated | Code::NotFound | Code::InvalidArgument => {
            PeerError::Refused(message)
        }
        _ => PeerError::Away(message),
    }
}

#[cfg(test)]
mod tests {
    use orrery_supervisor::SystemClock;

    use super::*;

    /// Frames of `(slot, left, body)`, and the error that ends them, if any.
    async fn check(
        frames: &[(u64, u64, &str)],
        ends: Option<Status>,
        expect: Result<Option<&'static [u8]>, PeerError>,
    ) {
        let frame = |(slot, left, body): &(u64, u64, &str)| FlightData {
            app_metadata: PartHead { slot: *slot, left: *left }.encode().into(),
            data_body: body.to_string().into(),
            ..FlightData::default()
        };
        let sent = frames.iter().map(|parts| Ok(frame(parts))).chain(ends.map(Err)).collect::<Vec<_>>();
        let found = whole(&mut futures::stream::iter(sent), 7, 6, &Pace::unlimited()).await;
        assert_eq!(found, expect.map(|bytes| bytes.map(Bytes::from_static)), "{frames:?}");
    }

    #[tokio::test]
    async fn parts_are_put_together_and_what_does_not_belong_together_is_untrue() {
        let untrue = |what: &str| Err(PeerError::Untrue(format!("slot 7: {what}")));
        check(&[], None, Ok(None)).await;
        check(&[(7, 0, "abc")], None, Ok(Some(b"abc"))).await;
        check(&[(7, 4, "ab"), (7, 1, "cde"), (7, 0, "f"), (8, 0, "x")], None, Ok(Some(b"abcdef"))).await;
        check(&[(7, 0, "")], None, Ok(Some(b""))).await;
        let apart = "its parts do not belong together";
        check(&[(8, 0, "abc")], None, untrue(apart)).await;
        check(&[(7, 3, "a"), (8, 0, "bcd")], None, untrue(apart)).await;
        check(&[(7, 3, "a"), (7, 0, "bc")], None, untrue(apart)).await;
        check(&[(7, 3, "a"), (7, 3, "")], None, untrue(apart)).await;
        check(&[(7, 0, "abcdefg")], None, untrue("more than 6 bytes")).await;
        check(&[(7, u64::MAX, "a")], None, untrue("more than 6 bytes")).await;
        check(&[(7, 3, "a")], None, Err(PeerError::Away("it was cut short".to_owned()))).await;
        let gone = Some(Status::unavailable("gone"));
        check(&[(7, 3, "a")], gone, Err(PeerError::Away("gone".to_owned()))).await;
        let refused = Some(Status::not_found("no such file"));
        check(&[], refused, Err(PeerError::Refused("no such file".to_owned()))).await;
    }

    #[tokio::test]
    async fn a_peer_that_nobody_answers_for_is_away_with_the_reason_of_each_address() {
        let settings = PeerSettings {
            name: "us".parse().unwrap(),
            addresses: vec!["127.0.0.1:1".to_owned(), "127.0.0.1:2".to_owned()],
            authority: None,
            mode: orrery_actors::region::ReplicationMode::Copy,
            mib_per_second: 0,
        };
        let name = "eu-1".parse().unwrap();
        let purpose = orrery_supervisor::cluster::certificates::Purpose::Node;
        let credentials = Credentials::insecure_loopback(&name, purpose).unwrap();
        let link = PeerLink::new(settings, credentials, Arc::new(SystemClock::new()), 7);
        let away = link.report().await.unwrap_err().to_string();
        assert!(away.contains("127.0.0.1:1: ") && away.contains("127.0.0.1:2: "), "{away}");
        assert_eq!(link.reports.lock().await.failures, 1);
        let copies = link.slots(TableKind::Ledgers, 0, 1).await;
        assert!(matches!(copies, Err(PeerError::Away(_))), "{copies:?}");
    }
}
