//! The one reader of the machine's calendar: for what outlives a process or is compared with another machine's. Durations
//! come from an `orrery_supervisor::Clock`.

use std::time::SystemTime;

/// Since 1970 (UTC).
#[expect(
    clippy::disallowed_methods,
    reason = "a later life of a node needs a larger number, over restarts of the machine; log lines of several nodes are merged by time"
)]
pub(crate) fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
