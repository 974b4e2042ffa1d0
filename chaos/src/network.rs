//! A network of the experiment's own: one namespace for each node and one for the switch between them.
//!
//! Nothing of the machine's own network is touched, and all of it goes with the namespaces.

mod mangle;

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use crate::experiment::ExperimentError;

pub(crate) use mangle::Mangler;

/// Names of namespaces begin with it; the number of the process that made them follows.
pub(crate) const PREFIX: &str = "orrery-chaos-";

/// Where the system keeps namespaces that have names.
pub(crate) const NAMESPACES: &str = "/run/netns";

/// Namespaces, removed when dropped.
#[derive(Debug)]
pub(crate) struct Network {
    prefix: String,
    nodes: usize,
    /// Packets that were dropped by rules that are gone.
    dropped: Cell<u64>,
}

impl Network {
    /// Connects so many namespaces.
    ///
    /// # Errors
    ///
    /// [`ExperimentError::Skipped`] if `ip` or `nft` is missing or refuses.
    pub(crate) fn new(nodes: usize) -> Result<Self, ExperimentError> {
        remove_left_behind();
        let network =
            Self { prefix: format!("{PREFIX}{}", std::process::id()), nodes, dropped: Cell::new(0) };
        let switch = network.switch();
        ip(&format!("netns add {switch}"))?;
        ip(&format!("-n {switch} link add switch type bridge"))?;
        ip(&format!("-n {switch} link set switch up"))?;
        for node in 0..nodes {
            let (namespace, address) = (network.namespace(node), address(node));
            ip(&format!("netns add {namespace}"))?;
            ip(&format!("-n {namespace} link set lo up"))?;
            ip(&format!("-n {namespace} link add eth0 type veth peer name port{node} netns {switch}"))?;
            ip(&format!("-n {switch} link set port{node} master switch up"))?;
            ip(&format!("-n {namespace} addr add {address}/24 dev eth0"))?;
            ip(&format!("-n {namespace} link set eth0 up"))?;
            network.nft(node, "add table inet cut")?;
            network.nft(node, "add chain inet cut input { type filter hook input priority 0 ; }")?;
        }
        Ok(network)
    }

    /// The same command within the namespace of a node; the process is the same.
    pub(crate) fn within(&self, node: usize, command: &Command) -> Command {
        let mut within = Command::new("ip");
        within.args(["netns", "exec", &self.namespace(node)]);
        within.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => within.env(name, value),
                None => within.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            within.current_dir(folder);
        }
        within
    }

    /// A connection from the namespace of a node to a port of its own address.
    ///
    /// # Errors
    ///
    /// Nobody listens there, or the namespace cannot be entered.
    pub(crate) fn connect(&self, node: usize, port: u16, within: Duration) -> io::Result<TcpStream> {
        let place = Path::new(NAMESPACES).join(self.namespace(node));
        let address = format!("{}:{port}", address(node));
        // The namespace is of the thread, which ends; the connection stays in it.
        let enter = || {
            setns(File::open(place)?, CloneFlags::CLONE_NEWNET)?;
            let address = address.parse().map_err(io::Error::other)?;
            TcpStream::connect_timeout(&address, within)
        };
        thread::scope(|scope| scope.spawn(enter).join())
            .unwrap_or_else(|_| Err(io::Error::other("the thread that connects has ended")))
    }

    /// Drops everything from and to a node. Where it arrives: a sender whose own system drops is told so.
    pub(crate) fn cut(&self, node: usize) -> Result<(), ExperimentError> {
        self.deafen(node)?;
        self.mute(node)
    }

    /// Drops everything from a node, and nothing to it.
    pub(crate) fn mute(&self, node: usize) -> Result<(), ExperimentError> {
        let rule = format!("add rule inet cut input ip saddr {} counter drop", address(node));
        (0..self.nodes).filter(|other| *other != node).try_for_each(|other| self.nft(other, &rule))
    }

    /// Drops everything to a node, and nothing from it.
    pub(crate) fn deafen(&self, node: usize) -> Result<(), ExperimentError> {
        self.nft(node, "add rule inet cut input iifname eth0 counter drop")
    }

    /// Drops what one node sends to another, and nothing that comes back.
    pub(crate) fn drop_on_the_way(&self, from: usize, to: usize) -> Result<(), ExperimentError> {
        self.nft(to, &format!("add rule inet cut input ip saddr {} counter drop", address(from)))
    }

    /// Answers all that is sent from and to a node by a reset, as a host does on which nobody listens; what knows no reset is
    /// dropped.
    pub(crate) fn refuse(&self, node: usize) -> Result<(), ExperimentError> {
        let from = format!("ip saddr {}", address(node));
        let others = (0..self.nodes).filter(|other| *other != node).map(|other| (other, from.as_str()));
        for (place, which) in others.chain([(node, "iifname eth0")]) {
            let tcp =
                format!("add rule inet cut input {which} meta l4proto tcp counter reject with tcp reset");
            self.nft(place, &tcp)?;
            self.nft(place, &format!("add rule inet cut input {which} counter drop"))?;
        }
        Ok(())
    }

    /// Drops so many of a hundred packets to every node, each by chance.
    pub(crate) fn lose(&self, percent: u32) -> Result<(), ExperimentError> {
        let rule =
            format!("add rule inet cut input iifname eth0 numgen random mod 100 < {percent} counter drop");
        (0..self.nodes).try_for_each(|node| self.nft(node, &rule))
    }

    /// Drops every packet to a node that is longer than so many bytes, as a link does whose ends think it wider than it is.
    pub(crate) fn drop_long(&self, node: usize, bytes: u32) -> Result<(), ExperimentError> {
        self.nft(node, &format!("add rule inet cut input iifname eth0 meta length > {bytes} counter drop"))
    }

    /// The same both ways: to a node, and from it to every other one.
    pub(crate) fn drop_long_both(&self, node: usize, bytes: u32) -> Result<(), ExperimentError> {
        let from = address(node);
        let rule = format!("add rule inet cut input ip saddr {from} meta length > {bytes} counter drop");
        (0..self.nodes).filter(|other| *other != node).try_for_each(|other| self.nft(other, &rule))?;
        self.drop_long(node, bytes)
    }

    /// Resets all connections of a node, at both ends as far as they are within the network. Gives how many ends.
    pub(crate) fn reset(&self, node: usize) -> Result<usize, ExperimentError> {
        let namespace = self.namespace(node);
        let words = ["netns", "exec", &namespace, "ss", "-H", "-K", "-t", "state", "established"];
        Ok(said(&words)?.lines().count())
    }

    /// Gives a node a line of so many megabits a second, each way; what waits for it waits 200 ms at most.
    pub(crate) fn slow(&self, node: usize, megabits: u32) -> Result<(), ExperimentError> {
        self.line(node, &format!("replace dev DEVICE root tbf rate {megabits}mbit burst 64kb latency 200ms"))
    }

    /// Gives a node a line of so many kilobits a second, each way, that takes no more than two packets at once.
    pub(crate) fn narrow(&self, node: usize, kilobits: u32) -> Result<(), ExperimentError> {
        self.line(node, &format!("replace dev DEVICE root tbf rate {kilobits}kbit burst 3kb latency 400ms"))
    }

    /// Gives a node a line as fast as the machine again.
    pub(crate) fn widen(&self, node: usize) -> Result<(), ExperimentError> {
        self.line(node, "del dev DEVICE root")
    }

    /// How often something had to wait for a node's line, or was dropped there.
    pub(crate) fn waited(&self, node: usize) -> u64 {
        let namespace = self.namespace(node);
        let words = ["netns", "exec", &namespace, "tc", "-s", "qdisc", "show", "dev", "eth0"];
        said(&words).map(|text| number_after(&text, "overlimits ")).unwrap_or(0)
    }

    fn line(&self, node: usize, words: &str) -> Result<(), ExperimentError> {
        let (namespace, switch) = (self.namespace(node), self.switch());
        for (place, device) in [(&namespace, "eth0".to_owned()), (&switch, format!("port{node}"))] {
            let words = format!("netns exec {place} tc qdisc {}", words.replace("DEVICE", &device));
            run(&words.split(' ').collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// Packets that rules have dropped or refused until now: what shows that there was something to drop.
    pub(crate) fn dropped(&self) -> u64 {
        let counted = |node: usize| {
            let namespace = self.namespace(node);
            let words = ["netns", "exec", &namespace, "nft", "list", "chain", "inet", "cut", "input"];
            said(&words).map(|text| number_after(&text, "counter packets ")).unwrap_or(0)
        };
        self.dropped.get() + (0..self.nodes).map(counted).sum::<u64>()
    }

    /// Drops nothing any more.
    pub(crate) fn heal(&self) -> Result<(), ExperimentError> {
        self.dropped.set(self.dropped());
        (0..self.nodes).try_for_each(|node| self.nft(node, "flush chain inet cut input"))
    }

    /// Drops nothing any more where it arrives at this node.
    pub(crate) fn unclog(&self, node: usize) -> Result<(), ExperimentError> {
        let before = self.dropped();
        self.nft(node, "flush chain inet cut input")?;
        self.dropped.set(self.dropped.get() + before.saturating_sub(self.dropped()));
        Ok(())
    }

    fn namespace(&self, node: usize) -> String {
        format!("{}-{node}", self.prefix)
    }

    fn switch(&self) -> String {
        format!("{}-switch", self.prefix)
    }

    fn nft(&self, node: usize, rule: &str) -> Result<(), ExperimentError> {
        let namespace = self.namespace(node);
        let words = ["netns", "exec", &namespace, "nft", rule];
        run(&words)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let nodes = (0..self.nodes).map(|node| self.namespace(node));
        nodes.chain([self.switch()]).for_each(remove);
    }
}

/// Of a node in its namespace.
pub(crate) fn address(node: usize) -> String {
    format!("10.77.0.{}", node + 1)
}

/// What an experiment made that was itself killed.
fn remove_left_behind() {
    let Ok(listed) = Command::new("ip").args(["netns", "list"]).output() else { return };
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let names = listed.lines().filter_map(|line| line.split_whitespace().next());
    for name in names {
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')).map(|(id, _)| id);
        if process.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            remove(name.to_owned());
        }
    }
}

fn remove(namespace: String) {
    let mut command = Command::new("ip");
    // One that was not made yet is none to remove.
    let _ = command.args(["netns", "del", &namespace]).stderr(Stdio::null()).status();
}

fn ip(words: &str) -> Result<(), ExperimentError> {
    run(&words.split(' ').collect::<Vec<_>>())
}

fn run(words: &[&str]) -> Result<(), ExperimentError> {
    said(words).map(drop)
}

/// What `ip` says to these words.
fn said(words: &[&str]) -> Result<String, ExperimentError> {
    let skipped = |why: &dyn std::fmt::Display| {
        let command = words.join(" ");
        let fix = "a network of its own needs root, `ip`, `tc` and `ss` (iproute2) and `nft` (nftables)";
        ExperimentError::Skipped(format!("ip {command}: {why}; {fix}"))
    };
    let output = Command::new("ip").args(words).output().map_err(|error| skipped(&error))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(skipped(&String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// Sum of the numbers that follow these words.
fn number_after(text: &str, words: &str) -> u64 {
    let number = |rest: &str| {
        let end = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
        rest.get(..end).and_then(|digits| digits.parse::<u64>().ok())
    };
    text.split(words).skip(1).filter_map(number).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_summed_over_all_rules() {
        let rules = "chain input {\n iifname \"eth0\" counter packets 12 bytes 720 drop\n counter packets 3 bytes 1 drop\n}";
        let check = |words: &str, expect: u64| assert_eq!(number_after(rules, words), expect, "{words}");
        check("counter packets ", 15);
        check("overlimits ", 0);
    }
}
