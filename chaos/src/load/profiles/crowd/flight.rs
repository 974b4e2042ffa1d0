//! One user's connection over Arrow Flight: a range of events, decoded to record batches as any client would.

use std::time::Duration;

use arrow_flight::Ticket;
use arrow_flight::decode::{DecodedPayload, FlightDataDecoder};
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use futures::{StreamExt, TryStreamExt};
use orrery_supervisor::{Clock, MonotonicTime};
use serde_json::{Value, json};
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::http::Caller;
use crate::load::profiles::tally::Fault;

/// Longest message: servers send some MiB.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// How long a connection may take.
const CONNECTS_WITHIN: Duration = Duration::from_secs(30);

/// A connection, or none yet.
#[derive(Debug)]
pub(super) struct Flight {
    caller: Caller,
    client: Option<FlightServiceClient<Channel>>,
}

/// A range that came whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    /// When the first message with rows, or with the end, was there.
    pub(super) first_at: MonotonicTime,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl Flight {
    pub(super) fn new(caller: Caller) -> Self {
        Self { caller, client: None }
    }

    /// Reads events of ledgers from `first` to `last`.
    pub(super) async fn read(&mut self, first: u32, last: u32, clock: &dyn Clock) -> Result<Read, Fault> {
        let read = self.attempt(first, last, clock).await;
        if read.is_err() {
            self.client = None;
        }
        read
    }

    async fn attempt(&mut self, first: u32, last: u32, clock: &dyn Clock) -> Result<Read, Fault> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => self.connect().await?,
        };
        let asked = json!({
            "table": "token_transfers",
            "from": first.saturating_sub(1).to_string(),
            "to": last.to_string(),
        });
        let mut request = Request::new(Ticket::new(asked.to_string()));
        if let Some(token) = &self.caller.token {
            let value = MetadataValue::try_from(format!("Bearer {token}"));
            let value = value.map_err(|error| Fault::new("no token", error.to_string()))?;
            request.metadata_mut().insert("authorization", value);
        }
        let answer = client.do_get(request).await.map_err(|status| refused(&status))?;
        let mut decoded = FlightDataDecoder::new(answer.into_inner().map_err(FlightError::from));
        let (mut rows, mut bytes, mut first_at, mut cursor) = (0, 0, None, None);
        while let Some(message) = decoded.next().await {
            let message = message.map_err(|error| match error {
                FlightError::Tonic(status) => refused(&status),
                other => Fault::new("not decoded", other.to_string()),
            })?;
            bytes += (message.inner.data_header.len() + message.inner.data_body.len()) as u64;
            if let DecodedPayload::RecordBatch(batch) = message.payload {
                first_at.get_or_insert_with(|| clock.now());
                rows += batch.num_rows() as u64;
                cursor = serde_json::from_slice::<Value>(&message.inner.app_metadata).ok();
            }
        }
        self.client = Some(client);
        let cursor = cursor.as_ref().and_then(|said| said["cursor"].as_str()).unwrap_or("none");
        if cursor != last.to_string() {
            return Err(Fault::wrong(format!("ledgers {first} to {last} end with the cursor {cursor}")));
        }
        Ok(Read { first_at: first_at.unwrap_or_else(|| clock.now()), rows, bytes })
    }

    async fn connect(&self) -> Result<FlightServiceClient<Channel>, Fault> {
        let failed =
            |error: tonic::transport::Error| Fault::new("not connected", format!("{error}: {error:?}"));
        let endpoint = Endpoint::from_shared(format!("http://{}", self.caller.target)).map_err(failed)?;
        let endpoint = endpoint.connect_timeout(CONNECTS_WITHIN).local_address(self.caller.from);
        let channel = endpoint.connect().await.map_err(failed)?;
        Ok(FlightServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX))
    }
}

fn refused(status: &Status) -> Fault {
    Fault::new(format!("gRPC {:?}", status.code()), status.message())
}
