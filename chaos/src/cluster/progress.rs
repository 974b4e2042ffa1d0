//! How far a dataset is, who coordinates, and how long nothing was committed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::judges::dataset::TABLES;

/// The newest slot of both tables.
#[derive(Clone, Debug)]
pub(super) struct Tip {
    tables: Vec<(PathBuf, u32)>,
}

impl Tip {
    /// Of the dataset at `root`.
    pub(super) fn new(root: &Path) -> Self {
        Self { tables: TABLES.iter().map(|table| (root.join(table).join("_delta_log"), 0)).collect() }
    }

    /// Looks for further slots; gives the newest that both tables have.
    pub(super) fn look(&mut self) -> u32 {
        for (log, slot) in &mut self.tables {
            while log.join(format!("{:020}.json", *slot + 1)).is_file() {
                *slot += 1;
            }
        }
        self.tables.iter().map(|(_, slot)| *slot).min().unwrap_or(0)
    }
}

/// Name of the node that holds the newest lease of the dataset at `root`.
pub(super) fn coordinator(root: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Lease {
        holder: String,
    }
    let leases = fs::read_dir(root.join("_orrery/leases")).ok()?;
    let newest = leases.filter_map(Result::ok).map(|entry| entry.path()).max()?;
    let lease: Lease = serde_json::from_slice(&fs::read(newest).ok()?).ok()?;
    Some(lease.holder.split_once('.').map_or(lease.holder.as_str(), |(name, _)| name).to_owned())
}

/// From a fault on: when was committed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pauses {
    began: Duration,
    tip: u32,
    grew: Duration,
    /// From the fault to the first commit after it.
    pub(super) first_commit: Option<Duration>,
    /// Longest time between two commits that followed each other, or from the fault to the first.
    pub(super) longest: Duration,
}

impl Pauses {
    /// A fault at this time and slot.
    pub(super) fn from(now: Duration, tip: u32) -> Self {
        Self { began: now, tip, grew: now, first_commit: None, longest: Duration::ZERO }
    }

    /// What was seen at a later time.
    pub(super) fn see(&mut self, now: Duration, tip: u32) {
        if tip > self.tip {
            self.first_commit.get_or_insert(now - self.began);
            self.longest = self.longest.max(now - self.grew);
            self.tip = tip;
            self.grew = now;
        }
    }

    /// For how long nothing was committed now.
    pub(super) fn lasts(&self, now: Duration) -> Duration {
        now - self.grew
    }
}

/// How a number of times are distributed, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// How many.
    pub count: usize,
    /// Half are not longer.
    pub p50: f64,
    /// 99 of 100 are not longer; of fewer, all.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Spread {
    /// Of these, in any order.
    pub fn of(times: impl IntoIterator<Item = f64>) -> Self {
        let mut times: Vec<f64> = times.into_iter().collect();
        times.sort_by(f64::total_cmp);
        // The nearest rank: a time that was measured, and never one that is too short.
        let rank = |percent: usize| {
            let index = (times.len() * percent).div_ceil(100).saturating_sub(1);
            times.get(index).copied().unwrap_or_default()
        };
        Self { count: times.len(), p50: rank(50), p99: rank(99), max: rank(100) }
    }
}

/// Processes that want to run, on average of a minute; nothing where the system does not say.
pub(crate) fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_tip_is_the_newest_slot_of_the_table_that_is_behind() {
        let home = tempfile::tempdir().unwrap();
        let mut tip = Tip::new(home.path());
        assert_eq!(tip.look(), 0);
        let mut check = |table: &str, slot: u32, expect: u32| {
            let log = home.path().join(table).join("_delta_log");
            fs::create_dir_all(&log).unwrap();
            fs::write(log.join(format!("{slot:020}.json")), "").unwrap();
            assert_eq!(tip.look(), expect, "{table} {slot}");
        };
        check("token_transfers", 1, 0);
        check("ledgers", 1, 1);
        check("ledgers", 2, 1);
        check("token_transfers", 3, 1);
        check("token_transfers", 2, 2);
    }

    #[test]
    fn the_newest_lease_names_the_coordinator() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(coordinator(home.path()), None);
        let leases = home.path().join("_orrery/leases");
        fs::create_dir_all(&leases).unwrap();
        for (epoch, holder) in [(2, "b.7"), (10, "c.9"), (9, "a.8")] {
            let lease = format!("{{\"holder\":\"{holder}\"}}");
            fs::write(leases.join(format!("{epoch:020}.json")), lease).unwrap();
        }
        assert_eq!(coordinator(home.path()).as_deref(), Some("c"));
    }

    #[test]
    fn the_longest_pause_counts_from_the_fault_and_between_commits() {
        let check = |seen: &[(u64, u32)], first: Option<u64>, longest: u64| {
            let mut pauses = Pauses::from(seconds(10), 5);
            seen.iter().for_each(|(at, tip)| pauses.see(seconds(*at), *tip));
            assert_eq!((pauses.first_commit, pauses.longest), (first.map(seconds), seconds(longest)));
        };
        check(&[], None, 0);
        check(&[(11, 5)], None, 0);
        check(&[(11, 6), (12, 7)], Some(1), 1);
        check(&[(14, 6), (15, 7)], Some(4), 4);
        check(&[(11, 6), (15, 6), (19, 7), (20, 9)], Some(1), 8);
    }

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let check = |times: &[f64], expect: (f64, f64, f64)| {
            let Spread { count, p50, p99, max } = Spread::of(times.iter().copied());
            assert_eq!((count, (p50, p99, max)), (times.len(), expect));
        };
        check(&[], (0.0, 0.0, 0.0));
        check(&[2.0], (2.0, 2.0, 2.0));
        check(&[3.0, 1.0, 2.0], (2.0, 3.0, 3.0));
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        check(&hundred, (50.0, 99.0, 100.0));
    }
}
