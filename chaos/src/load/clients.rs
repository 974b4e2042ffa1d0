//! Readers and users in processes of their own, so that neither the server's files nor its memory nor its processor time are
//! theirs. Orders and answers are lines of JSON.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::swarm::{Order, Swarm, SwarmReport, SwarmSettings, Told};
use super::{files, token};
use crate::experiment::ExperimentError;

/// Lines that nobody has taken yet: there are three in all.
const LINES_MAX: usize = 4;

/// Name of the subcommand that is such a process.
pub(crate) const COMMAND: &str = "load-clients";

/// A process that is given orders. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Ordered {
    child: Child,
    orders: Option<ChildStdin>,
    told: Receiver<String>,
    /// Who it is, in errors.
    name: String,
}

impl Ordered {
    /// Starts this program with a hidden command and its settings.
    ///
    /// # Errors
    ///
    /// The process cannot be started.
    pub(super) fn start(
        command: &str,
        settings: &impl Serialize,
        name: String,
    ) -> Result<Self, ExperimentError> {
        let this = std::env::current_exe().map_err(ExperimentError::io("find", Path::new("this program")))?;
        let failed = |action| ExperimentError::io(action, &this);
        let json = serde_json::to_string(settings).map_err(io::Error::from).map_err(failed("write for"))?;
        let mut started = Command::new(&this);
        started.args([command, &json]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = started.spawn().map_err(failed("start"))?;
        let (tell, told) = sync_channel(LINES_MAX);
        let output = child.stdout.take();
        let read = move || {
            let lines = output.into_iter().flat_map(|output| BufReader::new(output).lines());
            let _ = lines.map_while(Result::ok).try_for_each(|line| tell.send(line));
        };
        let orders = child.stdin.take();
        let ordered = Self { child, orders, told, name };
        Builder::new().name("clients".to_owned()).spawn(read).map_err(failed("read the output of"))?;
        Ok(ordered)
    }

    /// Its number.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Gives an order.
    ///
    /// # Errors
    ///
    /// The process has ended.
    pub(super) fn order(&mut self, order: &impl Serialize) -> Result<(), ExperimentError> {
        let line = serde_json::to_string(order).map_err(|error| self.failed(&error.to_string()))?;
        let Some(orders) = &mut self.orders else { return Ok(()) };
        let written = writeln!(orders, "{line}");
        written.map_err(|error| self.failed(&error.to_string()))
    }

    /// What it tells next; `None` if it tells nothing within this time.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub(super) fn told<T: DeserializeOwned>(&self, within: Duration) -> Result<Option<T>, ExperimentError> {
        let line = match self.told.recv_timeout(within) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => return Ok(None),
            Err(RecvTimeoutError::Disconnected) => return Err(self.failed("ended")),
        };
        serde_json::from_str(&line).map(Some).map_err(|error| self.failed(&error.to_string()))
    }

    pub(super) fn failed(&self, problem: &str) -> ExperimentError {
        ExperimentError::Undisturbed {
            step: self.name.clone(),
            problem: problem.to_owned(),
            output: String::new(),
        }
    }
}

impl Drop for Ordered {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process of readers. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Clients(Ordered);

impl Clients {
    /// Starts them. They connect at once.
    ///
    /// # Errors
    ///
    /// The process cannot be started.
    pub(super) fn start(settings: &SwarmSettings) -> Result<Self, ExperimentError> {
        let name = format!("the process of readers of {}", settings.target);
        Ordered::start(COMMAND, settings, name).map(Self)
    }

    /// Its number.
    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Gives an order.
    ///
    /// # Errors
    ///
    /// The process has ended.
    pub(super) fn order(&mut self, order: Order) -> Result<(), ExperimentError> {
        self.0.order(&order)
    }

    /// What it tells next.
    ///
    /// # Errors
    ///
    /// It tells nothing in time, or has ended.
    pub(super) fn told(&self, within: Duration) -> Result<Told, ExperimentError> {
        let told = self.0.told(within)?;
        told.ok_or_else(|| self.0.failed(&format!("said nothing for {} s", within.as_secs())))
    }

    /// What they saw, after the last order.
    ///
    /// # Errors
    ///
    /// As [`Self::told`].
    pub(super) fn ended(self, within: Duration) -> Result<SwarmReport, ExperimentError> {
        match self.told(within)? {
            Told::Ended(report) => Ok(*report),
            other => Err(self.0.failed(&format!("said {other:?} at the end"))),
        }
    }
}

/// The process: reads orders until the last one.
///
/// # Errors
///
/// Its settings are none, or what [`Swarm::run`] says.
pub(crate) fn serve(settings: &str) -> Result<(), ExperimentError> {
    let failed = |action| ExperimentError::io(action, Path::new("readers"));
    let mut settings: SwarmSettings =
        serde_json::from_str(settings).map_err(io::Error::from).map_err(failed("read the settings of"))?;
    settings.token = token();
    files::check("a process of clients", settings.readers)?;
    let swarm = Swarm::new(settings).map_err(failed("wait for sockets of"))?;
    let (give, orders) = sync_channel(LINES_MAX);
    Builder::new()
        .name("orders".to_owned())
        .spawn(move || pass_on(&give))
        .map_err(failed("listen to orders of"))?;
    let tell = |told: &Told| {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(told)?)?;
        out.flush()
    };
    swarm.run(&orders, tell).map_err(failed("serve sockets of"))
}

fn pass_on(give: &SyncSender<Order>) {
    let orders = io::stdin().lines().map_while(|line| serde_json::from_str(&line.ok()?).ok());
    let _ = orders.into_iter().try_for_each(|order| give.send(order));
}
