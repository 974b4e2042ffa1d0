//! One WebSocket connection: carries out what its session decides. One task, one timer, and no buffer while it is idle.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use orrery_actors::feed::{FeedLedger, Format, Frame, HistoryError, Hub, Look, Page, Tips, arrow_head};
use orrery_schemas::Cursor;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior};

use super::message::events_head;
use super::outgoing::Outgoing;
use super::session::{Action, Event, Owed, Session, SessionLimits};
use super::wire::{Decoder, End, Incoming, Opcode};
use crate::serve::patience::Room;

/// Longest message of a reader: a filter of a thousand values is 60 KB.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Answers that wait to be sent; until there is room, nothing more is read.
const QUEUE_MAX: usize = 16;

/// Bytes that are read at once, on the stack.
const READ_BYTES: usize = 4 << 10;

/// Ledgers that are looked through without an event before others get their turn.
const EMPTY_LEDGERS_MAX: u32 = 64;

/// Ticks in which a frame has to be taken.
const STALLED_TICKS_MAX: u32 = 3;

/// Ticks without a word from the other end after which it is asked whether it lives, and after which it is given up.
const QUIET_TICKS_ASK: u32 = 3;
const QUIET_TICKS_MAX: u32 = 7;

/// How a connection is served.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionSettings {
    pub(super) format: Format,
    pub(super) session: SessionLimits,
    /// The unit of all its deadlines.
    pub(super) tick: Duration,
    /// Milliseconds since 1970.
    pub(super) now_ms: fn() -> u64,
}

/// A connection after its handshake.
pub(super) struct Connection<S> {
    io: S,
    hub: Arc<Hub>,
    /// Of the connection below.
    room: Room,
    settings: ConnectionSettings,
    session: Session,
    decoder: Decoder,
    tips: watch::Receiver<Tips>,
    /// What is being written.
    out: Option<Outgoing>,
    /// What is written next.
    queue: VecDeque<Outgoing>,
    /// The frames of a ledger, of which some are still to be sent.
    frames: Option<Frames>,
    /// The page that is being read from.
    page: Option<Arc<Page>>,
    loading: Option<BoxFuture<'static, Result<Arc<Page>, HistoryError>>>,
    /// Others get their turn before it goes on.
    rests: bool,
    /// No frame follows any more.
    is_closing: bool,
    /// How often readers had been sent away when it came.
    came_after: u32,
    /// Subscriptions as they were counted.
    counted: usize,
    sent_since_tick: bool,
    stalled_ticks: u32,
    quiet_ticks: u32,
    /// Since the last tick.
    pings: u32,
}

struct Frames {
    key: u32,
    frames: Arc<[Frame]>,
    /// The next one.
    at: usize,
}

/// Why it goes on.
enum Woken {
    Wrote,
    Received(Vec<Incoming>, Option<super::wire::Violation>),
    Reached,
    Loaded(Result<Arc<Page>, HistoryError>),
    Ticked,
    /// The other end is gone.
    Ended,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    pub(super) fn new(io: S, hub: Arc<Hub>, room: Room, settings: ConnectionSettings) -> Self {
        let mut tips = hub.tips();
        // It may have been closed while this one shook hands.
        tips.mark_changed();
        let came_after = tips.borrow().sent_away;
        Self {
            came_after,
            io,
            tips,
            hub,
            room,
            session: Session::new(settings.session),
            settings,
            decoder: Decoder::new(End::Server, MESSAGE_BYTES_MAX),
            out: None,
            queue: VecDeque::new(),
            frames: None,
            page: None,
            loading: None,
            rests: false,
            is_closing: false,
            counted: 0,
            sent_since_tick: false,
            stalled_ticks: 0,
            quiet_ticks: 0,
            pings: 0,
        }
    }

    /// Serves until either end closes. `first` was read with the handshake.
    pub(super) async fn run(mut self, first: &[u8]) {
        let mut ticks = tokio::time::interval(self.settings.tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        self.took(first);
        loop {
            if self.tips.has_changed().unwrap_or(false) {
                self.reached();
            }
            if self.out.is_none() {
                self.out = self.next_out();
            }
            if self.is_closing && self.out.is_none() {
                break;
            }
            if std::mem::take(&mut self.rests) {
                tokio::task::yield_now().await;
                continue;
            }
            let is_over = match self.wait(&mut ticks).await {
                Woken::Ended => true,
                Woken::Wrote => {
                    (self.out, self.sent_since_tick, self.stalled_ticks) = (None, true, 0);
                    false
                }
                Woken::Received(messages, violation) => {
                    self.received(messages, violation);
                    false
                }
                Woken::Reached => {
                    self.reached();
                    false
                }
                Woken::Loaded(page) => {
                    self.loaded(page);
                    false
                }
                Woken::Ticked => self.ticked(),
            };
            if is_over {
                return;
            }
        }
        self.finish().boxed().await;
    }

    async fn wait(&mut self, ticks: &mut Interval) -> Woken {
        let reads = self.queue.len() < QUEUE_MAX && !self.is_closing;
        let is_idle = self.out.is_none() && self.loading.is_none();
        let Self { io, out, decoder, tips, loading, .. } = self;
        let load = poll_fn(|cx| match loading {
            Some(loading) => loading.poll_unpin(cx),
            None => Poll::Pending,
        });
        tokio::select! {
            biased;
            woken = poll_fn(|cx| poll_io(io, out, if reads { Some(&mut *decoder) } else { None }, cx)) => woken,
            page = load => Woken::Loaded(page),
            changed = tips.changed(), if is_idle => if changed.is_ok() { Woken::Reached } else { Woken::Ended },
            _ = ticks.tick() => Woken::Ticked,
        }
    }

    /// What to write next, if anything is to be written.
    fn next_out(&mut self) -> Option<Outgoing> {
        let mut empty_ledgers = 0;
        loop {
            if let Some(next) = self.queue.pop_front() {
                return Some(next);
            }
            if self.is_closing || self.loading.is_some() {
                return None;
            }
            if let Some(frame) = self.next_frame() {
                return Some(match self.heartbeat_behind() {
                    Some(heartbeat) => frame.followed_by(&heartbeat),
                    None => frame,
                });
            }
            if let Some(heartbeat) = self.heartbeat_if_due() {
                return Some(Outgoing::text(heartbeat));
            }
            let owed = self.session.owed()?;
            empty_ledgers += 1;
            if empty_ledgers > EMPTY_LEDGERS_MAX {
                self.rests = true;
                return None;
            }
            self.look(owed);
        }
    }

    fn heartbeat_if_due(&mut self) -> Option<String> {
        let tips = *self.tips.borrow();
        self.session.heartbeat_if_due(&tips, (self.settings.now_ms)())
    }

    /// The heartbeat that is due behind the frame that is about to be sent, if it was the last one of all there is.
    fn heartbeat_behind(&mut self) -> Option<String> {
        if self.frames.is_some() || !self.queue.is_empty() || self.is_closing {
            return None;
        }
        while let Some(owed) = self.session.owed() {
            match self.hub.look(owed.ledger) {
                Look::Ahead => self.step(Event::Waits { key: owed.key }),
                _ => return None,
            }
        }
        self.heartbeat_if_due()
    }

    /// Finds what a subscription is owed, in memory, in a page, or begins to load it.
    fn look(&mut self, owed: Owed) {
        let (key, ledger) = (owed.key, owed.ledger);
        match self.hub.look(ledger) {
            Look::Here(found) => self.found(owed, &found),
            Look::Stored { has_left_memory } => {
                if has_left_memory {
                    self.step(Event::Left { key });
                }
                if self.is_closing {
                    return;
                }
                let page = self.page.take().filter(|page| page.get(ledger).is_some());
                match page.or_else(|| self.hub.kept_page(ledger)) {
                    Some(page) => {
                        if let Some(found) = page.get(ledger).cloned() {
                            self.found(owed, &found);
                        }
                        self.page = Some(page);
                    }
                    None => {
                        let hub = self.hub.clone();
                        self.loading = Some(async move { hub.page(ledger).await }.boxed());
                    }
                }
            }
            Look::Ahead => {
                self.page = None;
                self.step(Event::Waits { key });
            }
            Look::Lost { next } => self.step(Event::Lost { key, next }),
        }
    }

    fn found(&mut self, owed: Owed, found: &FeedLedger) {
        let Some(wanted) = self.session.wanted(owed.key) else { return };
        match self.hub.frames(found, wanted, self.settings.format, owed.from_event) {
            Ok(frames) if frames.is_empty() => {
                self.step(Event::Sent { key: owed.key, cursor: Cursor::behind(owed.ledger) });
            }
            Ok(frames) => self.frames = Some(Frames { key: owed.key, frames, at: 0 }),
            Err(error) => {
                tracing::error!(%error, "the feed cannot send a ledger");
                self.close(1011, "a defect of the server");
            }
        }
    }

    /// The next frame of the ledger that is being sent.
    fn next_frame(&mut self) -> Option<Outgoing> {
        let Frames { key, frames, at } = self.frames.as_mut()?;
        let (key, frame) = (*key, frames.get(*at).cloned());
        *at += 1;
        if *at >= frames.len() {
            self.frames = None;
            if let Some(frame) = &frame {
                self.hub.delivered(frame.cursor.ledger);
            }
        }
        let (Some(frame), Some(id)) = (frame, self.session.id(key)) else {
            // It was unsubscribed in the middle of a ledger.
            self.frames = None;
            return None;
        };
        let out = match self.settings.format {
            Format::Json => Outgoing::new(Opcode::Text, events_head(id), frame.body),
            Format::Arrow => match arrow_head(id, frame.cursor) {
                Ok(head) => Outgoing::new(Opcode::Binary, head, frame.body),
                Err(error) => {
                    tracing::error!(%error, "the feed cannot send a ledger");
                    self.close(1011, "a defect of the server");
                    return self.queue.pop_front();
                }
            },
        };
        self.step(Event::Sent { key, cursor: frame.cursor });
        self.hub.counts.frames.fetch_add(1, Ordering::Relaxed);
        Some(out)
    }

    fn loaded(&mut self, page: Result<Arc<Page>, HistoryError>) {
        self.loading = None;
        match page {
            Ok(page) => self.page = Some(page),
            Err(error) => {
                tracing::warn!(%error, "the feed cannot read the dataset for a reader");
                self.close(1013, "the dataset cannot be read now: try again");
            }
        }
    }

    fn reached(&mut self) {
        let mut tips = *self.tips.borrow_and_update();
        tips.is_over |= tips.sent_away != self.came_after;
        self.step(Event::Reached { tips: &tips });
    }

    fn took(&mut self, bytes: &[u8]) {
        let mut messages = Vec::new();
        let violation = self.decoder.take(bytes, &mut messages).err();
        self.received(messages, violation);
    }

    fn received(&mut self, messages: Vec<Incoming>, violation: Option<super::wire::Violation>) {
        self.quiet_ticks = 0;
        for message in messages {
            match message {
                Incoming::Text(text) => self.said(&text),
                Incoming::Binary(_) => self.said(""),
                Incoming::Ping(_) if self.pings >= self.settings.session.messages_per_tick_max => {
                    self.close(1008, "too many pings");
                }
                Incoming::Ping(payload) => {
                    self.pings += 1;
                    self.queue.push_back(Outgoing::new(Opcode::Pong, payload, Vec::new()));
                }
                Incoming::Pong => {}
                Incoming::Close(close) => self.close(close.map_or(1000, |(code, _)| code), ""),
            }
            if self.is_closing {
                return;
            }
        }
        if let Some(violation) = violation {
            self.close(violation.code, violation.reason);
        }
    }

    fn said(&mut self, text: &str) {
        let (hub, tips) = (self.hub.clone(), *self.tips.borrow());
        self.step(Event::Said { text, tips: &tips, wanted: &|filter| hub.wanted(filter) });
    }

    /// Whether the other end is given up.
    fn ticked(&mut self) -> bool {
        self.step(Event::Ticked);
        self.pings = 0;
        if self.out.is_some() {
            self.stalled_ticks += 1;
            if self.stalled_ticks == STALLED_TICKS_MAX {
                self.step(Event::Stalled);
            }
            // The close frame had its chance.
            return self.stalled_ticks > STALLED_TICKS_MAX;
        }
        self.quiet_ticks += 1;
        if self.quiet_ticks >= QUIET_TICKS_MAX {
            return true;
        }
        if self.quiet_ticks >= QUIET_TICKS_ASK {
            self.queue.push_back(Outgoing::new(Opcode::Ping, Vec::new(), Vec::new()));
        }
        let tips = *self.tips.borrow();
        if !std::mem::take(&mut self.sent_since_tick) && self.frames.is_none() {
            let heartbeat = self.session.heartbeat(&tips, (self.settings.now_ms)());
            self.queue.extend(heartbeat.map(Outgoing::text));
        }
        false
    }

    fn step(&mut self, event: Event<'_>) {
        for action in self.session.step(event) {
            match action {
                Action::Say(text) if !self.is_closing => self.queue.push_back(Outgoing::text(text)),
                Action::Say(_) => {}
                Action::Close { code, reason } => self.close(code, &reason),
            }
        }
        let now = self.session.len();
        if now != self.counted {
            self.hub.counts.subscriptions.fetch_add(now.wrapping_sub(self.counted), Ordering::Relaxed);
            self.counted = now;
        }
    }

    fn close(&mut self, code: u16, reason: &str) {
        if self.is_closing {
            return;
        }
        if code == 4008 {
            self.hub.counts.evicted.fetch_add(1, Ordering::Relaxed);
            // Nothing of it is taken as yet.
            self.room.ask();
        }
        self.is_closing = true;
        (self.frames, self.loading, self.page) = (None, None, None);
        self.queue.push_back(Outgoing::close(code, reason));
    }

    /// Ends the connection so that the other end sees what was sent: what it still sends is taken and not looked at.
    async fn finish(&mut self) {
        let within = self.settings.tick;
        let ended = async {
            self.io.shutdown().await?;
            let mut rest = [0; 512];
            for _ in 0..256 {
                if self.io.read(&mut rest).await? == 0 {
                    break;
                }
            }
            Ok::<_, io::Error>(())
        };
        // Whoever does not close in time is closed on.
        let _ = tokio::time::timeout(within, ended).await;
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        self.hub.counts.subscriptions.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

/// Writes what is to be written, and takes what comes.
fn poll_io<S: AsyncRead + AsyncWrite + Unpin>(
    io: &mut S,
    out: &mut Option<Outgoing>,
    decoder: Option<&mut Decoder>,
    cx: &mut Context<'_>,
) -> Poll<Woken> {
    if let Some(frame) = out {
        match frame.poll_write(io, cx) {
            Poll::Ready(Ok(())) => return Poll::Ready(Woken::Wrote),
            Poll::Ready(Err(_)) => return Poll::Ready(Woken::Ended),
            Poll::Pending => {}
        }
    }
    let Some(decoder) = decoder else { return Poll::Pending };
    let mut buffer = [0; READ_BYTES];
    let mut buffer = ReadBuf::new(&mut buffer);
    match Pin::new(io).poll_read(cx, &mut buffer) {
        Poll::Ready(Ok(())) if buffer.filled().is_empty() => Poll::Ready(Woken::Ended),
        Poll::Ready(Ok(())) => {
            let mut messages = Vec::new();
            let violation = decoder.take(buffer.filled(), &mut messages).err();
            Poll::Ready(Woken::Received(messages, violation))
        }
        Poll::Ready(Err(_)) => Poll::Ready(Woken::Ended),
        Poll::Pending => Poll::Pending,
    }
}

#[cfg(test)]
mod tests;
