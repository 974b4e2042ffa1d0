//! How many files the process may have open: every connection is one, and what most systems allow is a thousand.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Files beside connections: the dataset's, the node's own state, other nodes, sources.
const OTHERS: u64 = 512;

/// Raises the limit as far as that is allowed without asking anybody, and says if it is too low for so many connections.
pub(super) fn raise(connections_max: usize) {
    let mut limit = getrlimit(Resource::Nofile);
    if let (Some(current), Some(maximum)) = (limit.current, limit.maximum)
        && current < maximum
    {
        limit.current = Some(maximum);
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::debug!(%error, "the limit of open files stays");
        }
    }
    let Some(allowed) = getrlimit(Resource::Nofile).current else { return };
    if allowed < (connections_max as u64).saturating_add(OTHERS) {
        tracing::info!(
            allowed,
            connections_max,
            "fewer files may be open than connections are allowed: raise LimitNOFILE or ulimit -n"
        );
    }
}
