//! Faults of readers: they do not read, come all at once, break the protocol, go on from where nothing is, ask too much. The
//! reader beside them must get everything, in time.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::Random;
use crate::experiment::ExperimentError;
use crate::load::caller::Caller;
use crate::load::frames::masked;
use crate::load::hostile::{AttackReport, attack};
use crate::run::fault::Fault;
use crate::run::setup::Setup;
use crate::run::world::World;

/// An answer may take long: the machine is busy.
const CALLER: Caller = Caller { network: 201, patience: Duration::from_secs(30) };

/// Readers that never read, and those that come at once.
const SILENT: usize = 100;
const AT_ONCE: usize = 1000;

/// Begin of a text message.
const TEXT: u8 = 0x81;

/// A connection that has become a feed.
fn feed(target: SocketAddr, number: usize) -> io::Result<TcpStream> {
    CALLER.feed(target, number)?.map_err(|_| io::Error::other("no feed"))
}

/// W1 and W2: many readers, which subscribe to all there is and never read, or come and go at once.
#[derive(Debug)]
pub(in crate::run) struct Crowd {
    readers: usize,
    /// How often all of them come.
    waves: usize,
    streams: Vec<TcpStream>,
    comes: Option<JoinHandle<Vec<TcpStream>>>,
}

impl Crowd {
    /// W1.
    pub(in crate::run) const fn never_reads() -> Self {
        Self { readers: SILENT, waves: 1, streams: Vec::new(), comes: None }
    }

    /// W2.
    pub(in crate::run) const fn comes_at_once() -> Self {
        Self { readers: AT_ONCE, waves: 2, streams: Vec::new(), comes: None }
    }
}

impl Fault for Crowd {
    fn inject(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        let (target, readers, waves) = (world.setup.address, self.readers, self.waves);
        let come = move || {
            let mut streams = Vec::new();
            for _ in 0..waves {
                // A herd that comes back: all of the wave before are gone at the same moment.
                streams = (0..readers).filter_map(|number| feed(target, number).ok()).collect();
                for stream in &mut streams {
                    let ask = br#"{"op":"subscribe","id":"a","from":"oldest"}"#;
                    let _ = stream.write_all(&masked(TEXT, ask));
                }
            }
            streams
        };
        let spawned = Builder::new().name("crowd".to_owned()).spawn(come);
        self.comes = Some(spawned.map_err(ExperimentError::io("start", "a crowd of readers".as_ref()))?);
        Ok(())
    }

    fn witness(&mut self, _: &mut World) -> Option<String> {
        if self.comes.as_ref().is_some_and(JoinHandle::is_finished) {
            self.streams = self.comes.take()?.join().unwrap_or_default();
        }
        let connected = self.streams.len();
        (connected >= self.readers / 2)
            .then(|| format!("{connected} of {} readers are connected and read nothing", self.readers))
    }

    fn heal(&mut self, _: &mut World) -> Result<(), ExperimentError> {
        self.streams.clear();
        Ok(())
    }

    fn clean_up(&mut self) {
        if let Some(comes) = self.comes.take() {
            let _ = comes.join();
        }
        self.streams.clear();
    }
}

/// W3: what breaks the protocol, says too much, or dawdles; each has to be refused as it should.
#[derive(Debug, Default)]
pub(in crate::run) struct Hostile {
    attacks: Option<JoinHandle<Vec<AttackReport>>>,
    reports: Vec<AttackReport>,
}

impl Fault for Hostile {
    fn prepare(&mut self, setup: &mut Setup) -> Result<(), ExperimentError> {
        // Who dawdles is waited for.
        setup.witness_within = Duration::from_secs(120);
        Ok(())
    }

    fn inject(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        let target = world.setup.address;
        let attacks = Builder::new().name("hostile".to_owned()).spawn(move || attack(target, Duration::ZERO));
        self.attacks = Some(attacks.map_err(ExperimentError::io("start", "hostile readers".as_ref()))?);
        Ok(())
    }

    fn witness(&mut self, _: &mut World) -> Option<String> {
        if self.attacks.as_ref().is_some_and(JoinHandle::is_finished) {
            self.reports = self.attacks.take()?.join().unwrap_or_default();
        }
        let tries: u64 = self.reports.iter().map(|report| report.tries).sum();
        (tries > 0).then(|| format!("{tries} hostile requests of {} kinds", self.reports.len()))
    }

    fn heal(&mut self, _: &mut World) -> Result<(), ExperimentError> {
        Ok(())
    }

    fn problems(&mut self, _: &mut World) -> Vec<String> {
        let others = self.reports.iter().filter(|report| !report.is_held());
        others.map(|report| format!("{}: {:?}", report.name, report.first_other)).collect()
    }

    fn clean_up(&mut self) {
        if let Some(attacks) = self.attacks.take() {
            let _ = attacks.join();
        }
    }
}

/// W4 and W5: questions that cannot be answered; each has to be told so, or closed.
#[derive(Debug)]
pub(in crate::run) struct Asks {
    questions: fn() -> Vec<(String, &'static str)>,
    refused: usize,
    problems: Vec<String>,
}

impl Asks {
    /// W4: cursors from the future, of before everything, of no ledger, and of no form.
    pub(in crate::run) const fn from_nowhere() -> Self {
        Self { questions: nowhere, refused: 0, problems: Vec::new() }
    }

    /// W5: a filter of a hundred thousand accounts, and more subscriptions than one reader may have.
    pub(in crate::run) const fn too_much() -> Self {
        Self { questions: too_much, refused: 0, problems: Vec::new() }
    }
}

/// Questions, and what has to be in the answer.
fn nowhere() -> Vec<(String, &'static str)> {
    let ask = |from: &str| format!(r#"{{"op":"subscribe","id":"a","from":"{from}"}}"#);
    vec![
        (ask("4000000000"), "cursor_ahead"),
        (ask("4000000000:7"), "cursor_ahead"),
        (ask("99999999999999999999"), "error"),
        (ask("-1"), "error"),
        (ask("yesterday"), "error"),
        (ask("12:"), "error"),
        (ask("12:x"), "error"),
        (ask("1:2:3"), "error"),
    ]
}

fn too_much() -> Vec<(String, &'static str)> {
    let accounts = |count: usize| {
        let account = "\"GAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAWHF\"";
        let accounts = vec![account; count].join(",");
        format!(r#"{{"op":"subscribe","id":"a","from":"oldest","filter":{{"account":[{accounts}]}}}}"#)
    };
    vec![(accounts(1000), ""), (accounts(10_000), ""), (accounts(100_000), "")]
}

impl Fault for Asks {
    fn inject(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        let target = world.setup.address;
        for (number, (question, says)) in (self.questions)().into_iter().enumerate() {
            match answer(target, number, &question) {
                Ok(text) if is_refusal(&text) && text.contains(says) => self.refused += 1,
                Ok(text) => {
                    let (question, text) = (begin(&question), begin(&text));
                    self.problems.push(format!("`{question}` was answered with `{text}`"));
                }
                Err(error) => self.problems.push(format!("`{}`: {error}", begin(&question))),
            }
        }
        Ok(())
    }

    fn witness(&mut self, _: &mut World) -> Option<String> {
        (self.refused > 0).then(|| format!("{} questions were refused", self.refused))
    }

    fn heal(&mut self, _: &mut World) -> Result<(), ExperimentError> {
        Ok(())
    }

    fn problems(&mut self, _: &mut World) -> Vec<String> {
        std::mem::take(&mut self.problems)
    }
}

/// An error, or a close frame, or the end of the connection.
fn is_refusal(text: &str) -> bool {
    text.is_empty() || text.contains(r#""type":"error""#) || text.contains("\u{fffd}") && text.len() < 200
}

fn begin(text: &str) -> String {
    text.chars().take(120).collect()
}

/// What a feed says first to a question, or until it closes.
fn answer(target: SocketAddr, number: usize, question: &str) -> io::Result<String> {
    let mut stream = feed(target, number)?;
    // It may be closed on before all is written.
    let _ = stream.write_all(&masked(TEXT, question.as_bytes()));
    let mut answer = vec![0; 1024];
    let count = stream.read(&mut answer).unwrap_or(0);
    answer.truncate(count);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
