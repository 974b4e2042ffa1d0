//! Readers of the feed: `orrery tail`, whose lines are read while it prints them.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use crate::experiment::ExperimentError;
use crate::network::Network;
use crate::process::{Orrery, Running};

/// What is wrong with a reader's events, of which there may be many, is told so often.
const PROBLEMS_MAX: usize = 5;

/// One reader.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) name: String,
    /// Until it is stopped.
    _running: Running,
    output: PathBuf,
    offset: u64,
    /// Ids of the events that it got.
    events: Vec<String>,
    /// When the first event of each ledger came, ascending.
    ledgers: Vec<(u32, Duration)>,
    /// Where among `events` each of these begins.
    begins: Vec<usize>,
}

/// The part of an event that is looked at.
#[derive(Deserialize)]
struct Event {
    ledger_sequence: u32,
    event_id: String,
}

impl Reader {
    /// Starts one in the namespace with the number `place`, that reads all there is from any of these servers.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub(crate) fn start(
        orrery: &Orrery,
        network: &Network,
        place: usize,
        name: String,
        servers: &[String],
        output: PathBuf,
    ) -> Result<Self, ExperimentError> {
        let mut command = orrery.command(["tail", "--from", "oldest", "--output", "json"]);
        for server in servers {
            command.args(["--url", server]);
        }
        Self::of(network.within(place, &command), name, output)
    }

    /// Starts one by a command of its own, whose lines go to `output`.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub(crate) fn of(mut command: Command, name: String, output: PathBuf) -> Result<Self, ExperimentError> {
        // Where it works tells whose it is, if whoever started it is killed.
        if let Some(folder) = output.parent() {
            command.current_dir(folder);
        }
        let running = Running::start_with_log(command, &output)?;
        let (events, ledgers, begins) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { name, _running: running, output, offset: 0, events, ledgers, begins })
    }

    /// Reads what has come until now.
    pub(crate) fn read(&mut self, now: Duration) {
        let mut text = Vec::new();
        let read = File::open(&self.output).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.offset))?;
            file.read_to_end(&mut text)
        });
        let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        if read.is_err() {
            return;
        }
        self.offset += end as u64;
        // What it says on its other stream is in between, and is no JSON.
        for line in text.get(..end).unwrap_or_default().split(|byte| *byte == b'\n') {
            if let Ok(Event { ledger_sequence, event_id }) = serde_json::from_slice(line) {
                if self.ledgers.last().is_none_or(|(last, _)| *last != ledger_sequence) {
                    self.ledgers.push((ledger_sequence, now));
                    self.begins.push(self.events.len());
                }
                self.events.push(event_id);
            }
        }
    }

    /// The newest ledger of which it has an event.
    pub(crate) fn newest(&self) -> u32 {
        self.ledgers.last().map_or(0, |(ledger, _)| *ledger)
    }

    /// When the first ledger after `ledger` came, if one has.
    pub(crate) fn came_after(&self, ledger: u32) -> Option<Duration> {
        let later = self.ledgers.iter().rev().take_while(|(newer, _)| *newer > ledger).last();
        later.map(|(_, at)| *at)
    }

    /// Each ledger and when it came.
    pub(crate) fn ledgers(&self) -> &[(u32, Duration)] {
        &self.ledgers
    }

    /// What is wrong with the events that it got: they should be these, in this order, once each.
    pub(crate) fn problems(&self, expected: &[String]) -> Vec<String> {
        let mut problems = Vec::new();
        let place = self.events.iter().zip(expected).position(|(found, expected)| found != expected);
        if let Some(place) = place {
            let window = |events: &[String]| {
                events.iter().skip(place).take(PROBLEMS_MAX).cloned().collect::<Vec<_>>().join(" ")
            };
            problems.push(format!(
                "reader {}: event {place} should begin {}, but is {}",
                self.name,
                window(expected),
                window(&self.events)
            ));
        } else if self.events.len() != expected.len() {
            let (found, expected) = (self.events.len(), expected.len());
            problems.push(format!("reader {}: {found} events where there are {expected}", self.name));
        }
        problems
    }

    /// Each ledger that began, when, and ids of its events.
    pub(crate) fn received(&self) -> impl Iterator<Item = (u32, Duration, &[String])> {
        let ends = self.begins.iter().skip(1).copied().chain([self.events.len()]);
        let parts = self.begins.iter().zip(ends).map(|(begin, end)| self.events.get(*begin..end));
        self.ledgers.iter().zip(parts).map(|((ledger, at), part)| (*ledger, *at, part.unwrap_or_default()))
    }

    /// How many events it got.
    pub(crate) fn events(&self) -> usize {
        self.events.len()
    }
}
