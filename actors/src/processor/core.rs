//! What the processor decides: which ledgers are worked on, what may go to the sinks, what is fetched again, when to give
//! up. No I/O, no time: events in, actions out.

use std::collections::VecDeque;

use orrery_schemas::LedgerSequence;
use orrery_supervisor::seeded_bug;

use crate::envelope::{Demand, PoisonLedger, Position, Span, Worked};
use crate::flow::{Credits, InOrder, NoCredit};

/// Times that a ledger from one source must fail in the same way before it is poison.
pub const ATTEMPTS_MAX: u32 = 3;

/// Times that a ledger may fail in any way, from any source: sources that take turns in failing must come to an end too.
const REFUSALS_MAX: u32 = 9;

/// Bounds of one processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessorLimits {
    /// Batches worked on at the same time.
    pub workers: u32,
    /// Batches that the source may have sent and that have not gone on to the sinks.
    pub source_credits: u32,
}

/// What happens to a processor. `J` is work, `B` a batch of events.
#[derive(Debug)]
pub enum Event<J, B> {
    /// A sink is open and stands there.
    SinkReady {
        /// In the order of the pipeline.
        sink: usize,
        /// Where it stands.
        position: Position,
    },
    /// A sink takes more batches.
    SinkGranted {
        /// In the order of the pipeline.
        sink: usize,
        /// How many more.
        credits: u32,
    },
    /// Ledgers came.
    Arrived {
        /// The run that asked for them.
        run: u64,
        /// They.
        work: J,
    },
    /// Work is done.
    Done {
        /// Of [`Action::Work`].
        run: u64,
        /// Of [`Action::Work`].
        ticket: u64,
        /// What came of it.
        worked: Worked<B>,
    },
    /// The source has no more, and never will.
    SourceEnded {
        /// The run.
        run: u64,
    },
}

/// What a processor does.
#[derive(Debug, PartialEq, Eq)]
pub enum Action<J, B> {
    /// Asks the source.
    Ask(Demand),
    /// Works on ledgers.
    Work {
        /// The run that asked for them.
        run: u64,
        /// Its number in the run.
        ticket: u64,
        /// The ledgers.
        work: J,
    },
    /// Sends to every sink.
    Send(B),
    /// Tells every sink that no more will come.
    End,
    /// Keeps the evidence and gives up: nothing can follow a ledger that cannot be processed.
    Park {
        /// The ledger.
        poison: PoisonLedger,
        /// How often it was refused.
        attempts: u32,
    },
}

/// State of one processor, for one incarnation of its pipeline.
#[derive(Debug)]
pub struct Core<J, B> {
    limits: ProcessorLimits,
    sinks: Vec<Sink>,
    /// Grows with every [`Demand::Begin`]; zero before the first.
    run: u64,
    /// The ledger that is due at the sinks.
    position: Option<Position>,
    /// Came and not begun; with those in work at most `source_credits`.
    queue: VecDeque<J>,
    in_work: u32,
    next_ticket: u64,
    done: InOrder<Worked<B>>,
    source_ended: bool,
    /// How the ledger that failed last did so.
    failures: Failures,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sink {
    position: Option<Position>,
    credits: Credits,
}

impl<J, B> Core<J, B> {
    /// Of so many sinks; it begins when all have said where they stand.
    pub fn new(limits: ProcessorLimits, sinks: usize) -> Self {
        Self {
            limits,
            sinks: vec![Sink::default(); sinks],
            run: 0,
            position: None,
            queue: VecDeque::new(),
            in_work: 0,
            next_ticket: 0,
            done: InOrder::new(),
            source_ended: false,
            failures: Failures::default(),
        }
    }

    /// Takes what happened; gives what to do.
    ///
    /// # Errors
    ///
    /// Only a bug of this file spends a credit that is not there.
    pub fn step(&mut self, event: Event<J, B>) -> Result<Vec<Action<J, B>>, NoCredit> {
        match event {
            Event::SinkReady { sink, position } => {
                self.sinks[sink].position = Some(position);
                return Ok(self.begin_when_all_are_ready());
            }
            Event::SinkGranted { sink, credits } => self.sinks[sink].credits.grant(credits),
            Event::Arrived { run, work } if run == self.run => self.queue.push_back(work),
            Event::Done { run, ticket, worked } => {
                // A worker is free, whichever run its work was of.
                self.in_work -= 1;
                if run == self.run {
                    self.done.insert(ticket, worked);
                }
            }
            Event::SourceEnded { run } if run == self.run => self.source_ended = true,
            Event::Arrived { .. } | Event::SourceEnded { .. } => {}
        }
        self.advance()
    }

    /// Batches that came and have not gone on.
    pub fn in_flight(&self) -> usize {
        self.queue.len() + self.in_work as usize + self.done.len()
    }

    /// Whether a batch is done and due, and some sink has granted no credit for it.
    pub(super) fn waits_for_credits(&self) -> bool {
        self.done.peek().is_some() && self.sinks.iter().any(|sink| sink.credits.left() == 0)
    }

    /// Starts where the sink that is furthest behind stands; the others pass over what they have.
    fn begin_when_all_are_ready(&mut self) -> Vec<Action<J, B>> {
        let positions: Option<Vec<_>> = self.sinks.iter().map(|sink| sink.position).collect();
        let first = positions.into_iter().flatten().min_by_key(|position| position.next);
        match (self.run, first) {
            (0, Some(position)) => {
                self.position = Some(position);
                vec![self.begin(position, None, 0)]
            }
            _ => Vec::new(),
        }
    }

    fn begin(&mut self, position: Position, avoid: Option<usize>, attempt: u32) -> Action<J, B> {
        self.run += 1;
        self.queue.clear();
        self.done = InOrder::new();
        self.next_ticket = 0;
        self.source_ended = false;
        let credits = self.limits.source_credits;
        let from = seeded_bug!(B9, LedgerSequence(position.next.0 + u32::from(attempt > 0)), position.next);
        Action::Ask(Demand::Begin { run: self.run, from, avoid, attempt, credits })
    }

    fn advance(&mut self) -> Result<Vec<Action<J, B>>, NoCredit> {
        let mut actions = Vec::new();
        let mut sent = 0;
        while self.sinks.iter().all(|sink| sink.credits.left() > 0) {
            let Some(Worked { origin, batch, mut fault }) = self.done.pop() else { break };
            if let Some((span, batch)) = batch {
                match self.link(span) {
                    Ok(()) => {
                        self.sinks.iter_mut().try_for_each(|sink| sink.credits.spend())?;
                        actions.push(Action::Send(batch));
                    }
                    // The batch itself is what is wrong, whatever came of its later ledgers.
                    Err(reason) => fault = Some((span.first, reason)),
                }
            }
            if let Some((ledger, reason)) = fault {
                actions.push(self.refuse(PoisonLedger { ledger, origin, reason }));
                return Ok(actions);
            }
            sent += 1;
        }
        if sent > 0 {
            actions.push(Action::Ask(Demand::Grant { run: self.run, credits: sent }));
        }
        while self.in_work < self.limits.workers
            && let Some(work) = self.queue.pop_front()
        {
            actions.push(Action::Work { run: self.run, ticket: self.next_ticket, work });
            self.next_ticket += 1;
            self.in_work += 1;
        }
        if self.source_ended && self.queue.is_empty() && self.in_work == 0 && self.done.is_empty() {
            self.source_ended = false;
            actions.push(Action::End);
        }
        Ok(actions)
    }

    /// Moves on over a batch if it begins with the ledger that is due and follows the one before.
    fn link(&mut self, span: Span) -> Result<(), String> {
        let Some(due) = self.position else { return Err("no sink has said where it stands".to_owned()) };
        if span.first != due.next {
            return Err(format!("SRC-1: it came where ledger {} is due", due.next));
        }
        if let Some(parent) = due.parent
            && parent != span.parent
        {
            return Err(format!(
                "SRC-2: it follows ledger hash {}, the ledger before has {parent}",
                span.parent
            ));
        }
        let Some(next) = span.last.next() else { return Err("there is no ledger after it".to_owned()) };
        self.position = Some(Position { next, parent: Some(span.hash) });
        Ok(())
    }

    /// Asks for the ledger again, from another source if there is one, until it is poison.
    fn refuse(&mut self, poison: PoisonLedger) -> Action<J, B> {
        let source = poison.origin.source;
        let (alike, refusals) = self.failures.count(&poison);
        match self.position {
            Some(position) if seeded_bug!(B19, true, alike < ATTEMPTS_MAX && refusals < REFUSALS_MAX) => {
                self.failures.last = Some(poison);
                self.begin(position, Some(source), refusals)
            }
            _ => {
                // Nothing that still comes is of this run.
                self.run += 1;
                Action::Park { poison, attempts: refusals }
            }
        }
    }

    /// What was refused last.
    pub fn refused(&self) -> Option<&PoisonLedger> {
        self.failures.last.as_ref()
    }
}

/// How often one ledger failed. Another ledger begins anew.
#[derive(Debug, Default)]
struct Failures {
    ledger: Option<LedgerSequence>,
    /// By source and reason: at most [`REFUSALS_MAX`].
    alike: Vec<(usize, String, u32)>,
    last: Option<PoisonLedger>,
}

impl Failures {
    /// Counts a failure: how often the source failed so, and how often the ledger failed at all.
    fn count(&mut self, poison: &PoisonLedger) -> (u32, u32) {
        if self.ledger != Some(poison.ledger) {
            *self = Self { ledger: Some(poison.ledger), ..Self::default() };
        }
        let source = poison.origin.source;
        let known =
            self.alike.iter_mut().find(|(from, reason, _)| (*from, reason) == (source, &poison.reason));
        let alike = match known {
            Some((.., count)) => {
                *count += 1;
                *count
            }
            None => {
                self.alike.push((source, poison.reason.clone(), 1));
                1
            }
        };
        (alike, self.alike.iter().map(|(.., count)| count).sum())
    }
}

#[cfg(test)]
mod tests;
