//! The `orrery` program as a process that can be watched, killed and stopped.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::experiment::ExperimentError;

/// What a process printed last is kept for the report; all of it could fill memory.
const OUTPUT_BYTES_MAX: usize = 16 << 10;

/// The number of SIGKILL, which every system has.
const SIGKILL: i32 = Signal::SIGKILL as i32;

/// The program under test.
#[derive(Clone, Debug)]
pub struct Orrery {
    binary: PathBuf,
}

impl Orrery {
    /// The program at `path`; without one, `orrery` beside this program, or in the folder above, where tests find it.
    ///
    /// # Errors
    ///
    /// It is not there.
    pub fn find(path: Option<&Path>) -> Result<Self, ExperimentError> {
        if let Some(path) = path {
            let found = path.is_file().then(|| path.canonicalize()).and_then(Result::ok);
            return found
                .map(|binary| Self { binary })
                .ok_or_else(|| ExperimentError::NoProgram { path: path.to_owned() });
        }
        let this = std::env::current_exe().map_err(ExperimentError::io("find", Path::new("this program")))?;
        let folders = this.ancestors().skip(1).take(2);
        let mut places = folders.map(|folder| folder.join("orrery"));
        let nearest = this.with_file_name("orrery");
        match places.find(|place| place.is_file()) {
            Some(binary) => Ok(Self { binary }),
            None => Err(ExperimentError::NoProgram { path: nearest }),
        }
    }

    /// Where it is.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// A call of it, with nothing of the caller's environment that would configure it.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments);
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(name)) {
            command.env_remove(name);
        }
        command
    }
}

/// How a process ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// As the system says.
    pub status: ExitStatus,
    /// What it printed last, on both streams.
    pub output: String,
}

impl Ended {
    /// Whether SIGKILL ended it: the witness of a kill.
    pub fn was_killed(&self) -> bool {
        self.status.signal() == Some(SIGKILL)
    }
}

/// A process that runs. Dropped, it is killed.
#[derive(Debug)]
pub struct Running {
    child: Child,
    ended: Receiver<()>,
    output: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts it. Both of its streams are read until it ends.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn start(command: Command) -> Result<Self, ExperimentError> {
        Self::spawn(command, None)
    }

    /// As [`Self::start`]; all of the output goes to a file too.
    ///
    /// # Errors
    ///
    /// As [`Self::start`], or the file cannot be made.
    pub(crate) fn start_with_log(command: Command, log: &Path) -> Result<Self, ExperimentError> {
        let file = File::create(log).map_err(ExperimentError::io("create", log))?;
        Self::spawn(command, Some(file))
    }

    fn spawn(mut command: Command, log: Option<File>) -> Result<Self, ExperimentError> {
        let program = PathBuf::from(command.get_program());
        let failed = |action| ExperimentError::io(action, &program);
        let (read, write) = io::pipe().map_err(failed("make a pipe for"))?;
        let errors = write.try_clone().map_err(failed("make a pipe for"))?;
        command.stdin(Stdio::null()).stdout(write).stderr(errors);
        let child = command.spawn().map_err(failed("start"))?;
        // The command holds our ends of the pipe: only without them does reading end with the process.
        drop(command);
        let output = Arc::new(Mutex::new(Vec::new()));
        let kept = output.clone();
        // One message: that reading has ended.
        let (ends, ended) = sync_channel(1);
        let reader = Builder::new()
            .name("output".to_owned())
            .spawn(move || {
                keep(read, &kept, log);
                let _ = ends.send(());
            })
            .map_err(failed("read the output of"))?;
        Ok(Self { child, ended, output, reader: Some(reader) })
    }

    /// Its number, while nobody has waited for its end.
    pub(crate) fn id(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().map(Pid::from_raw)
    }

    /// Waits until it has closed its streams, at most so long. True if it has.
    pub fn ends_within(&self, time: Duration) -> bool {
        !matches!(self.ended.recv_timeout(time), Err(RecvTimeoutError::Timeout))
    }

    /// What it has printed so far, as far as that is kept.
    pub fn output(&self) -> String {
        let bytes = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Sends a signal. Nobody has waited for its end, so that the number is still its own.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(id) = self.id() {
            let _ = kill(id, signal);
        }
    }

    /// Sends SIGKILL and waits for the end, which may have come before.
    ///
    /// # Errors
    ///
    /// The system cannot say how it ended.
    pub fn kill(mut self) -> Result<Ended, ExperimentError> {
        self.send_kill();
        self.wait()
    }

    /// Sends SIGTERM, waits so long for the end, and kills it then.
    ///
    /// # Errors
    ///
    /// The system cannot say how it ended.
    pub fn stop(mut self, within: Duration) -> Result<Ended, ExperimentError> {
        self.signal(Signal::SIGTERM);
        if !self.ends_within(within) {
            return self.kill();
        }
        self.wait()
    }

    /// Waits for the end by itself, at most so long; then it is killed, which the status shows.
    ///
    /// # Errors
    ///
    /// The system cannot say how it ended.
    pub fn finish(mut self, within: Duration) -> Result<Ended, ExperimentError> {
        if !self.ends_within(within) {
            return self.kill();
        }
        self.wait()
    }

    /// Says that somebody else has waited for its end, which came with `status`.
    pub(crate) fn ended(mut self, status: ExitStatus) -> Ended {
        self.read_to_end(status)
    }

    /// An error means that it has ended and been waited for, which only `wait` below does.
    fn send_kill(&mut self) {
        let _ = self.child.kill();
    }

    fn wait(&mut self) -> Result<Ended, ExperimentError> {
        let status = self.child.wait().map_err(ExperimentError::io("wait for", Path::new("orrery")))?;
        Ok(self.read_to_end(status))
    }

    fn read_to_end(&mut self, status: ExitStatus) -> Ended {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        Ended { status, output: self.output() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.reader.is_some() {
            self.send_kill();
            let _ = self.child.wait();
        }
    }
}

/// Settings of whoever calls would change what is measured.
fn is_setting(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with("ORRERY_")
}

/// Reads to the end and keeps the last bytes; all go to `log`.
fn keep(mut read: PipeReader, kept: &Mutex<Vec<u8>>, mut log: Option<File>) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = read.read(&mut buffer) {
        if let Some(file) = &mut log {
            // A full disk must not stop the process that writes.
            let _ = file.write_all(&buffer[..count]);
        }
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(&buffer[..count]);
        let surplus = kept.len().saturating_sub(OUTPUT_BYTES_MAX);
        kept.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Running {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Running::start(command).unwrap()
    }

    #[test]
    fn a_kill_has_a_witness_and_an_end_of_its_own_has_none() {
        let long = shell("echo begun; exec cat /dev/zero > /dev/null");
        assert!(!long.ends_within(Duration::from_millis(50)));
        let ended = long.kill().unwrap();
        assert!(ended.was_killed(), "{ended:?}");
        let short = shell("echo out; echo err >&2; exit 3");
        assert!(short.ends_within(Duration::from_secs(30)));
        let ended = short.kill().unwrap();
        assert!(!ended.was_killed() && ended.status.code() == Some(3), "{ended:?}");
        assert_eq!(ended.output, "out\nerr\n");
    }

    #[test]
    fn a_stop_is_a_request_first() {
        let asked = shell("trap 'exit 7' TERM; echo ready; while :; do :; done");
        while !asked.output().contains("ready") {
            assert!(!asked.ends_within(Duration::from_millis(5)));
        }
        assert_eq!(asked.stop(Duration::from_secs(30)).unwrap().status.code(), Some(7));
    }

    #[test]
    fn only_the_end_of_a_long_output_is_kept() {
        let ended = shell("yes line | head -n 10000; echo last").finish(Duration::from_secs(30)).unwrap();
        assert!(ended.output.len() <= OUTPUT_BYTES_MAX && ended.output.ends_with("last\n"));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = Orrery::find(Some(Path::new("no/such/orrery"))).unwrap_err();
        assert!(error.to_string().contains("no/such/orrery: no such program"), "{error}");
    }
}
