//! What this machine allows, each thing tried for real: `orrery-chaos doctor`.

mod probes;

use std::collections::BTreeMap;

use serde::Serialize;

use super::catalogue::{self, Entry};

/// Something that a fault needs of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// To trace a process of one's own: ptrace.
    Trace,
    /// Network namespaces that are connected.
    Namespaces,
    /// Rules of nftables, random ones among them.
    Nft,
    /// The token bucket filter of `tc`.
    Tbf,
    /// Packets that are handed to a program: NFQUEUE.
    Queue,
    /// To destroy connections of others: `ss -K`.
    KillSockets,
    /// To mount file systems in memory.
    Mount,
    /// File systems in a program: FUSE.
    Fuse,
    /// Groups of processes with a limit of processor time or memory.
    Groups,
    /// libfaketime.
    FakeTime,
    /// A C compiler, and a library that is loaded before others.
    Preload,
    /// To set limits of a running process.
    FileLimit,
    /// The program of an S3 server: SeaweedFS.
    StoreServer,
}

impl Need {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Trace,
        Self::Namespaces,
        Self::Nft,
        Self::Tbf,
        Self::Queue,
        Self::KillSockets,
        Self::Mount,
        Self::Fuse,
        Self::Groups,
        Self::FakeTime,
        Self::Preload,
        Self::FileLimit,
        Self::StoreServer,
    ];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trace => "tracing",
            Self::Namespaces => "network namespaces",
            Self::Nft => "nftables",
            Self::Tbf => "token bucket filter",
            Self::Queue => "NFQUEUE",
            Self::KillSockets => "destroying sockets",
            Self::Mount => "mounting tmpfs",
            Self::Fuse => "FUSE",
            Self::Groups => "control groups",
            Self::FakeTime => "libfaketime",
            Self::Preload => "LD_PRELOAD",
            Self::FileLimit => "prlimit",
            Self::StoreServer => "an S3 server",
        }
    }

    /// What makes it possible.
    pub const fn fix(self) -> &'static str {
        match self {
            Self::Trace => {
                "x86-64 Linux; root, or kernel.yama.ptrace_scope 0 or 1; in a container SYS_PTRACE"
            }
            Self::Namespaces => "be root and install iproute2 (`ip`); in a container SYS_ADMIN and NET_ADMIN",
            Self::Nft => "be root and install nftables (`nft`)",
            Self::Tbf => "install iproute2 (`tc`); a kernel with sch_tbf",
            Self::Queue => "install iptables (`iptables-legacy`); a kernel with xt_NFQUEUE",
            Self::KillSockets => "install iproute2 (`ss`); a kernel with INET_DIAG_DESTROY",
            Self::Mount => "be root, or run it as `unshare --map-root-user --mount orrery-chaos ...`",
            Self::Fuse => "a kernel with FUSE and /dev/fuse; install fuse3",
            Self::Groups => "be root on a machine whose control groups can be written to",
            Self::FakeTime => "install faketime (libfaketimeMT.so.1)",
            Self::Preload => "install gcc (`cc`); a dynamically linked orrery",
            Self::FileLimit => "install util-linux (`prlimit`)",
            Self::StoreServer => "install SeaweedFS (`weed`) where PATH finds it",
        }
    }
}

/// What this machine said to one need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Capability {
    /// Which.
    pub need: Need,
    /// Whether it is allowed.
    pub is_there: bool,
    /// What was seen, or what is missing.
    pub detail: String,
}

/// What this machine allows, as far as it was asked.
#[derive(Debug, Default)]
pub struct Machine {
    found: BTreeMap<Need, Result<String, String>>,
}

impl Machine {
    /// One that was asked for nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it allows something, tried the first time: what was seen, or what is missing.
    pub fn allows(&mut self, need: Need) -> &Result<String, String> {
        self.found.entry(need).or_insert_with(|| probes::probe(need))
    }

    /// Why a fault must be skipped; `None` if it need not be.
    pub fn forbids(&mut self, entry: &Entry) -> Option<String> {
        let missing = entry.needs.iter().filter_map(|need| {
            let detail = self.allows(*need).as_ref().err()?;
            Some(format!("{}: {detail}; {}", need.name(), need.fix()))
        });
        missing.reduce(|all, next| format!("{all}. {next}"))
    }

    /// Everything, tried.
    pub fn examine(&mut self) -> Vec<Capability> {
        let capability = |need: Need| {
            let found = self.allows(need);
            let detail = match found {
                Ok(detail) | Err(detail) => detail.clone(),
            };
            Capability { need, is_there: found.is_ok(), detail }
        };
        Need::ALL.into_iter().map(capability).collect()
    }

    /// Faults that will be skipped here, and why.
    pub fn skipped(&mut self) -> Vec<(&'static str, String)> {
        let implemented = catalogue::all().filter(|entry| entry.missing().is_none());
        implemented.filter_map(|entry| Some((entry.id, self.forbids(entry)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_forbidden_by_what_is_missing_and_by_nothing_else() {
        let mut machine = Machine::new();
        machine.found.insert(Need::Nft, Err("no nft".to_owned()));
        machine.found.insert(Need::Tbf, Ok(String::new()));
        let mut check = |needs, expect: Option<&str>| {
            let entry = Entry { id: "N6", sentence: "", invariants: &[], needs, ways: &[] };
            let found = machine.forbids(&entry);
            assert_eq!(found.is_some(), expect.is_some(), "{found:?}");
            assert!(found.unwrap_or_default().contains(expect.unwrap_or_default()));
        };
        check(&[], None);
        check(&[Need::Tbf], None);
        check(&[Need::Tbf, Need::Nft], Some("nftables: no nft; be root"));
    }
}
