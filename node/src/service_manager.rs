//! What a service manager is told (`sd_notify`): that the node has begun, that it stops, and that it still turns. Without
//! `NOTIFY_SOCKET`, nobody is.
//!
//! `READY=1` means what `/startupz` does: sources and dataset are open. A node that waits for them is not ready and is no
//! failure either, which is why the unit in `ops/systemd` sets no limit to it.

use std::convert::Infallible;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::environment;
use crate::readiness::Phase;

/// Where datagrams go.
pub(crate) struct ServiceManager(Option<SocketAddr>);

impl ServiceManager {
    /// Who started this process, if it wants to be told.
    pub(crate) fn of_this_process() -> Self {
        Self(environment::variable("NOTIFY_SOCKET").and_then(|name| match address(&name) {
            Ok(address) => Some(address),
            Err(error) => {
                tracing::warn!(%error, name, "NOTIFY_SOCKET cannot be used: the service manager is told nothing");
                None
            }
        }))
    }

    /// The node entered a phase.
    pub(crate) fn entered(&self, phase: Phase) {
        match phase {
            Phase::Starting => {}
            Phase::Running => self.tell("READY=1"),
            Phase::Stopping => self.tell("STOPPING=1"),
        }
    }

    /// Tells that the process turns, for ever, twice as often as it has to; nothing if nobody waits for it.
    pub(crate) async fn keep_telling(&self) -> Infallible {
        let Some(period) = watchdog(&environment::variable, std::process::id()) else {
            return std::future::pending().await;
        };
        loop {
            self.tell("WATCHDOG=1");
            tokio::time::sleep(period / 2).await;
        }
    }

    fn tell(&self, state: &str) {
        let Some(address) = &self.0 else { return };
        if let Err(error) = send(state, address) {
            tracing::warn!(%error, state, "the service manager cannot be told");
        }
    }
}

/// A path, or after an `@` a name without one.
fn address(name: &str) -> io::Result<SocketAddr> {
    match name.strip_prefix('@') {
        Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name),
        None => SocketAddr::from_pathname(name),
    }
}

fn send(state: &str, address: &SocketAddr) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    // A manager that takes nothing must not hold the node up.
    socket.set_nonblocking(true)?;
    socket.send_to_addr(state.as_bytes(), address).map(drop)
}

/// How long the manager waits for a sign of life of the process with this number.
fn watchdog(environment: &dyn Fn(&str) -> Option<String>, process: u32) -> Option<Duration> {
    let is_ours = environment("WATCHDOG_PID").is_none_or(|pid| pid == process.to_string());
    let microseconds = environment("WATCHDOG_USEC")?.parse().ok()?;
    (is_ours && microseconds > 0).then(|| Duration::from_micros(microseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(phase: Phase, name_of: impl Fn(&std::path::Path) -> String) -> Option<String> {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("notify");
        let name = name_of(&path);
        let manager = UnixDatagram::bind_addr(&address(&name).unwrap()).unwrap();
        manager.set_nonblocking(true).unwrap();
        ServiceManager(Some(address(&name).unwrap())).entered(phase);
        let mut bytes = [0; 64];
        let length = manager.recv(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    #[test]
    fn a_service_manager_is_told_of_each_phase_at_a_path_and_at_a_name_without_one() {
        let path = |path: &std::path::Path| path.display().to_string();
        assert_eq!(told(Phase::Running, path).as_deref(), Some("READY=1"));
        assert_eq!(told(Phase::Stopping, path).as_deref(), Some("STOPPING=1"));
        assert_eq!(told(Phase::Starting, path), None);
        let name = |path: &std::path::Path| format!("@orrery{}", path.display());
        assert_eq!(told(Phase::Running, name).as_deref(), Some("READY=1"));
    }

    #[test]
    fn a_watchdog_is_fed_by_the_process_that_it_watches_alone() {
        let check = |usec: Option<&'static str>, pid: Option<&'static str>, expect| {
            let variable = |name: &str| match name {
                "WATCHDOG_USEC" => usec.map(str::to_owned),
                "WATCHDOG_PID" => pid.map(str::to_owned),
                _ => None,
            };
            assert_eq!(watchdog(&variable, 7), expect, "{usec:?} {pid:?}");
        };
        check(None, None, None);
        check(Some("30000000"), None, Some(Duration::from_secs(30)));
        check(Some("30000000"), Some("7"), Some(Duration::from_secs(30)));
        check(Some("30000000"), Some("8"), None);
        check(Some("0"), Some("7"), None);
        check(Some("soon"), Some("7"), None);
    }
}
