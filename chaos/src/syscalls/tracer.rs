//! Runs a program and stops it at each of its system calls, as a debugger does. At one of them it does the fault.
//!
//! A kill comes when the call begins, which then does not happen. A call that is to fail is replaced by one that does not
//! exist, and its result by the error. Both hit the call that is meant, in whichever thread it is made.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread::Builder;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::point::{Counter, Object, Point};
use super::{Fault, Injection, Traced};
use crate::experiment::ExperimentError;
use crate::process::Running;

/// Longest run. A node that a failure brings to hang is a finding.
const TRACED_MAX: Duration = Duration::from_secs(60);

/// Waits until it is traced. A call without a tracer could have been made by then.
const STOPPED: &str = r#"kill -STOP $$; exec "$0" "$@""#;

/// Longest name of a file, as the system has it.
const NAME_BYTES_MAX: usize = libc::PATH_MAX as usize;

/// Numbers of the calls that are looked for.
const NUMBERS: [(libc::c_long, &str); 17] = [
    (libc::SYS_write, "write"),
    (libc::SYS_pwrite64, "pwrite64"),
    (libc::SYS_writev, "writev"),
    (libc::SYS_sendto, "sendto"),
    (libc::SYS_fsync, "fsync"),
    (libc::SYS_fdatasync, "fdatasync"),
    (libc::SYS_rename, "rename"),
    (libc::SYS_renameat, "renameat"),
    (libc::SYS_renameat2, "renameat2"),
    (libc::SYS_link, "link"),
    (libc::SYS_linkat, "linkat"),
    (libc::SYS_unlink, "unlink"),
    (libc::SYS_unlinkat, "unlinkat"),
    (libc::SYS_ftruncate, "ftruncate"),
    (libc::SYS_mkdir, "mkdir"),
    (libc::SYS_mkdirat, "mkdirat"),
    (libc::SYS_sync_file_range, "sync_file_range"),
];

/// Runs `command` to its end, with a fault if there is one. Objects of the experiment are below `folder`.
///
/// # Errors
///
/// It cannot be started, or this machine lets nobody trace.
pub(super) fn trace(
    command: &Command,
    folder: &Path,
    injection: Option<&Injection<'_>>,
) -> Result<Traced, ExperimentError> {
    let program = PathBuf::from(command.get_program());
    let failed = |errno: Errno| ExperimentError::io("trace", &program)(io::Error::from(errno));
    let running = Running::start(stopped(command))?;
    let main = running.id().ok_or(Errno::ECHILD).map_err(failed)?;
    // The thread ends with this sender.
    let (_ends, ended) = sync_channel::<()>(0);
    Builder::new()
        .name("watchdog".to_owned())
        .spawn(move || {
            if ended.recv_timeout(TRACED_MAX) == Err(RecvTimeoutError::Timeout) {
                let _ = kill(main, Signal::SIGKILL);
            }
        })
        .map_err(ExperimentError::io("watch", &program))?;
    attach(main).map_err(|errno| match errno {
        Errno::EPERM => ExperimentError::Skipped(
            "nobody may trace processes here: allow ptrace, as with `--cap-add SYS_PTRACE` in a container"
                .to_owned(),
        ),
        errno => failed(errno),
    })?;
    let mut tracer = Tracer::new(main, folder, injection);
    let status = tracer.follow().map_err(failed)?;
    let ended = running.ended(status);
    match tracer.failure {
        Some(errno) => Err(failed(errno)),
        None => Ok(Traced { ended, points: tracer.points, is_injected: tracer.is_injected }),
    }
}

/// The same command, which stops itself before it begins.
fn stopped(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", STOPPED]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    shell
}

/// Becomes the tracer of a process that stops itself, and lets it go on.
fn attach(main: Pid) -> Result<(), Errno> {
    match waitpid(main, Some(WaitPidFlag::WUNTRACED))? {
        WaitStatus::Stopped(..) => {}
        _ => return Err(Errno::ECHILD),
    }
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(main, options)?;
    kill(main, Signal::SIGCONT)
}

struct Tracer<'a> {
    main: Pid,
    folder: &'a Path,
    injection: Option<&'a Injection<'a>>,
    counter: Counter,
    points: Vec<Point>,
    is_injected: bool,
    /// The thread in a call that does not exist, and the error it gets.
    failing: Option<(Pid, Errno)>,
    /// Why nothing is to be learnt from this run.
    failure: Option<Errno>,
}

impl<'a> Tracer<'a> {
    fn new(main: Pid, folder: &'a Path, injection: Option<&'a Injection<'a>>) -> Self {
        Self {
            main,
            folder,
            injection,
            counter: Counter::default(),
            points: Vec::new(),
            is_injected: false,
            failing: None,
            failure: None,
        }
    }

    /// Goes from stop to stop until all threads have ended: nobody else can wait for them. Says how the program did.
    fn follow(&mut self) -> Result<ExitStatus, Errno> {
        // Children of other threads are not ours.
        let any = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        let mut ended = None;
        loop {
            let status = match waitpid(None, Some(any)) {
                Err(Errno::EINTR) => continue,
                Err(Errno::ECHILD) => return ended.ok_or(Errno::ECHILD),
                status => status?,
            };
            let done = match status {
                WaitStatus::Exited(id, code) if id == self.main => {
                    ended = Some(ExitStatus::from_raw((code & 0xff) << 8));
                    Ok(())
                }
                WaitStatus::Signaled(id, signal, _) if id == self.main => {
                    ended = Some(ExitStatus::from_raw(signal as i32));
                    Ok(())
                }
                WaitStatus::PtraceSyscall(thread) => {
                    self.stop(thread).and_then(|()| ptrace::syscall(thread, None))
                }
                WaitStatus::PtraceEvent(thread, ..) => ptrace::syscall(thread, None),
                WaitStatus::Stopped(thread, signal) => ptrace::syscall(thread, signal),
                _ => Ok(()),
            };
            match done {
                // A thread that is killed may be gone at any time.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => {
                    self.failure.get_or_insert(errno);
                    kill(self.main, Signal::SIGKILL)?;
                }
            }
        }
    }

    /// A thread is where a call begins or ends.
    fn stop(&mut self, thread: Pid) -> Result<(), Errno> {
        match ptrace::syscall_info(thread)?.op {
            libc::PTRACE_SYSCALL_INFO_ENTRY => self.begin(thread),
            libc::PTRACE_SYSCALL_INFO_EXIT => self.end(thread),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, thread: Pid) -> Result<(), Errno> {
        let mut registers = ptrace::getregs(thread)?;
        let number = NUMBERS.iter().find(|(number, _)| u64::try_from(*number) == Ok(registers.orig_rax));
        let Some((_, call)) = number else { return Ok(()) };
        let arguments = [registers.rdi, registers.rsi, registers.rdx, registers.r10];
        // What is not there makes the call fail by itself.
        let Some(object) = object(thread, call, &arguments) else { return Ok(()) };
        let Some(point) = self.counter.meet(call, &object, self.folder) else { return Ok(()) };
        let fault = self.injection.filter(|injection| *injection.point == point).map(|it| it.fault);
        self.points.push(point);
        let Some(fault) = fault else { return Ok(()) };
        self.is_injected = true;
        match fault {
            Fault::Kill => kill(self.main, Signal::SIGKILL),
            Fault::Error(errno) => {
                registers.orig_rax = u64::MAX;
                self.failing = Some((thread, errno));
                ptrace::setregs(thread, registers)
            }
        }
    }

    fn end(&mut self, thread: Pid) -> Result<(), Errno> {
        let Some((_, errno)) = self.failing.take_if(|(failing, _)| *failing == thread) else { return Ok(()) };
        let mut registers = ptrace::getregs(thread)?;
        registers.rax = i64::from(errno as i32).wrapping_neg().cast_unsigned();
        ptrace::setregs(thread, registers)
    }
}

/// The path of what a call is done to, if it is a file.
fn object(thread: Pid, call: &str, arguments: &[u64; 4]) -> Option<PathBuf> {
    let process = PathBuf::from(format!("/proc/{thread}"));
    // Descriptors are 32 bits of a register.
    let file = |argument: usize| match arguments[argument].cast_signed() as i32 {
        libc::AT_FDCWD => fs::read_link(process.join("cwd")).ok(),
        descriptor => fs::read_link(process.join("fd").join(descriptor.to_string())).ok(),
    };
    match Object::of(call) {
        Object::File => file(0),
        Object::Name(argument) => {
            let name = string(&process, arguments[argument])?;
            Some(fs::read_link(process.join("cwd")).ok()?.join(name))
        }
        Object::NameIn(argument) => {
            let name = string(&process, arguments[argument + 1])?;
            if name.is_absolute() { Some(name) } else { Some(file(argument)?.join(name)) }
        }
    }
}

/// A name in the memory of a process.
fn string(process: &Path, address: u64) -> Option<PathBuf> {
    let memory = File::open(process.join("mem")).ok()?;
    let mut bytes = [0; NAME_BYTES_MAX];
    let mut filled = 0;
    // What can be read in one go may end with a page.
    while !bytes[..filled].contains(&0) && filled < NAME_BYTES_MAX {
        match memory.read_at(&mut bytes[filled..], address + filled as u64) {
            Ok(count @ 1..) => filled += count,
            _ => return None,
        }
    }
    let name = bytes[..filled].split(|byte| *byte == 0).next()?;
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(name)))
}

#[cfg(test)]
mod tests {
    use super::super::point::CALLS;
    use super::*;

    /// What a script does to `folder`, as far as it comes.
    fn traced(script: &str, folder: &Path, injection: Option<&Injection<'_>>) -> Option<Traced> {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(folder);
        match trace(&command, folder, injection) {
            Err(ExperimentError::Skipped(_)) => None,
            traced => Some(traced.unwrap()),
        }
    }

    #[test]
    fn every_call_has_a_number() {
        assert_eq!(NUMBERS.map(|(_, call)| call), CALLS);
    }

    #[test]
    fn a_call_is_killed_before_it_happens_and_fails_without_happening() {
        let script = "echo one >> file; echo two >> file || echo refused; echo three >> file; exit 4";
        let check = |fault: Option<Fault>, lines: &str, output: &str, killed: bool| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().canonicalize().unwrap();
            let point = Point { call: "write", path: "file".into(), occurrence: 2 };
            let injection = fault.map(|fault| Injection { fault, point: &point });
            let Some(traced) = traced(script, &path, injection.as_ref()) else { return };
            assert_eq!(fs::read_to_string(path.join("file")).unwrap(), lines);
            assert!(traced.ended.output.contains(output), "{traced:?}");
            assert_eq!(traced.ended.was_killed(), killed, "{traced:?}");
            assert!(killed || traced.ended.status.code() == Some(4), "{traced:?}");
            assert_eq!(traced.is_injected, fault.is_some());
            assert_eq!(traced.points.contains(&point), fault.is_some() || lines.contains("two"));
        };
        check(None, "one\ntwo\nthree\n", "", false);
        check(Some(Fault::Kill), "one\n", "", true);
        check(Some(Fault::Error(Errno::ENOSPC)), "one\nthree\n", "refused", false);
    }

    #[test]
    fn names_are_found_wherever_a_call_has_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        fs::create_dir_all(path.join("d/e")).unwrap();
        let script = format!("echo > x; mkdir a; mkdir {}/b; ln x a/c; mv x y; rm -r d", path.display());
        let Some(traced) = traced(&script, &path, None) else { return };
        let names: Vec<_> = traced.points.iter().map(|point| point.path.display().to_string()).collect();
        assert_eq!(names, ["x", "a", "b", "a/c", "y", "d/e", "d"], "{traced:?}");
    }
}
