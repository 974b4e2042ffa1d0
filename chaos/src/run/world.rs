//! One node at work: a source that grows, the node that follows it, its dataset, and a reader at its feed.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::recorder::Recorder;
use super::setup::Setup;
use super::slots::slots;
use crate::experiment::ExperimentError;
use crate::history::{Entry, Op};
use crate::judges::dataset::TABLES;
use crate::process::{Ended, Running};
use crate::regions::http::{body, status};
use crate::regions::live_lake::LiveLake;
use crate::regions::reader::Reader;
use crate::workload::{FIRST_LEDGER, url};

/// Between two looks at readers and dataset.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long an answer may take until the node counts as silent.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// The name of the node, and of its reader, in histories.
pub const NODE: &str = "node";
/// Of the reader.
pub const READER: &str = "reader";

/// A node at work.
#[derive(Debug)]
pub struct World {
    /// How it was started; what is changed here holds for the next start.
    pub setup: Setup,
    /// What has happened until now.
    pub recorder: Recorder,
    lake: LiveLake,
    /// Whether ledgers appear.
    grows: bool,
    node: Option<Running>,
    lives: u32,
    reader: Option<Reader>,
    /// The newest ledger that the dataset was seen to have.
    committed: u32,
}

impl World {
    /// Nothing runs yet. The lake with all ledgers is `complete`.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub fn new(setup: Setup, complete: &Path) -> Result<Self, ExperimentError> {
        let recorder = Recorder::new();
        let every = Duration::from_secs_f64(1.0 / setup.rate.max(0.01));
        let lake = LiveLake::new(complete, &setup.lake, setup.history, every, recorder.now())?;
        let config = setup.folder.join("orrery.toml");
        fs::write(&config, &setup.configuration).map_err(ExperimentError::io("write", &config))?;
        Ok(Self { setup, recorder, lake, grows: true, node: None, lives: 0, reader: None, committed: 0 })
    }

    /// Starts the node, for the first time or again.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn start(&mut self) -> Result<(), ExperimentError> {
        self.lives += 1;
        let command = self.command("run");
        self.node = Some(Running::start_with_log(command, &self.log_path(self.lives))?);
        self.note("started");
        Ok(())
    }

    /// The call of the node: `run`, or `backfill`, into the same dataset.
    pub fn command(&self, name: &str) -> Command {
        let setup = &self.setup;
        let mut command = setup.orrery.command([name]);
        command.arg("--config").arg(setup.folder.join("orrery.toml"));
        for source in setup.sources() {
            command.args(["--source", &source]);
        }
        let grid = format!("{FIRST_LEDGER}:{}", setup.slot_ledgers);
        command.args(["--dataset", &setup.dataset_url(), "--grid", &grid, "--from", "2"]);
        if name == "run" {
            command.args(["--http", &setup.address.to_string()]);
        }
        command.arg("--data-dir").arg(&setup.state).args(&setup.arguments);
        let mut command = wrapped(command, &setup.wrapper);
        command.envs(setup.environment.iter().map(|(name, value)| (name, value))).current_dir(&setup.folder);
        command
    }

    /// Starts the reader: `orrery tail` of all that there is.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn start_reader(&mut self) -> Result<(), ExperimentError> {
        let server = format!("http://{}", self.setup.address);
        let words = ["tail", "--from", "oldest", "--output", "json", "--url", &server];
        let output = self.setup.folder.join("reader.jsonl");
        self.reader = Some(Reader::of(self.setup.orrery.command(words), READER.to_owned(), output)?);
        Ok(())
    }

    /// Lets so much time pass, in which ledgers appear and the reader is heard.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub fn pass(&mut self, time: Duration) -> Result<(), ExperimentError> {
        let until = self.now() + time;
        loop {
            self.look()?;
            if self.now() >= until {
                return Ok(());
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
    }

    /// Lets time pass until there is an answer, at most so long.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub fn until<T>(
        &mut self,
        within: Duration,
        mut found: impl FnMut(&mut Self) -> Option<T>,
    ) -> Result<Option<T>, ExperimentError> {
        let until = self.now() + within;
        loop {
            if let Some(found) = found(self) {
                return Ok(Some(found));
            }
            if self.now() >= until {
                return Ok(None);
            }
            self.pass(LOOK_EVERY)?;
        }
    }

    fn look(&mut self) -> Result<(), ExperimentError> {
        let now = self.now();
        if self.grows {
            self.lake.go_on(now)?;
        }
        self.reader.iter_mut().for_each(|reader| reader.read(now));
        let committed = self.committed();
        if committed != self.committed {
            self.committed = committed;
            let subject = "dataset".to_owned();
            self.recorder.saw(NODE, Op::Head { subject, value: u64::from(committed) });
        }
        Ok(())
    }

    /// Time since the world began.
    pub fn now(&self) -> Duration {
        self.recorder.now()
    }

    /// The newest ledger of the lake.
    pub fn newest(&self) -> u32 {
        self.lake.newest()
    }

    /// Lets no more ledgers appear, or appear again.
    pub fn grow(&mut self, grows: bool) {
        self.grows = grows;
    }

    /// Lets all of the rest appear.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub fn complete_lake(&mut self) -> Result<(), ExperimentError> {
        self.lake.complete(self.recorder.now())
    }

    /// The newest ledger that both tables of the dataset have.
    pub fn committed(&self) -> u32 {
        let newest = |table: &&str| {
            let log = self.setup.dataset.join(table).join("_delta_log");
            let names = fs::read_dir(log).into_iter().flatten().filter_map(Result::ok);
            let number = |name: PathBuf| {
                let is_slot = name.extension().is_some_and(|extension| extension == "json");
                name.file_stem().filter(|_| is_slot)?.to_str()?.parse::<u32>().ok()
            };
            names.filter_map(|entry| number(entry.path())).max().unwrap_or(0)
        };
        match TABLES.iter().map(newest).min().unwrap_or(0) {
            0 => 0,
            slot => self.setup.last_of_slot(slot),
        }
    }

    /// The newest ledger that the reader has, and how many events it has.
    pub fn read(&self) -> (u32, usize) {
        self.reader.as_ref().map_or((0, 0), |reader| (reader.newest(), reader.events()))
    }

    /// The reader.
    pub(crate) fn reader(&self) -> Option<&Reader> {
        self.reader.as_ref()
    }

    /// Process of the node itself, below whatever is around it; what is around it, if the node is none that can be told.
    pub fn node_id(&self) -> Option<Pid> {
        let outer = self.node.as_ref()?.id()?;
        node_below(outer, self.setup.orrery.binary()).or(Some(outer))
    }

    /// Sends a signal to the node.
    pub fn signal(&self, signal: Signal) {
        if let Some(id) = self.node_id() {
            let _ = kill(id, signal);
        }
    }

    /// Whether a node runs: was started and has not ended.
    pub fn runs(&self) -> bool {
        self.node.as_ref().is_some_and(|node| !node.ends_within(Duration::ZERO))
    }

    /// Kills the node with SIGKILL, if it runs. Says how it ended.
    ///
    /// # Errors
    ///
    /// The system cannot say so.
    pub fn kill(&mut self) -> Result<Option<Ended>, ExperimentError> {
        self.signal(Signal::SIGKILL);
        self.end(Duration::from_secs(5))
    }

    /// Tells the node to stop, if it runs, and kills it when it has not ended within this time. Says how it ended.
    ///
    /// # Errors
    ///
    /// The system cannot say so.
    pub fn stop(&mut self, within: Duration) -> Result<Option<Ended>, ExperimentError> {
        self.signal(Signal::SIGTERM);
        self.end(within)
    }

    /// Waits until the node ends by itself, if it runs, and kills it when it has not. Says how it ended.
    ///
    /// # Errors
    ///
    /// The system cannot say so.
    pub fn end(&mut self, within: Duration) -> Result<Option<Ended>, ExperimentError> {
        let Some(node) = self.node.take() else { return Ok(None) };
        let id = node.id().and_then(|outer| node_below(outer, self.setup.orrery.binary()));
        if !node.ends_within(within)
            && let Some(id) = id
        {
            let _ = kill(id, Signal::SIGKILL);
        }
        let ended = node.finish(Duration::from_secs(10))?;
        self.note(&format!("ended: {}", ended.status));
        Ok(Some(ended))
    }

    /// All that the node has logged, in all of its lives.
    pub fn log(&self) -> String {
        let lives = (1..=self.lives).map(|life| fs::read(self.log_path(life)).unwrap_or_default());
        lives.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
    }

    /// The first line of the log with all of these words.
    pub fn said(&self, words: &[&str]) -> Option<String> {
        let log = self.log();
        let line = log.lines().find(|line| words.iter().all(|word| line.contains(word)));
        line.map(ToOwned::to_owned)
    }

    /// Status of what the node answers at a path; `None` if it does not.
    pub fn status(&self, path: &str) -> Option<u16> {
        status(self.connect()?, "GET", path, &self.setup.address.to_string(), "")
    }

    /// What the node answers at a path; `None` if it does not, or has nothing there.
    pub fn get(&self, path: &str) -> Option<String> {
        let bytes = body(self.connect()?, path, &self.setup.address.to_string())?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A connection to the node.
    pub fn connect(&self) -> Option<TcpStream> {
        TcpStream::connect_timeout(&self.setup.address, ANSWERS_WITHIN).ok()
    }

    /// Sum of a metric over all labels; `None` if the node does not answer or has no such metric.
    pub fn metric(&self, name: &str) -> Option<f64> {
        metric(&self.get("/metrics")?, name)
    }

    /// Notes a step of this run, for those who read its history.
    pub fn note(&mut self, text: &str) {
        self.recorder.saw(NODE, Op::Text { text: text.to_owned() });
    }

    /// Notes what the reader got, each ledger when it came.
    pub(crate) fn note_received(&mut self) {
        let Some(reader) = &self.reader else { return };
        for (ledger, at, events) in reader.received() {
            let (reader, events) = (READER.to_owned(), events.to_vec());
            self.recorder.saw_at(at, READER, Op::Feed { reader, connection: 0, ledger, events });
        }
    }

    /// Notes the slots that a dataset has in the end.
    pub(crate) fn note_slots(&mut self, dataset: &Path) {
        for table in TABLES {
            for slot in slots(&dataset.join(table), table) {
                self.recorder.saw(NODE, slot);
            }
        }
    }

    /// All that happened.
    pub(crate) fn into_history(mut self) -> Vec<Entry> {
        std::mem::replace(&mut self.recorder, Recorder::new()).into_entries()
    }

    /// Where logs of a life are.
    fn log_path(&self, life: u32) -> PathBuf {
        self.setup.folder.join(format!("{NODE}-{life}.log"))
    }

    /// The lake as a URL.
    pub fn lake_url(&self) -> String {
        url(&self.setup.lake)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // What is around the node would end without it.
        self.signal(Signal::SIGKILL);
    }
}

/// The same command as the last words of another one.
fn wrapped(command: Command, wrapper: &[std::ffi::OsString]) -> Command {
    let Some((program, words)) = wrapper.split_first() else { return command };
    let mut outer = Command::new(program);
    outer.args(words).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

/// The process that runs `binary`: this one, or one below it.
fn node_below(outer: Pid, binary: &Path) -> Option<Pid> {
    let process = Path::new("/proc").join(outer.to_string());
    if fs::read_link(process.join("exe")).is_ok_and(|exe| exe == binary) {
        return Some(outer);
    }
    let children = fs::read_to_string(process.join("task").join(outer.to_string()).join("children")).ok()?;
    let mut below = children.split_whitespace().filter_map(|id| id.parse().ok());
    below.find_map(|id| node_below(Pid::from_raw(id), binary))
}

/// Sum of a metric in a text of metrics.
fn metric(text: &str, name: &str) -> Option<f64> {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labels) => labels.rsplit_once('}')?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.split_whitespace().next()?.parse::<f64>().ok()
    });
    values.reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        let text = "# HELP a b\na_total{k=\"x\"} 2\na_total{k=\"}\"} 3\na_totals 9\nb 1.5\n";
        let check = |name: &str, expect: Option<f64>| assert_eq!(metric(text, name), expect, "{name}");
        check("a_total", Some(5.0));
        check("b", Some(1.5));
        check("c", None);
    }

    #[test]
    fn a_process_below_another_is_found() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 60 & wait"]);
        let shell = Running::start(shell).unwrap();
        let id = shell.id().unwrap();
        let sleep = fs::canonicalize("/bin/sleep").unwrap();
        let mut found = None;
        while found.is_none() {
            assert!(!shell.ends_within(Duration::from_millis(5)));
            found = node_below(id, &sleep);
        }
        kill(found.unwrap(), Signal::SIGKILL).unwrap();
        assert!(found != Some(id) && shell.ends_within(Duration::from_secs(30)));
        assert_eq!(node_below(id, Path::new("/no/such")), None);
    }
}
