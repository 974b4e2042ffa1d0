//! One pipeline: a source that sends damaged, false and truncated ledgers, the product's proof and derivation, its processor's
//! core, and sinks that are slow. It is killed and begins again at what is durable.

mod answers;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use orrery_actors::envelope::{Demand, EventBatch, LedgerBatch, Position, Worked};
use orrery_actors::flow::NoCredit;
use orrery_actors::ledger::Network;
use orrery_actors::pipeline::{PipelineSettings, Proof, work_on};
use orrery_actors::processor::core::{Action, Core, Event};
use orrery_actors::processor::{ProcessorLimits, ttp::Mode};
use orrery_actors::source::synthetic::NETWORK_PASSPHRASE;
use orrery_schemas::{Ledger, LedgerSequence};

use super::SimError;
use super::ledgers::{FIRST, Ledgers};
use super::mail::Mail;
use super::store::short_hash;
use super::world::{Micros, World};
use crate::history::Op;

/// The pipeline is killed until then.
const SAFETY: Micros = 20_000_000;
/// All must be done by then.
const LIVENESS: Micros = 60_000_000;
/// Sources that have the same ledgers.
const SOURCES: usize = 2;

struct Plan {
    last: u32,
    limits: ProcessorLimits,
    sinks: usize,
    sink_credits: u32,
    ledgers_per_batch: u32,
    false_per_mille: u32,
    compressed: bool,
    poison: Option<u32>,
    kill_every: Micros,
}

impl Plan {
    fn draw(world: &World) -> Self {
        let small = |max: usize| u32::try_from(1 + world.below(max)).unwrap_or(1);
        let last = 9 + small(10);
        let workers = small(3);
        Self {
            last,
            limits: ProcessorLimits { workers, source_credits: workers + small(4) },
            sinks: 1 + world.below(2),
            sink_credits: small(3),
            ledgers_per_batch: small(3),
            false_per_mille: [0, 150, 400][world.below(3)],
            compressed: world.chance(500),
            poison: world.chance(300).then(|| FIRST + small(6)),
            kill_every: [1_000_000, 5_000_000, SAFETY][world.below(3)],
        }
    }
}

/// What is on its way. All but the first are lost when the pipeline is killed.
enum Message {
    Kill,
    Demand(Demand),
    Pull,
    Ledgers(Box<LedgerBatch>),
    SourceEnded { run: u64 },
    Worked { run: u64, ticket: u64, worked: Box<Worked<EventBatch>> },
    ToSink { sink: usize, batch: Arc<EventBatch> },
    End { sink: usize },
    SinkTakes { sink: usize },
    Position { sink: usize, position: Position },
    Granted { sink: usize, credits: u32 },
}

/// A table: what is in it is durable.
struct Sink {
    position: Position,
    waiting: VecDeque<Arc<EventBatch>>,
    is_busy: bool,
    has_ended: bool,
    /// When the last message to it arrives: they come in order.
    arrives: Micros,
}

struct Source {
    run: u64,
    next: u32,
    credits: u32,
    avoid: Option<usize>,
    is_pulling: bool,
    has_ended: bool,
    arrives: Micros,
}

struct Pipeline<'a> {
    world: World,
    ledgers: &'a Ledgers,
    plan: Plan,
    settings: PipelineSettings,
    mail: Mail<Message>,
    core: Core<LedgerBatch, EventBatch>,
    source: Source,
    sinks: Vec<Sink>,
    /// False answers that each ledger has had.
    given_false: BTreeMap<u32, u32>,
    is_parked: bool,
    /// What was done to objects, by what identifies their bytes.
    spoiled: BTreeMap<String, &'static str>,
    lives: u32,
}

/// Runs one seed's pipeline.
///
/// # Errors
///
/// [`SimError`] if the simulation itself cannot go on.
pub(super) fn run(world: &World, ledgers: &Ledgers) -> Result<(), SimError> {
    let mut pipeline = Pipeline::new(world, ledgers);
    for made in ledgers.range(LedgerSequence(FIRST), LedgerSequence(pipeline.plan.last)) {
        let (ledger, hash) = (made.ledger.sequence.0, content(&made.ledger));
        world.saw("oracle", Op::Expected { ledger, hash, events: Vec::new() });
    }
    if let Some(ledger) = pipeline.plan.poison {
        world.saw("oracle", Op::Poison { pipeline: "p".to_owned(), ledger });
    } else {
        world.saw("oracle", Op::Awaited { subject: "p".to_owned() });
    }
    pipeline.level();
    pipeline.begin();
    let kill_after = world.micros(100_000, pipeline.plan.kill_every);
    pipeline.mail.send(kill_after, Message::Kill);
    world.saw("oracle", Op::Healed { within_us: SAFETY + LIVENESS });
    while let Some(message) = pipeline.mail.next(SAFETY + LIVENESS) {
        if pipeline.take(message).is_err() {
            world.saw("p", Op::Halted { subject: "p".to_owned(), reason: NoCredit.to_string() });
            break;
        }
        pipeline.measure();
    }
    pipeline.level();
    Ok(())
}

/// What a ledger's row says, as 16 digits.
fn content(ledger: &Ledger) -> String {
    short_hash(format!("{ledger:?}").as_bytes())
}

impl<'a> Pipeline<'a> {
    fn new(world: &World, ledgers: &'a Ledgers) -> Self {
        let plan = Plan::draw(world);
        let settings = PipelineSettings {
            network: Network::new(NETWORK_PASSPHRASE),
            mode: Mode::Auto,
            proof: Proof::Everything,
            workers: 1,
        };
        let position = Position { next: LedgerSequence(FIRST), parent: None };
        let sink =
            || Sink { position, waiting: VecDeque::new(), is_busy: false, has_ended: false, arrives: 0 };
        Self {
            world: world.clone(),
            ledgers,
            settings,
            mail: Mail::new(world),
            core: Core::new(plan.limits, plan.sinks),
            source: Source::new(),
            sinks: (0..plan.sinks).map(|_| sink()).collect(),
            given_false: BTreeMap::new(),
            is_parked: false,
            spoiled: BTreeMap::new(),
            lives: 0,
            plan,
        }
    }

    /// A new life: all that was in memory is gone, what the sinks have is not.
    fn begin(&mut self) {
        self.mail.keep(|message| matches!(message, Message::Kill));
        self.core = Core::new(self.plan.limits, self.plan.sinks);
        self.source = Source::new();
        self.lives += 1;
        for (sink, state) in self.sinks.iter_mut().enumerate() {
            (state.is_busy, state.has_ended, state.arrives) = (false, false, 0);
            state.waiting.clear();
            let delay = self.world.micros(1000, 200_000);
            self.mail.send(delay, Message::Position { sink, position: state.position });
            self.mail.send(delay + 1, Message::Granted { sink, credits: self.plan.sink_credits });
        }
    }

    fn take(&mut self, message: Message) -> Result<(), NoCredit> {
        match message {
            Message::Kill => self.kill(),
            Message::Demand(demand) => self.demanded(demand),
            Message::Pull => self.pull(),
            Message::Ledgers(work) => return self.step(Event::Arrived { run: work.run, work: *work }),
            Message::SourceEnded { run } => return self.step(Event::SourceEnded { run }),
            Message::Worked { run, ticket, worked } => {
                return self.step(Event::Done { run, ticket, worked: *worked });
            }
            Message::ToSink { sink, batch } => {
                if let Some(state) = self.sinks.get_mut(sink) {
                    state.waiting.push_back(batch);
                }
                self.sink_goes_on(sink);
            }
            Message::End { sink } => {
                if let Some(state) = self.sinks.get_mut(sink) {
                    state.has_ended = true;
                }
                self.sink_goes_on(sink);
            }
            Message::SinkTakes { sink } => self.sink_takes(sink),
            Message::Position { sink, position } => return self.step(Event::SinkReady { sink, position }),
            Message::Granted { sink, credits } => return self.step(Event::SinkGranted { sink, credits }),
        }
        Ok(())
    }

    fn kill(&mut self) {
        if self.is_parked || self.world.now() >= SAFETY {
            return;
        }
        let (at_work, at_sinks) =
            (self.core.in_flight(), self.sinks.iter().map(|sink| sink.waiting.len()).sum::<usize>());
        match (at_work, at_sinks) {
            (0, 0) => self.world.trace(format_args!("killed with nothing in work")),
            (_, 0) => self.world.trace(format_args!("killed between fetching and writing {at_work} batches")),
            _ => self.world.trace(format_args!("killed before {at_sinks} batches were written")),
        }
        self.begin();
        let after = self.world.micros(100_000, self.plan.kill_every);
        self.mail.send(after, Message::Kill);
    }

    fn step(&mut self, event: Event<LedgerBatch, EventBatch>) -> Result<(), NoCredit> {
        for action in self.core.step(event)? {
            match action {
                Action::Ask(demand) => self.mail.send(self.world.micros(100, 5000), Message::Demand(demand)),
                Action::Work { run, ticket, work } => {
                    let worked = Box::new(work_on(&self.settings, &work));
                    self.note_work(&work, &worked);
                    self.mail.send(self.world.micros(1000, 80_000), Message::Worked { run, ticket, worked });
                }
                Action::Send(batch) => self.send_on(batch),
                Action::End => self.end(),
                Action::Park { poison, .. } => {
                    self.is_parked = true;
                    let (ledger, has_evidence) = (poison.ledger.0, !poison.origin.bytes.is_empty());
                    self.world.trace(format_args!("parked: {poison}"));
                    let pipeline = "p".to_owned();
                    self.world.saw("p", Op::Quarantined { pipeline, ledger, has_evidence });
                    self.mail.keep(|_| false);
                }
            }
        }
        Ok(())
    }

    fn send_on(&mut self, batch: EventBatch) {
        for ledger in &batch.ledgers {
            let (pipeline, hash) = ("p".to_owned(), content(ledger));
            self.world.saw("p", Op::Emitted { pipeline, ledger: ledger.sequence.0, hash });
        }
        let batch = Arc::new(batch);
        for sink in 0..self.sinks.len() {
            let after = self.in_order(sink);
            self.mail.send(after, Message::ToSink { sink, batch: Arc::clone(&batch) });
        }
    }

    fn end(&mut self) {
        for sink in 0..self.sinks.len() {
            let after = self.in_order(sink);
            self.mail.send(after, Message::End { sink });
        }
    }

    /// How long a message to a sink takes that may not overtake those before it.
    fn in_order(&mut self, sink: usize) -> Micros {
        let now = self.world.now();
        let arrives = now + self.world.micros(100, 20_000);
        match self.sinks.get_mut(sink) {
            Some(state) => {
                state.arrives = state.arrives.max(arrives);
                state.arrives - now
            }
            None => 0,
        }
    }

    fn sink_goes_on(&mut self, sink: usize) {
        let takes = self.world.micros(1000, 400_000);
        let Some(state) = self.sinks.get_mut(sink) else { return };
        if state.is_busy {
            return;
        }
        if !state.waiting.is_empty() {
            state.is_busy = true;
            self.mail.send(takes, Message::SinkTakes { sink });
        } else if state.has_ended {
            let next = state.position.next.0;
            self.world.saw("p", Op::Head { subject: format!("sink {sink}"), value: u64::from(next) });
            if next <= self.plan.last {
                let reason =
                    format!("the ledgers ended where {next} is due and {} is the last", self.plan.last);
                self.world.saw("p", Op::Halted { subject: format!("sink {sink}"), reason });
            } else if self.sinks.iter().all(|state| state.position.next.0 > self.plan.last) {
                self.world.saw("p", Op::Done { subject: "p".to_owned() });
            }
        }
    }

    /// Makes the next batch durable, as far as the sink does not have it, and gives its credit back.
    fn sink_takes(&mut self, sink: usize) {
        let Some(state) = self.sinks.get_mut(sink) else { return };
        state.is_busy = false;
        let Some(batch) = state.waiting.pop_front() else { return };
        for ledger in &batch.ledgers {
            if ledger.sequence == state.position.next {
                let next = LedgerSequence(ledger.sequence.0 + 1);
                state.position = Position { next, parent: Some(ledger.hash) };
                let (region, hash) = (format!("sink {sink}"), content(ledger));
                let stored = Op::Stored { region, ledger: ledger.sequence.0, hash, events: Vec::new() };
                self.world.trace(format_args!("{stored:?}"));
            } else if ledger.sequence > state.position.next {
                let reason =
                    format!("SRC-1: ledger {} came where {} is due", ledger.sequence, state.position.next);
                self.world.saw("p", Op::Halted { subject: format!("sink {sink}"), reason });
            }
        }
        self.mail.send(self.world.micros(100, 5000), Message::Granted { sink, credits: 1 });
        self.sink_goes_on(sink);
    }

    fn demanded(&mut self, demand: Demand) {
        match demand {
            Demand::Begin { run, from, avoid, credits, .. } => {
                let source = Source { run, next: from.0, credits, avoid, ..Source::new() };
                self.source = Source { arrives: self.source.arrives, ..source };
            }
            Demand::Grant { run, credits } if run == self.source.run => self.source.credits += credits,
            Demand::Grant { .. } => {}
        }
        self.pull_later();
    }

    fn pull_later(&mut self) {
        if !self.source.is_pulling && self.source.credits > 0 && !self.source.has_ended {
            self.source.is_pulling = true;
            self.mail.send(self.world.micros(1000, 60_000), Message::Pull);
        }
    }

    fn pull(&mut self) {
        self.source.is_pulling = false;
        let now = self.world.now();
        let arrives = self.source.arrives.max(now + self.world.micros(100, 20_000));
        self.source.arrives = arrives;
        let run = self.source.run;
        if self.source.next > self.plan.last {
            self.source.has_ended = true;
            self.mail.send(arrives - now, Message::SourceEnded { run });
            return;
        }
        if self.source.credits == 0 {
            return;
        }
        self.source.credits -= 1;
        let batch = self.fetch();
        self.mail.send(arrives - now, Message::Ledgers(Box::new(batch)));
        self.pull_later();
    }

    /// That something was refused is what operators hear of.
    fn note_work(&self, work: &LedgerBatch, worked: &Worked<EventBatch>) {
        let hash = short_hash(&work.chunk.bytes);
        let signal = format!("{hash} is refused");
        // Whoever refuses it does so before anything else happens. Of a sound one it is not to be heard at all.
        self.world.saw("source", Op::Deadline { signal: signal.clone(), within_us: 0 });
        if let Some(fault) = self.spoiled.get(&hash) {
            self.world.saw("source", Op::Fault { fault: (*fault).to_owned(), signal: Some(signal.clone()) });
        }
        if let Some(ledger) =
            self.plan.poison.filter(|ledger| work.chunk.range.contains(&LedgerSequence(*ledger)))
        {
            self.world.saw("p", Op::Tried { pipeline: format!("life {} of p", self.lives), ledger });
        }
        if let Some((ledger, reason)) = &worked.fault {
            self.world.trace(format_args!("ledger {ledger} refused: {reason}"));
            self.world.saw("p", Op::Signal { signal });
        }
    }

    /// What is held is given back in the end, but by a pipeline that parks.
    fn level(&self) {
        if self.plan.poison.is_some() {
            return;
        }
        let at_sinks: usize = self.sinks.iter().map(|sink| sink.waiting.len()).sum();
        for (name, value) in
            [("batches in the processor", self.core.in_flight()), ("batches at sinks", at_sinks)]
        {
            let (name, value) = (name.to_owned(), value as u64);
            self.world.saw("p", Op::Level { name, value, slack: 0 });
        }
    }

    fn measure(&self) {
        let gauge = |name: &str, value: usize, max: u32| {
            if value as u64 > u64::from(max) {
                let (name, value) = (name.to_owned(), value as u64);
                self.world.saw("p", Op::Gauge { name, value, max: u64::from(max) });
            }
        };
        gauge(
            "batches in the processor",
            self.core.in_flight(),
            self.plan.limits.source_credits + self.plan.limits.workers,
        );
        for state in &self.sinks {
            gauge("batches at a sink", state.waiting.len(), self.plan.sink_credits);
        }
    }
}

impl Source {
    const fn new() -> Self {
        Self { run: 0, next: 0, credits: 0, avoid: None, is_pulling: false, has_ended: false, arrives: 0 }
    }
}
