//! How each thing is tried. What is made for that is removed at once.

use std::fs::{self, File};
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use super::Need;

/// A library that does nothing but be there.
const LIBRARY: &str = "int orrery_chaos_probe(void) { return 1; }\n";

/// Where distributions put libfaketime.
const FAKE_TIME: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// Tries it: what was seen, or what is missing.
pub(super) fn probe(need: Need) -> Result<String, String> {
    match need {
        Need::Trace => trace(),
        Need::Namespaces => Namespace::new().map(|_| "made and removed".to_owned()),
        Need::Nft => nft(),
        Need::Tbf => {
            let namespace = Namespace::new()?;
            namespace.run(&[
                "tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", "1mbit", "burst", "16kb",
                "latency", "50ms",
            ])
        }
        Need::Queue => {
            let namespace = Namespace::new()?;
            namespace.run(&["iptables-legacy", "-A", "INPUT", "-j", "NFQUEUE", "--queue-num", "7"])
        }
        Need::KillSockets => kill_sockets(),
        Need::Mount => mount(),
        Need::Fuse => {
            let device = File::options().read(true).write(true).open("/dev/fuse");
            device.map_err(|error| format!("/dev/fuse: {error}"))?;
            said(Command::new("fusermount3").arg("--version"))
        }
        Need::Groups => groups().map(|path| path.display().to_string()),
        Need::FakeTime => fake_time(),
        Need::Preload => preload(),
        Need::FileLimit => said(Command::new("prlimit").arg("--version")),
        Need::StoreServer => said(Command::new("weed").arg("version")),
    }
}

/// What a command says when it works.
fn said(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    let text =
        |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().trim().to_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(format!("{name}: {}", text(&output.stderr))),
    }
}

fn trace() -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    crate::syscalls::can_trace(folder.path())
        .map(|()| "a process was traced".to_owned())
        .map_err(|error| error.to_string())
}

/// A network namespace, removed when dropped.
struct Namespace {
    name: String,
}

impl Namespace {
    fn new() -> Result<Self, String> {
        let name = format!("{}{}-probe", crate::network::PREFIX, std::process::id());
        said(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name };
        namespace.run(&["ip", "link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    fn run(&self, words: &[&str]) -> Result<String, String> {
        said(Command::new("ip").args(["netns", "exec", &self.name]).args(words)).map(|said| {
            match said.is_empty() {
                true => words.join(" "),
                false => said,
            }
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

fn nft() -> Result<String, String> {
    let namespace = Namespace::new()?;
    namespace.run(&["nft", "add table inet probe"])?;
    namespace.run(&["nft", "add chain inet probe input { type filter hook input priority 0 ; }"])?;
    namespace.run(&["nft", "add rule inet probe input numgen random mod 100 < 5 counter drop"])?;
    namespace.run(&["nft", "add rule inet probe input meta l4proto tcp counter reject with tcp reset"])?;
    Ok("loss, counters and resets".to_owned())
}

fn kill_sockets() -> Result<String, String> {
    let namespace = Namespace::new()?;
    let place = Path::new(crate::network::NAMESPACES).join(&namespace.name);
    let pair = || -> Result<(TcpStream, u16, TcpStream), String> {
        let named = |error: std::io::Error| error.to_string();
        setns(File::open(place).map_err(named)?, CloneFlags::CLONE_NEWNET)
            .map_err(|error| error.to_string())?;
        let listener = TcpListener::bind("127.0.0.1:0").map_err(named)?;
        let address = listener.local_addr().map_err(named)?;
        let client = TcpStream::connect(address).map_err(named)?;
        let (server, _) = listener.accept().map_err(named)?;
        Ok((client, address.port(), server))
    };
    let joined = thread::scope(|scope| scope.spawn(pair).join());
    let (mut client, port, _server) =
        joined.map_err(|_| "the thread that connects has ended".to_owned())??;
    namespace.run(&["ss", "-K", "dst", "127.0.0.1", "dport", "=", &port.to_string()])?;
    client.set_read_timeout(Some(Duration::from_secs(1))).map_err(|error| error.to_string())?;
    match client.read(&mut [0]) {
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => Ok(error.to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(error.to_string()),
        other => Err(format!("a connection outlived `ss -K`: {other:?}")),
    }
}

fn mount() -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    said(Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "orrery-chaos"]).arg(folder.path()))?;
    said(Command::new("umount").arg(folder.path()))?;
    Ok("mounted and unmounted".to_owned())
}

/// A folder in which groups with limits can be made: that of version 1's `cpu`, which a container may have, or version 2's.
fn groups() -> Result<PathBuf, String> {
    let root = Path::new("/sys/fs/cgroup");
    let name = format!("{}{}-probe", crate::network::PREFIX, std::process::id());
    let mut problems = Vec::new();
    for (parent, limit, value) in
        [(root.join("cpu"), "cpu.cfs_quota_us", "5000"), (root.to_owned(), "cpu.max", "5000 100000")]
    {
        let group = parent.join(&name);
        let made = fs::create_dir(&group).and_then(|()| fs::write(group.join(limit), value));
        let _ = fs::remove_dir(&group);
        match made {
            Ok(()) => return Ok(parent),
            Err(error) => problems.push(format!("{}: {error}", parent.join(limit).display())),
        }
    }
    Err(problems.join(", "))
}

/// Where libfaketime is.
pub(crate) fn fake_time_library() -> Option<&'static Path> {
    FAKE_TIME.iter().map(Path::new).find(|path| path.is_file())
}

fn fake_time() -> Result<String, String> {
    let library = fake_time_library().ok_or("libfaketimeMT.so.1 is in none of the usual places")?;
    let mut date = Command::new("date");
    let year = said(date.arg("+%Y").env("LD_PRELOAD", library).env("FAKETIME", "@2001-02-03 04:05:06"))?;
    if year == "2001" { Ok(library.display().to_string()) } else { Err(format!("a faked year is {year}")) }
}

fn preload() -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (source, library) = (folder.path().join("probe.c"), folder.path().join("probe.so"));
    fs::write(&source, LIBRARY).map_err(|error| error.to_string())?;
    said(Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source))?;
    let maps = said(
        Command::new("grep").args(["-m", "1", "probe.so", "/proc/self/maps"]).env("LD_PRELOAD", &library),
    )?;
    if maps.is_empty() {
        Err("a library was not loaded".to_owned())
    } else {
        Ok("compiled and loaded".to_owned())
    }
}
