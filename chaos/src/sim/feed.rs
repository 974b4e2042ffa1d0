//! Readers of the feed: two nodes with the product's hub over one dataset, a pipeline that offers ledgers, fails over and offers
//! them again, and readers that are slow, lose their connection inside a ledger, and go on at the other node.

use std::sync::Arc;

use orrery_actors::dataset::{DatasetView, Retry, Store, ViewLimits};
use orrery_actors::envelope::EventBatch;
use orrery_actors::feed::{FeedLedger, Format, Hub, HubLimits, Look, StoredHistory, Wanted};
use orrery_schemas::{Cursor, EventFilter, LedgerSequence, TokenTransferBatchBuilder};
use serde_json::Value;
use tracing::Span;

use super::SimError;
use super::dataset::{Plan, Writer, note_logs};
use super::fibers::Fibers;
use super::ledgers::{FIRST, Ledgers};
use super::store::{SimStore, StoreFaults};
use super::world::{Micros, World};
use crate::history::Op;

/// Faults end after this.
const SAFETY: Micros = 60_000_000;
/// Every reader has all by then.
const LIVENESS: Micros = 120_000_000;

/// One node that readers connect to.
#[derive(Clone)]
struct Node {
    world: World,
    name: String,
    hub: Arc<Hub>,
    view: Arc<DatasetView>,
    ledgers: Arc<Ledgers>,
    last: u32,
    pace: Micros,
}

impl Node {
    fn new(world: &World, store: &SimStore, ledgers: &Arc<Ledgers>, plan: &Plan, number: usize) -> Self {
        let name = format!("node{number}");
        let dataset = Store::over(store.client(&name), "", Retry::at_once(4));
        let view = Arc::new(DatasetView::new(dataset, ViewLimits::default()));
        let memory_bytes = [1, 20_000, 1 << 20][world.below(3)];
        let limits = HubLimits { memory_bytes, loads: 64, ..HubLimits::default() };
        let hub = Hub::new(limits);
        hub.attach(Some(Arc::new(StoredHistory::new(Arc::clone(&view)))));
        Self {
            world: world.clone(),
            name,
            hub: Arc::new(hub),
            view,
            ledgers: Arc::clone(ledgers),
            last: plan.last,
            pace: plan.pace.max(300_000),
        }
    }

    /// Offers ledgers as they close, from where the dataset ends, as a pipeline does that begins again. `None` if it is a
    /// proven ledger that cannot be made to rows.
    async fn offer(self) {
        let stored = self.view.snapshot().and_then(|snapshot| snapshot.last());
        let mut next = stored.map_or(FIRST, |last| last.0 + 1);
        while next <= self.last {
            let closes = u64::from(next) * self.pace;
            self.world.sleep(closes.saturating_sub(self.world.now()) + self.world.micros(1000, 50_000)).await;
            let count = 1 + u32::try_from(self.world.below(3)).unwrap_or(0);
            let end = (next + count - 1).min(self.last);
            let closed = u32::try_from(self.world.now() / self.pace.max(1)).unwrap_or(u32::MAX);
            let end = end.min(closed.max(next));
            if let Some(batch) = batch(&self.ledgers, next, end) {
                self.world.trace(format_args!("{} is offered {next} to {end}", self.name));
                self.hub.offer(&batch);
            }
            next = end + 1;
        }
    }

    /// Looks at the dataset again and again.
    async fn follow(self) {
        loop {
            // What the store says now and then is no news to readers.
            let _ = self.view.refresh().await;
            self.hub.look_again().await;
            self.world.sleep(500_000).await;
        }
    }
}

fn batch(ledgers: &Ledgers, first: u32, last: u32) -> Option<EventBatch> {
    let mut builder = TokenTransferBatchBuilder::with_capacity(64);
    let mut rows = Vec::new();
    for made in ledgers.range(LedgerSequence(first), LedgerSequence(last)) {
        builder.append(&made.rows).ok()?;
        rows.push(made.ledger.clone());
    }
    let batch = EventBatch { ledgers: rows, rows: builder.finish().ok()?, trace: Span::none() };
    (!batch.ledgers.is_empty()).then_some(batch)
}

/// Somebody who wants all ledgers.
#[derive(Clone)]
struct Reader {
    world: World,
    name: String,
    nodes: Vec<Node>,
    last: u32,
    slow: Micros,
    breaks_per_mille: u32,
}

impl Reader {
    async fn run(self) {
        let mut place = Cursor::behind(LedgerSequence(FIRST - 1));
        let mut connection = 0;
        while place.next().is_some_and(|(ledger, _)| ledger.0 <= self.last) {
            connection += 1;
            let Some(node) = self.nodes.get(self.world.below(self.nodes.len())).cloned() else { return };
            self.world.sleep(self.world.micros(1000, 300_000)).await;
            self.connected(&node, connection, &mut place).await;
        }
        self.world.saw(&self.name, Op::Done { subject: self.name.clone() });
    }

    /// Reads until the connection breaks.
    async fn connected(&self, node: &Node, connection: u64, place: &mut Cursor) {
        let wanted = node.hub.wanted(EventFilter::default());
        while let Some((ledger, from_event)) = place.next().filter(|(ledger, _)| ledger.0 <= self.last) {
            let found = match node.hub.look(ledger) {
                Look::Here(found) => found,
                Look::Stored { .. } => match node.hub.page(ledger).await {
                    Ok(page) => match page.get(ledger) {
                        Some(found) => Arc::clone(found),
                        None => return,
                    },
                    Err(_) => return,
                },
                Look::Ahead => {
                    self.world.sleep(100_000).await;
                    continue;
                }
                Look::Lost { next } => {
                    let what = format!("ledgers before {next} are lost");
                    self.world.saw(&self.name, Op::Told { reader: self.name.clone(), what });
                    return;
                }
            };
            if !self.deliver(node, &found, &wanted, (connection, from_event), place).await {
                return;
            }
        }
    }

    /// Takes a ledger's frames. False if the connection broke.
    async fn deliver(
        &self,
        node: &Node,
        found: &FeedLedger,
        wanted: &Arc<Wanted>,
        (connection, from_event): (u64, u32),
        place: &mut Cursor,
    ) -> bool {
        let Ok(frames) = node.hub.frames(found, wanted, Format::Json, from_event) else { return false };
        let ledger = found.sequence();
        if frames.is_empty() {
            self.note(connection, ledger, Vec::new());
            *place = Cursor::behind(ledger);
        }
        for frame in frames.iter() {
            self.world.sleep(self.world.micros(100, 2000) + self.slow).await;
            let events = events(&frame.body);
            let breaks = self.world.chance(self.breaks_per_mille) && !events.is_empty();
            if breaks {
                // A part of it came; whoever reads events one by one goes on behind the last that it has.
                let came = self.world.below(events.len() + 1);
                if let Some(last) = came.checked_sub(1) {
                    let event = from_event + u32::try_from(last).unwrap_or(0);
                    *place = Cursor { ledger, event: Some(event) };
                    self.note(connection, ledger, events.into_iter().take(came).collect());
                }
                return false;
            }
            self.note(connection, ledger, events);
            *place = frame.cursor;
        }
        true
    }

    fn note(&self, connection: u64, ledger: LedgerSequence, events: Vec<String>) {
        let reader = self.name.clone();
        self.world.saw(&self.name, Op::Feed { reader, connection, ledger: ledger.0, events });
    }
}

/// The ids of a frame's events. What goes before its body is the subscription's.
fn events(body: &[u8]) -> Vec<String> {
    let text = [b"{", body].concat();
    let frame: Value = serde_json::from_slice(&text).unwrap_or_default();
    let events = frame.get("events").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let id = |event: &Value| event.get("event_id").and_then(Value::as_str).unwrap_or("?").to_owned();
    events.iter().map(id).collect()
}

/// Runs one seed's readers.
///
/// # Errors
///
/// [`SimError`] if the simulation itself cannot go on.
pub(super) fn run(world: &World, ledgers: &Arc<Ledgers>) -> Result<(), SimError> {
    let plan = Plan { regions: 1, writers: 1, bounded: None, compacts: false, ..Plan::draw(world) };
    let store = SimStore::new(world, "r0");
    store.set_faults(plan.faults);
    world.trace(format_args!("{plan:?}"));
    for made in ledgers.range(LedgerSequence(FIRST), LedgerSequence(plan.last)) {
        let ids =
            made.expected.events.iter().map(|event| event.split('#').next().unwrap_or_default().to_owned());
        let (ledger, hash) = (made.expected.ledger, made.expected.hash.clone());
        world.saw("oracle", Op::Expected { ledger, hash, events: ids.collect() });
    }
    let mut fibers = Fibers::new(world)?;
    let writer = Writer::new(world, &store, ledgers, &plan, (0, 0), None);
    let mut writing = fibers.start("r0w0", writer.clone().run());
    let nodes: Vec<Node> = (0..2).map(|number| Node::new(world, &store, ledgers, &plan, number)).collect();
    let mut offering = Vec::new();
    for node in &nodes {
        fibers.start(&node.name, node.clone().follow());
        offering.push(fibers.start(&node.name, node.clone().offer()));
    }
    for number in 0..3 {
        let reader = Reader {
            world: world.clone(),
            name: format!("reader{number}"),
            nodes: nodes.clone(),
            last: plan.last,
            slow: [0, 200_000, 3_000_000][world.below(3)],
            breaks_per_mille: [0, 100, 400][world.below(3)],
        };
        let name = reader.name.clone();
        world.saw(&name, Op::Wants { reader: name.clone(), first: FIRST, last: plan.last });
        world.saw(&name, Op::Awaited { subject: name.clone() });
        fibers.start(&name, reader.run());
    }
    while world.now() < SAFETY {
        let next = world.now() + world.micros(plan.disturbed_every / 2, plan.disturbed_every * 2);
        fibers.run_until(next.min(SAFETY));
        let chosen = world.below(nodes.len());
        let (Some(node), Some(id)) = (nodes.get(chosen), offering.get_mut(chosen)) else { continue };
        match world.below(3) {
            0 => {
                fibers.kill(*id);
                *id = fibers.start(&node.name, node.clone().offer());
            }
            1 => {
                fibers.kill(writing);
                writing = fibers.start("r0w0", writer.clone().run());
            }
            _ => fibers.pause(*id, world.micros(100_000, 5_000_000)),
        }
    }
    store.set_faults(StoreFaults::default());
    world.saw("nemesis", Op::Healed { within_us: LIVENESS });
    fibers.run_until(SAFETY + LIVENESS);
    note_logs(world, "r0", &store.dump());
    Ok(())
}
