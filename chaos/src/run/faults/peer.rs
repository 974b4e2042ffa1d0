//! A node of a cluster that speaks the exchange of batches byte by byte, as it is on the wire, and so can say what is wrong.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow_flight::FlightData;
use arrow_flight::flight_service_client::FlightServiceClient;
use futures::FutureExt;
use orrery_actors::dataset::{DatasetSettings, TableKind};
use orrery_actors::exchange::{AtTipWire, DatasetWire, Dial, Opening, VERSION, Wanted, channel_over};
use orrery_actors::ledger::Network;
use orrery_actors::source::synthetic::NETWORK_PASSPHRASE;
use orrery_schemas::LedgerSequence;
use orrery_supervisor::cluster::certificates::{Credentials, Protocol};
use orrery_supervisor::cluster::transport::{Stream, dial};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tonic::Streaming;
use tonic::transport::Channel;

use super::malformed::{self, Spoiled};
use crate::Random;

/// Begins the header of every frame.
const MARK: &[u8] = b"OX";

/// How long a connection and an answer may take.
const WITHIN: Duration = Duration::from_secs(15);

/// Between two attempts to have a stage that is still another stream's.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Bytes that may be on their way, as a node asks for.
const WINDOW_BYTES: usize = 32 << 20;

/// Frames of one direction that wait.
const FRAMES_MAX: usize = 8;

/// What was sent, and in which words it was refused.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) sent: String,
    pub(super) answer: Option<String>,
    /// Words that the refusal must have.
    pub(super) words: &'static str,
}

/// The node that speaks.
pub(super) struct Peer {
    runtime: Runtime,
    client: FlightServiceClient<Channel>,
}

/// One stream: frames that go, and frames that come.
struct Exchange {
    sends: tokio::sync::mpsc::Sender<FlightData>,
    comes: Streaming<FlightData>,
    sequence: u64,
}

impl Peer {
    /// Connects to a node with the certificate in a folder.
    pub(super) fn connect(address: &str, certificates: &Path) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let credentials = Credentials::load(certificates).map_err(|error| error.to_string())?;
        let client = runtime.block_on(async {
            let connection = dial(address, &credentials, Protocol::Flight, None, WITHIN).await;
            let stream = Mutex::new(Some(connection.map_err(|error| error.to_string())?.stream));
            let once: Dial<Stream> = Arc::new(move || {
                let stream = stream.lock().ok().and_then(|mut stream| stream.take());
                std::future::ready(stream.ok_or_else(|| std::io::ErrorKind::NotConnected.into())).boxed()
            });
            let channel = channel_over("node", once).await.map_err(|error| error.to_string())?;
            Ok::<_, String>(FlightServiceClient::new(channel))
        })?;
        Ok(Self { runtime, client })
    }

    /// Opens a stream in every version but the right one, and once with a field that nobody knows.
    pub(super) fn speak_other_versions(&mut self) -> Result<Vec<Asked>, String> {
        let mut asked = Vec::new();
        for version in [0, VERSION.wrapping_sub(1), VERSION + 1, u8::MAX] {
            let frame = metadata(version, 1, &json!({ "open": opening(fetch()) }));
            asked.push(self.refused(format!("an opening of version {version}"), frame)?);
        }
        let mut unknown = json!({ "open": opening(fetch()) });
        unknown["open"]["since_the_next_release"] = json!(true);
        asked.push(self.refused("an opening with another field".to_owned(), metadata(VERSION, 1, &unknown))?);
        let kind = metadata(VERSION, 1, &json!({ "kind_of_the_next_release": {} }));
        asked.push(self.refused("a frame of another kind".to_owned(), kind)?);
        Ok(asked)
    }

    /// Sends a batch of ledgers' rows that is none, again and again, and behind it a batch of events that is noise. Where the
    /// first one is refused the words are of ledgers; a sound one is taken, and the words are of the events behind it.
    pub(super) fn send_malformed(&mut self, times: usize, random: &mut Random) -> Result<Vec<Asked>, String> {
        let Self { runtime, client } = self;
        runtime.block_on(async {
            let other = some_batch(client).await?;
            let mut asked = Vec::new();
            for turn in 0..times {
                let (mut exchange, next) = open_sink(client).await?;
                let spoiled = malformed::in_turn(turn, LedgerSequence(next), &other, random).await?;
                let Spoiled { how, header, body } = spoiled;
                let bytes = header.len() + body.len();
                let events = json!({ "events": { "first": next, "last": next, "bytes": bytes } });
                exchange.send(&events, header, body).await?;
                let noise = vec![turn as u8; 64];
                // The stream may have ended by then.
                let _ = exchange.send(&json!({ "rows": { "bytes": noise.len() } }), noise, Vec::new()).await;
                let answer = exchange.refusal().await;
                let (sent, words) = match how {
                    Some(how) => (format!("a batch whose {how}"), "ledgers in a frame: "),
                    None => ("a sound batch, and noise behind it".to_owned(), "events in a frame: "),
                };
                asked.push(Asked { sent, answer, words });
            }
            Ok(asked)
        })
    }

    /// Opens a stream by these bytes, and waits for the refusal.
    fn refused(&mut self, sent: String, app_metadata: Vec<u8>) -> Result<Asked, String> {
        let Self { runtime, client } = self;
        runtime.block_on(async {
            let mut exchange = Exchange::begin(client).await?;
            let frame = FlightData { app_metadata: app_metadata.into(), ..FlightData::default() };
            exchange.sends.send(frame).await.map_err(|_| "the stream has ended".to_owned())?;
            Ok(Asked { sent, answer: exchange.refusal().await, words: "" })
        })
    }
}

impl Exchange {
    async fn begin(client: &mut FlightServiceClient<Channel>) -> Result<Self, String> {
        let (sends, goes) = tokio::sync::mpsc::channel(FRAMES_MAX);
        let goes = futures::stream::unfold(goes, |mut goes: tokio::sync::mpsc::Receiver<FlightData>| async {
            goes.recv().await.map(|frame| (frame, goes))
        });
        let answer = tokio::time::timeout(WITHIN, client.do_exchange(goes)).await;
        let answer = answer.map_err(|_| "no stream is opened".to_owned())?;
        let comes = answer.map_err(|status| status.message().to_owned())?.into_inner();
        Ok(Self { sends, comes, sequence: 0 })
    }

    async fn send(&mut self, body: &Value, header: Vec<u8>, bytes: Vec<u8>) -> Result<(), String> {
        self.sequence += 1;
        let app_metadata = metadata(VERSION, self.sequence, body).into();
        let frame = FlightData {
            app_metadata,
            data_header: header.into(),
            data_body: bytes.into(),
            flight_descriptor: None,
        };
        self.sends.send(frame).await.map_err(|_| "the stream has ended".to_owned())
    }

    async fn tell(&mut self, body: &Value) -> Result<(), String> {
        self.send(body, Vec::new(), Vec::new()).await
    }

    /// The next frame about this.
    async fn hear(&mut self, kind: &str) -> Result<(Value, FlightData), String> {
        loop {
            let heard = tokio::time::timeout(WITHIN, self.comes.message()).await;
            let frame = heard.map_err(|_| format!("no frame `{kind}` came"))?;
            let frame = frame.map_err(|status| status.message().to_owned())?;
            let frame = frame.ok_or_else(|| format!("the stream ended before `{kind}`"))?;
            let json = frame.app_metadata.get(MARK.len() + 1..).unwrap_or_default();
            let header: Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
            if let Some(body) = header["body"].get(kind) {
                return Ok((body.clone(), frame));
            }
        }
    }

    /// In which words the stream ends; `None` if it does not, or without any.
    async fn refusal(&mut self) -> Option<String> {
        loop {
            match tokio::time::timeout(WITHIN, self.comes.message()).await {
                Ok(Err(status)) => return Some(status.message().to_owned()),
                Ok(Ok(Some(_))) => {}
                Ok(Ok(None)) | Err(_) => return None,
            }
        }
    }
}

/// A batch as the node itself makes them: of its fetcher.
async fn some_batch(client: &mut FlightServiceClient<Channel>) -> Result<FlightData, String> {
    let mut exchange = Exchange::begin(client).await?;
    exchange.tell(&json!({ "open": opening(fetch()) })).await?;
    let begin = json!({ "run": 1, "from": 2, "avoid": null, "attempt": 0, "credits": 1 });
    exchange.tell(&json!({ "begin": begin })).await?;
    Ok(exchange.hear("ledgers").await?.1)
}

/// A sink of the node that has room for a batch, and the ledger that it waits for.
async fn open_sink(client: &mut FlightServiceClient<Channel>) -> Result<(Exchange, u32), String> {
    let mut attempts = WITHIN.as_millis() / AGAIN_AFTER.as_millis();
    loop {
        let mut exchange = Exchange::begin(client).await?;
        exchange.tell(&json!({ "open": opening(sink()) })).await?;
        match exchange.hear("ready").await {
            Ok((ready, _)) => {
                exchange.hear("granted").await?;
                let next = ready["next"].as_u64().and_then(|next| u32::try_from(next).ok());
                return Ok((exchange, next.ok_or_else(|| format!("a sink waits for no ledger: {ready}"))?));
            }
            // The stage of the stream before may still be about to end.
            Err(error) if attempts == 0 => return Err(error),
            Err(_) => tokio::time::sleep(AGAIN_AFTER).await,
        }
        attempts -= 1;
    }
}

/// The header of a frame.
fn metadata(version: u8, sequence: u64, body: &Value) -> Vec<u8> {
    let header = json!({ "epoch": 1, "sequence": sequence, "body": body });
    [MARK, &[version], header.to_string().as_bytes()].concat()
}

fn opening(wanted: Wanted) -> Opening {
    let network = Network::new(NETWORK_PASSPHRASE);
    Opening {
        pipeline: "main".to_owned(),
        network: network.id().iter().map(|byte| format!("{byte:02x}")).collect(),
        from: None,
        to: None,
        window_bytes: WINDOW_BYTES,
        wanted,
    }
}

const fn fetch() -> Wanted {
    Wanted::Fetch { at_tip: AtTipWire::Wait }
}

fn sink() -> Wanted {
    let processor_version = DatasetSettings::default().processor_version;
    let dataset = DatasetWire { start_ledger: None, grid: None, processor_version };
    Wanted::Sink { table: TableKind::TokenTransfers.into(), dataset }
}
