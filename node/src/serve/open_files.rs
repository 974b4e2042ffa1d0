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
    if is_too_low(allowed, connections_max) {
        tracing::info!(
            allowed,
            connections_max,
            "fewer files may be open than connections are allowed: raise LimitNOFILE or ulimit -n"
        );
    }
}

fn is_too_low(allowed: u64, connections_max: usize) -> bool {
    allowed < (connections_max as u64).saturating_add(OTHERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_leaves_room_for_what_is_no_connection() {
        assert!(!is_too_low(20_512, 20_000));
        assert!(is_too_low(20_511, 20_000));
        assert!(is_too_low(0, 0));
        assert!(!is_too_low(u64::MAX, usize::MAX));
    }

    #[test]
    fn all_is_allowed_that_may_be_without_asking() {
        raise(20_000);
        let limit = getrlimit(Resource::Nofile);
        assert!(limit.maximum.is_none() || limit.current == limit.maximum, "{limit:?}");
    }
}
