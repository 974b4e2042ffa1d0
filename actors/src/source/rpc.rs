//! A Stellar RPC server as a store: pages of `getLedgers`, each ledger for itself.
//!
//! Bytes: of what a fetch may hold, four sevenths are the text of the answer and the rest its ledgers, decoded from base64.

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use futures::StreamExt;
use futures::future::BoxFuture;
use orrery_schemas::LedgerSequence;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response};
use serde_json::{Value, json};

use super::lake_objects::one_line;
use super::rpc_answer::{Kept, Page, Place, read_kept, read_network, read_page};
use super::rpc_page::PageSize;
use super::{Fetched, LedgerStore, OBJECT_BYTES_MAX, RemoteUrl, SourceError, SourceErrorKind};

/// Text of an answer that pages aim at. Servers stop at 10 s of work; larger answers are lost more often.
const ANSWER_BYTES: usize = 16 << 20;

/// Answers other than ledgers.
const SMALL_ANSWER_BYTES_MAX: usize = 64 << 10;

/// Servers give up after 10 s; the rest is for the way.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Requests at once: providers count them.
const FETCHES_MAX: usize = 4;

/// A longer `Retry-After` than this is a refusal.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);

/// See the module.
pub(super) struct RpcStore {
    name: Arc<str>,
    address: String,
    client: Client,
    network_passphrase: Option<String>,
    page: Mutex<PageSize>,
}

impl RpcStore {
    /// Asks the server for its network.
    pub(super) async fn open(url: &RemoteUrl) -> Result<Self, SourceError> {
        let error = |kind| SourceError::new(url.name.clone(), kind);
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .user_agent(concat!("orrery/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|failure| error(SourceErrorKind::BadUrl(failure.without_url().to_string())))?;
        let mut store = Self {
            name: url.name.clone(),
            address: url.rpc_address(),
            client,
            network_passphrase: None,
            page: Mutex::new(PageSize::new(ANSWER_BYTES)),
        };
        let answer = store.ask("getNetwork", None, SMALL_ANSWER_BYTES_MAX).await;
        let network = answer.and_then(|answer| read_network(&answer.body)).map_err(error)?;
        store.network_passphrase = network;
        Ok(store)
    }

    async fn kept(&self) -> Result<Kept, SourceErrorKind> {
        let answer = self.ask("getHealth", None, SMALL_ANSWER_BYTES_MAX).await?;
        read_kept(&answer.body)
    }

    async fn page(
        &self,
        range: RangeInclusive<LedgerSequence>,
        bytes_max: usize,
    ) -> Result<Fetched, SourceErrorKind> {
        let (first, count) = (*range.start(), range.end().0 - range.start().0 + 1);
        let parameters = json!({
            "startLedger": first.0, "pagination": { "limit": count }, "xdrFormat": "base64",
        });
        let answer = self.ask("getLedgers", Some(parameters), answer_bytes_max(bytes_max)).await?;
        if answer.is_broken_off {
            let bytes = answer.announced.unwrap_or(answer.body.len() * 2).max(answer.body.len() + 1);
            self.with_page(|page| page.too_large(count, bytes));
            let needed = held_bytes(bytes);
            return match needed > OBJECT_BYTES_MAX * 2 {
                true => Err(SourceErrorKind::ObjectTooLarge { bytes: bytes as u64 }),
                false => Ok(Fetched::TooLarge { bytes: needed }),
            };
        }
        let bytes = answer.body.len();
        let body = answer.body.freeze();
        let server = self.name.clone();
        // Megabytes of JSON and base64 would hold up other requests.
        let page = tokio::task::spawn_blocking(move || read_page(&body, &range, &server)).await;
        match page.map_err(|error| SourceErrorKind::Refused(error.to_string()))?? {
            Page::Objects(objects) => {
                self.with_page(|page| page.answered(objects.len() as u32, bytes));
                Ok(Fetched::Objects(objects))
            }
            Page::NotYet => Ok(Fetched::NotYet),
            Page::OutOfRange => match self.kept().await?.judge(first)? {
                Place::Beyond => Ok(Fetched::NotYet),
                Place::Inside => {
                    Err(SourceErrorKind::Fetch("the server refuses a ledger that it says it has".to_owned()))
                }
            },
        }
    }

    fn with_page<T>(&self, change: impl FnOnce(&mut PageSize) -> T) -> T {
        change(&mut self.page.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn ask(
        &self,
        method: &str,
        parameters: Option<Value>,
        bytes_max: usize,
    ) -> Result<Answer, SourceErrorKind> {
        let parameters = parameters.unwrap_or_else(|| json!({}));
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": parameters });
        let request = self.client.post(&self.address).header(CONTENT_TYPE, "application/json");
        let request = request.body(body.to_string());
        let response = request.send().await.map_err(failure)?;
        check_status(&response)?;
        read_body(response, bytes_max).await
    }

    fn error(&self, first: Option<LedgerSequence>, kind: SourceErrorKind) -> SourceError {
        SourceError { ledger: first, ..SourceError::new(self.name.clone(), kind) }
    }
}

struct Answer {
    body: BytesMut,
    announced: Option<usize>,
    /// It is longer than allowed.
    is_broken_off: bool,
}

async fn read_body(response: Response, bytes_max: usize) -> Result<Answer, SourceErrorKind> {
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    let mut answer = Answer { body: BytesMut::new(), announced, is_broken_off: false };
    if announced.is_some_and(|announced| announced > bytes_max) {
        answer.is_broken_off = true;
        return Ok(answer);
    }
    let mut parts = response.bytes_stream();
    while let Some(part) = parts.next().await {
        let part = part.map_err(failure)?;
        if answer.body.len() + part.len() > bytes_max {
            answer.is_broken_off = true;
            break;
        }
        answer.body.extend_from_slice(&part);
    }
    Ok(answer)
}

fn check_status(response: &Response) -> Result<(), SourceErrorKind> {
    let status = response.status();
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let after = after.and_then(|value| value.trim().parse().ok()).map(Duration::from_secs);
    match status.as_u16() {
        200..=299 => Ok(()),
        429 | 503 if after.is_some_and(|after| after > RETRY_AFTER_MAX) => {
            Err(SourceErrorKind::Refused(format!("HTTP status {status}, and to ask again after {after:?}")))
        }
        status @ (429 | 503) => Err(SourceErrorKind::Throttled { status, after }),
        401 | 403 => Err(SourceErrorKind::Denied(format!("HTTP status {status}"))),
        408 | 500..=599 => Err(SourceErrorKind::Fetch(format!("HTTP status {status}"))),
        _ => Err(SourceErrorKind::Refused(format!("HTTP status {status}"))),
    }
}

/// The address may hold a key: it is left out, and the reasons below are kept.
fn failure(error: reqwest::Error) -> SourceErrorKind {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(reason) = cause {
        text = format!("{text}: {reason}");
        cause = reason.source();
    }
    SourceErrorKind::Fetch(one_line(&text))
}

/// What an answer of `bytes` costs: its text, and three quarters of that as ledgers.
fn held_bytes(bytes: usize) -> usize {
    bytes.saturating_add(bytes / 4 * 3).saturating_add(3)
}

/// The longest answer that costs at most `bytes`.
fn answer_bytes_max(bytes: usize) -> usize {
    bytes / 7 * 4
}

impl LedgerStore for RpcStore {
    fn name(&self) -> &str {
        &self.name
    }

    fn network_passphrase(&self) -> Option<&str> {
        self.network_passphrase.as_deref()
    }

    fn unit(&self, sequence: LedgerSequence) -> RangeInclusive<LedgerSequence> {
        let ledgers = self.with_page(|page| page.ledgers());
        sequence..=LedgerSequence(sequence.0.saturating_add(ledgers - 1))
    }

    fn bytes_estimate(&self, range: &RangeInclusive<LedgerSequence>) -> usize {
        let count = range.end().0.saturating_sub(range.start().0).saturating_add(1);
        held_bytes(self.with_page(|page| page.bytes_for(count)))
    }

    fn fetches_max(&self) -> usize {
        FETCHES_MAX
    }

    fn fetch(
        &self,
        range: RangeInclusive<LedgerSequence>,
        bytes_max: usize,
    ) -> BoxFuture<'_, Result<Fetched, SourceError>> {
        Box::pin(async move {
            let first = *range.start();
            self.page(range, bytes_max).await.map_err(|kind| self.error(Some(first), kind))
        })
    }

    fn oldest(&self) -> BoxFuture<'_, Result<LedgerSequence, SourceError>> {
        Box::pin(async move {
            self.kept().await.map(|kept| kept.oldest_ledger).map_err(|kind| self.error(None, kind))
        })
    }

    fn tip(&self, _: Option<LedgerSequence>) -> BoxFuture<'_, Result<LedgerSequence, SourceError>> {
        Box::pin(async move {
            self.kept().await.map(|kept| kept.latest_ledger).map_err(|kind| self.error(None, kind))
        })
    }

    fn missing(&self, sequence: LedgerSequence) -> SourceError {
        let (lake, key) = (self.name.to_string(), format!("getLedgers {sequence}"));
        self.error(Some(sequence), SourceErrorKind::MissingLedger { lake, key })
    }
}
