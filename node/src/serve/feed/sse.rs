//! The feed as server-sent events, for those who cannot use a socket: one subscription, whose filter stands in the query.
//! Every event's id is a cursor, so that a browser that reconnects goes on behind what it saw (`Last-Event-ID`).

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, Stream, StreamExt, unfold};
use orrery_actors::feed::{FeedLedger, Format, Hub, Look, Page, Tips, Wanted};
use orrery_schemas::{Cursor, EventFilter};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior};
use warp::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use warp::http::{HeaderName, HeaderValue, StatusCode};
use warp::reply::Reply;

use super::message::{From, Refusal, events_head, gap, heartbeat, subscribed};
use super::places::Place;
use crate::serve::problem::Problem;
use crate::serve::request::Request;
use crate::serve::router::Answer;
use crate::wall_clock;

/// Name of the only subscription.
const ID: &str = "sse";

/// Where a browser was.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A stream on which nothing happens says that it lives.
const QUIET: Duration = Duration::from_secs(10);

/// Ledgers that are looked through without an event before others get their turn.
const EMPTY_LEDGERS_MAX: u32 = 64;

/// The stream that a request asks for.
///
/// # Errors
///
/// A parameter is wrong; the cursor is not served here; the node does not know its dataset yet.
pub(super) fn answer(hub: &Arc<Hub>, request: &Request, place: Place) -> Answer {
    let (mut from, mut filter) = (From::Latest, EventFilter::default());
    for (name, value) in &request.query {
        match name.as_str() {
            "from" => from = value.parse().map_err(|problem: String| bad("bad_request", problem))?,
            name => filter.add(name, value).map_err(|error| bad("bad_filter", error.to_string()))?,
        }
    }
    if let Some(last) = request.header(&LAST_EVENT_ID).filter(|last| !last.is_empty()) {
        from = last
            .parse()
            .map_err(|problem: String| bad("bad_request", format!("Last-Event-ID: {problem}")))?;
    }
    let tips = hub.tips();
    let now = *tips.borrow();
    if !now.is_known || now.next().is_none() {
        return Err(Problem::unavailable("the node does not know its dataset yet", 1));
    }
    let at = from.place(&now).map_err(|refusal| of_cursor(&refusal))?;
    let mut ticks = tokio::time::interval(QUIET);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    hub.counts.subscriptions.fetch_add(1, Ordering::Relaxed);
    let mut reader = Reader {
        hub: hub.clone(),
        wanted: hub.wanted(filter),
        tips,
        at,
        told: None,
        is_live: false,
        page: None,
        queue: VecDeque::new(),
        is_over: false,
        came_after: now.sent_away,
        ticks,
        _place: place,
    };
    reader.say("subscribed", None, subscribed(ID, at, &now).into_bytes());
    let stream = unfold(reader, |mut reader| async move {
        let next = reader.next().await?;
        Some((Ok::<_, std::convert::Infallible>(next), reader))
    });
    let mut response = warp::reply::stream(Exclusive(Mutex::new(stream.boxed()))).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A stream that is only ever polled by one at a time, which its type does not say and a body's has to.
struct Exclusive<T>(Mutex<BoxStream<'static, T>>);

impl<T> Stream for Exclusive<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let stream = self.get_mut().0.get_mut().unwrap_or_else(PoisonError::into_inner);
        stream.poll_next_unpin(cx)
    }
}

fn bad(name: &'static str, detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, name, detail)
}

fn of_cursor(refusal: &Refusal) -> Problem {
    let reach = refusal.reach.map_or(String::new(), |(oldest, tip)| format!(" (oldest {oldest}, tip {tip})"));
    let status = if refusal.code == "cursor_too_old" { StatusCode::GONE } else { StatusCode::BAD_REQUEST };
    Problem::new(status, refusal.code, format!("{}{reach}", refusal.message))
}

struct Reader {
    hub: Arc<Hub>,
    wanted: Arc<Wanted>,
    tips: watch::Receiver<Tips>,
    at: Cursor,
    /// The tip that it was told last.
    told: Option<Cursor>,
    is_live: bool,
    page: Option<Arc<Page>>,
    queue: VecDeque<Bytes>,
    /// Nothing follows what is in the queue.
    is_over: bool,
    /// How often readers had been sent away when it came.
    came_after: u32,
    ticks: Interval,
    _place: Place,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.hub.counts.subscriptions.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Reader {
    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        let mut empty_ledgers = 0;
        loop {
            if let Some(next) = self.queue.pop_front() {
                return Some(next);
            }
            if self.is_over {
                return None;
            }
            let tips = *self.tips.borrow_and_update();
            if tips.is_over || tips.sent_away != self.came_after {
                return None;
            }
            let (ledger, from_event) = self.at.next()?;
            match self.hub.look(ledger) {
                Look::Here(found) => self.found(&found, from_event),
                Look::Stored { has_left_memory } if has_left_memory && self.is_live => {
                    self.hub.counts.evicted.fetch_add(1, Ordering::Relaxed);
                    self.refuse(&Refusal::new("too_slow", format!("go on behind {}", self.at)));
                }
                Look::Stored { .. } => {
                    let page = self.page.take().filter(|page| page.get(ledger).is_some());
                    let page = match page {
                        Some(page) => Ok(page),
                        None => self.hub.page(ledger).await,
                    };
                    match page {
                        Ok(page) => {
                            if let Some(found) = page.get(ledger).cloned() {
                                self.found(&found, from_event);
                            }
                            self.page = Some(page);
                        }
                        Err(error) => {
                            tracing::warn!(%error, "the feed cannot read the dataset for a reader");
                            self.is_over = true;
                        }
                    }
                }
                Look::Lost { next } => {
                    let last = Cursor::behind(orrery_schemas::LedgerSequence(next.0.saturating_sub(1)));
                    self.say("gap", Some(last), gap(ID, Cursor::behind(ledger), last).into_bytes());
                    self.at = last;
                }
                Look::Ahead => {
                    (self.page, self.is_live) = (None, true);
                    if self.told != Some(tips.tip_cursor()) {
                        self.beat(&tips);
                        continue;
                    }
                    tokio::select! {
                        changed = self.tips.changed() => changed.ok()?,
                        _ = self.ticks.tick() => self.beat(&tips),
                    }
                }
            }
            empty_ledgers += 1;
            if empty_ledgers % EMPTY_LEDGERS_MAX == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    fn found(&mut self, found: &FeedLedger, from_event: u32) {
        match self.hub.frames(found, &self.wanted, Format::Json, from_event) {
            Ok(frames) => {
                for frame in frames.iter() {
                    let head = format!("id: {}\nevent: events\ndata: {}", frame.cursor, events_head(ID));
                    self.queue.extend([head.into(), frame.body.clone(), Bytes::from_static(b"\n\n")]);
                }
                self.at = Cursor::behind(found.sequence());
            }
            Err(error) => {
                tracing::error!(%error, "the feed cannot send a ledger");
                self.is_over = true;
            }
        }
    }

    fn beat(&mut self, tips: &Tips) {
        self.told = Some(tips.tip_cursor());
        self.ticks.reset();
        let behind = Some((ID, self.at)).filter(|(_, at)| *at < tips.tip_cursor());
        let text = heartbeat(tips, wall_clock::milliseconds(), behind.into_iter());
        self.say("heartbeat", Some(self.at), text.into_bytes());
    }

    fn refuse(&mut self, refusal: &Refusal) {
        self.say("error", Some(self.at), refusal.to_json().into_bytes());
        self.is_over = true;
    }

    /// JSON has no line ends, so that one line of data is enough.
    fn say(&mut self, event: &str, cursor: Option<Cursor>, data: Vec<u8>) {
        let id = cursor.map_or(String::new(), |cursor| format!("id: {cursor}\n"));
        let head = format!("{id}event: {event}\ndata: ");
        self.queue.push_back([head.as_bytes(), &data, b"\n\n"].concat().into());
    }
}
