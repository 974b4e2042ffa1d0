//! Readers in a process of their own, so that neither the server's files nor its memory nor its processor time are theirs.
//! Orders and answers are lines of JSON.

use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::Duration;

use super::swarm::{Order, Swarm, SwarmReport, SwarmSettings, Told};
use super::{files, token};
use crate::experiment::ExperimentError;

/// Lines that nobody has taken yet: there are three in all.
const LINES_MAX: usize = 4;

/// Name of the subcommand that is such a process.
pub(crate) const COMMAND: &str = "load-clients";

/// A process of readers. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Clients {
    child: Child,
    orders: Option<ChildStdin>,
    told: Receiver<String>,
    target: SocketAddr,
}

impl Clients {
    /// Starts them. They connect at once.
    ///
    /// # Errors
    ///
    /// The process cannot be started.
    pub(super) fn start(settings: &SwarmSettings) -> Result<Self, ExperimentError> {
        let this = std::env::current_exe().map_err(ExperimentError::io("find", Path::new("this program")))?;
        let failed = |action| ExperimentError::io(action, &this);
        let json = serde_json::to_string(settings).map_err(io::Error::from).map_err(failed("write for"))?;
        let mut command = Command::new(&this);
        command.args([COMMAND, &json]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(failed("start"))?;
        let (tell, told) = sync_channel(LINES_MAX);
        let output = child.stdout.take();
        let read = move || {
            let lines = output.into_iter().flat_map(|output| BufReader::new(output).lines());
            let _ = lines.map_while(Result::ok).try_for_each(|line| tell.send(line));
        };
        let orders = child.stdin.take();
        let clients = Self { child, orders, told, target: settings.target };
        Builder::new().name("clients".to_owned()).spawn(read).map_err(failed("read the output of"))?;
        Ok(clients)
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
    pub(super) fn order(&mut self, order: Order) -> Result<(), ExperimentError> {
        let line = serde_json::to_string(&order).map_err(|error| self.failed(&error.to_string()))?;
        let Some(orders) = &mut self.orders else { return Ok(()) };
        let written = writeln!(orders, "{line}");
        written.map_err(|error| self.failed(&error.to_string()))
    }

    /// What it tells next.
    ///
    /// # Errors
    ///
    /// It tells nothing in time, or has ended.
    pub(super) fn told(&self, within: Duration) -> Result<Told, ExperimentError> {
        let line = self.told.recv_timeout(within).map_err(|error| match error {
            RecvTimeoutError::Timeout => self.failed(&format!("said nothing for {} s", within.as_secs())),
            RecvTimeoutError::Disconnected => self.failed("ended"),
        })?;
        serde_json::from_str(&line).map_err(|error| self.failed(&error.to_string()))
    }

    /// What they saw, after the last order.
    ///
    /// # Errors
    ///
    /// As [`Self::told`].
    pub(super) fn ended(self, within: Duration) -> Result<SwarmReport, ExperimentError> {
        match self.told(within)? {
            Told::Ended(report) => Ok(*report),
            other => Err(self.failed(&format!("said {other:?} at the end"))),
        }
    }

    fn failed(&self, problem: &str) -> ExperimentError {
        ExperimentError::Undisturbed {
            step: format!("the process of readers of {}", self.target),
            problem: problem.to_owned(),
            output: String::new(),
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
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
