//! The nodes under load: started here, or somewhere else.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use orrery_actors::source::synthetic::LEDGERS_MAX;
use serde_json::Value;

use super::link::Maker;
use super::{LoadSettings, Target, token};
use crate::experiment::ExperimentError;
use crate::process::Running;

/// How often it is looked whether a node is there.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long a node may take to have its first ledger, and to end.
const READY_WITHIN: Duration = Duration::from_secs(120);
const STOPS_WITHIN: Duration = Duration::from_secs(60);

/// How long an answer may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What a node logs before the address at which it serves.
const SERVED: &str = "health and metrics are served address=";

/// Ticks of the system in a second, in which it tells processor time; all of Linux has so many.
const TICKS_PER_SECOND: f64 = 100.0;

/// A node.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    maker: Maker,
    /// If it was started here.
    running: Option<Running>,
}

impl Server {
    /// One that somebody else has started.
    ///
    /// # Errors
    ///
    /// What it is to be trusted by is not there.
    pub(super) fn at(target: &Target) -> Result<Self, ExperimentError> {
        let maker = Maker::new(target.trust.as_ref());
        let maker = maker.map_err(|error| ExperimentError::Usage(format!("--ca: {error}")))?;
        Ok(Self { address: target.address, maker, running: None })
    }

    /// Starts a node of made-up ledgers, in a folder of its own, and waits for its first ledger.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub(super) fn start(settings: &LoadSettings, number: usize) -> Result<Self, ExperimentError> {
        let folder = settings.folder.join(format!("node-{number}"));
        fs::create_dir_all(&folder).map_err(ExperimentError::io("create", &folder))?;
        let config = folder.join("orrery.toml");
        let connections = settings.connections_of(number) + 64;
        let text = format!("[http]\nconnections_max = {connections}\n");
        fs::write(&config, text).map_err(ExperimentError::io("write", &config))?;
        let LoadSettings { seed, rate, density, .. } = settings;
        let url = |name: &str| format!("file://{}", folder.join(name).display());
        let words = [
            "run".to_owned(),
            "--config".to_owned(),
            config.display().to_string(),
            "--source".to_owned(),
            format!("synthetic:?seed={seed}&rate={rate}&density={density}&ledgers={LEDGERS_MAX}"),
            "--dataset".to_owned(),
            url("dataset"),
            "--data-dir".to_owned(),
            folder.join("state").display().to_string(),
            "--http".to_owned(),
            "127.0.0.1:0".to_owned(),
            "--from".to_owned(),
            "genesis".to_owned(),
        ];
        Self::begin(settings.orrery.command(words), 0)
    }

    /// Starts a node, and waits until it has a ledger that is not before `ledger`.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub(super) fn begin(command: Command, ledger: u32) -> Result<Self, ExperimentError> {
        let running = Running::start(command)?;
        let address = ([127, 0, 0, 1], 0).into();
        let mut server = Self { address, maker: Maker::Clear, running: Some(running) };
        server.wait(|server| {
            server.address = served_at(&server.output())?;
            Some(())
        })?;
        server
            .wait(|server| server.status()?.get("tip")?.as_u64().filter(|tip| *tip >= u64::from(ledger)))?;
        Ok(server)
    }

    /// Its number, if it runs here.
    pub(super) fn id(&self) -> Option<i32> {
        self.running.as_ref()?.id().map(|id| id.as_raw())
    }

    /// What it printed last.
    fn output(&self) -> String {
        self.running.as_ref().map(Running::output).unwrap_or_default()
    }

    fn wait<T>(&mut self, mut found: impl FnMut(&mut Self) -> Option<T>) -> Result<T, ExperimentError> {
        for _ in 0..READY_WITHIN.as_millis() / LOOK_EVERY.as_millis() {
            if let Some(found) = found(self) {
                return Ok(found);
            }
            self.runs_for(LOOK_EVERY)?;
        }
        Err(self.failed("has no ledger yet"))
    }

    /// Lets time pass.
    ///
    /// # Errors
    ///
    /// The node ends meanwhile.
    pub(super) fn runs_for(&self, time: Duration) -> Result<(), ExperimentError> {
        match &self.running {
            Some(running) if running.ends_within(time) => Err(self.failed("has ended")),
            _ => Ok(()),
        }
    }

    fn failed(&self, problem: &str) -> ExperimentError {
        ExperimentError::Undisturbed {
            step: "orrery run".to_owned(),
            problem: problem.to_owned(),
            output: self.output(),
        }
    }

    /// What it says of itself.
    pub(super) fn status(&self) -> Option<Value> {
        let stream = TcpStream::connect_timeout(&self.address, ANSWERS_WITHIN).ok()?;
        stream.set_read_timeout(Some(ANSWERS_WITHIN)).ok()?;
        let token = token().map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
        let request =
            format!("GET /v1/status HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{token}\r\n", self.address);
        let mut link = self.maker.link(stream).ok()?;
        link.write_whole(request.as_bytes()).ok()?;
        let (mut answer, mut part) = (Vec::new(), [0; 4096]);
        // An end that TLS does not say is one.
        while let Ok(count @ 1..) = link.read(&mut part) {
            answer.extend_from_slice(&part[..count]);
            if answer.len() > ANSWER_BYTES_MAX {
                return None;
            }
        }
        let answer = String::from_utf8(answer).ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        serde_json::from_str(body).ok()
    }

    /// Tells it to end, so that nothing of it stays.
    pub(super) fn stop(self) -> Result<(), ExperimentError> {
        self.running.map_or(Ok(()), |running| running.stop(STOPS_WITHIN).map(drop))
    }
}

/// The address in a node's log.
fn served_at(output: &str) -> Option<SocketAddr> {
    let (_, rest) = output.split_once(SERVED)?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Memory of a process that is in use, in bytes.
pub(super) fn resident_bytes(id: i32) -> Option<u64> {
    let status = fs::read_to_string(Path::new("/proc").join(id.to_string()).join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

/// Processor time of a process so far, in seconds.
pub(super) fn processor_seconds(id: i32) -> Option<f64> {
    let stat = fs::read_to_string(Path::new("/proc").join(id.to_string()).join("stat")).ok()?;
    // Its name may hold anything, and ends with the last bracket.
    let (_, fields) = stat.rsplit_once(')')?;
    let times = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    let ticks: f64 = times.collect::<Result<Vec<_>, _>>().ok()?.iter().sum();
    Some(ticks / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_the_log() {
        let log = "2026  INFO health and metrics are served address=127.0.0.1:9570\n2026  INFO node starts";
        assert_eq!(served_at(log), Some(([127, 0, 0, 1], 9570).into()));
        assert_eq!(served_at("health"), None);
    }

    #[test]
    fn a_process_has_memory_and_time() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(resident_bytes(own).is_some_and(|bytes| bytes > 100 << 10));
        assert!(processor_seconds(own).is_some_and(|seconds| seconds < 1e6));
        assert_eq!(resident_bytes(-1), None);
    }
}
