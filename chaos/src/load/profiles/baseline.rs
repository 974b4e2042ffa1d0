//! A run beside an earlier one of the same kind. Pure, but for the file.

use std::fs;
use std::path::Path;

use super::report::{Compared, KindReport, ProfileReport};
use crate::experiment::ExperimentError;

/// What two runs of the same program differ by anyhow, whatever that is in percent.
const SAME_MS: f64 = 20.0;
const SAME_PER_SECOND: f64 = 1.0;
const SAME_PERCENT: f64 = 2.0;
const SAME_MIB: f64 = 32.0;

/// Keeps a run for others to be compared with.
///
/// # Errors
///
/// The file cannot be written.
pub fn save(report: &ProfileReport, file: &Path) -> Result<(), ExperimentError> {
    let failed = |source| ExperimentError::io("write", file)(source);
    let mut text = serde_json::to_string_pretty(report).map_err(|error| failed(error.into()))?;
    text.push('\n');
    fs::write(file, text).map_err(failed)
}

/// A run that was kept.
///
/// # Errors
///
/// The file cannot be read, or is none.
pub fn read(file: &Path) -> Result<ProfileReport, ExperimentError> {
    let text = fs::read_to_string(file).map_err(ExperimentError::io("read", file))?;
    serde_json::from_str(&text).map_err(|error| {
        let file = file.display();
        ExperimentError::Usage(format!("{file}: no report of a profile: {error}; make one with --save"))
    })
}

/// Why two runs cannot be compared.
pub fn unlike(before: &ProfileReport, profile: &str, shape: &str, users: usize) -> Option<String> {
    let same = (before.profile.name(), before.shape.name(), before.users) == (profile, shape, users);
    (!same).then(|| {
        format!(
            "the baseline is of --profile {} --shape {} --users {}: run the same, or save another one",
            before.profile.name(),
            before.shape.name(),
            before.users
        )
    })
}

/// Every figure of both; `worse_by` percent are allowed.
pub(super) fn compare(before: &ProfileReport, now: &ProfileReport, worse_by: f64) -> Vec<Compared> {
    let mut compared = Vec::new();
    let mut more_is_worse = |name: String, before: f64, now: f64, same: f64| {
        let worse_percent = (now - before) * 100.0 / before.max(same);
        let has_regressed = worse_percent > worse_by && now - before > same;
        compared.push(Compared { name, before, now, worse_percent, has_regressed });
    };
    for kind in &now.kinds {
        let Some(earlier) = before.kinds.iter().find(|earlier| earlier.kind == kind.kind) else { continue };
        for (name, of) in TIMES {
            more_is_worse(format!("{}.{name}, ms", kind.kind.name()), of(earlier), of(kind), SAME_MS);
        }
    }
    more_is_worse("errors, %".to_owned(), before.errors_percent, now.errors_percent, 0.1);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    if let (Some(earlier), Some(later)) = (before.server.memory_max, now.server.memory_max) {
        more_is_worse("memory, MiB".to_owned(), mib(earlier), mib(later), SAME_MIB);
    }
    if let (Some(earlier), Some(later)) = (before.server.cpu_percent, now.server.cpu_percent) {
        more_is_worse("cpu, %".to_owned(), earlier, later, SAME_PERCENT);
    }
    let (earlier, later) = (before.requests_per_second, now.requests_per_second);
    let worse_percent = (earlier - later) * 100.0 / earlier.max(SAME_PER_SECOND);
    compared.push(Compared {
        name: "requests/s".to_owned(),
        before: earlier,
        now: later,
        worse_percent,
        has_regressed: worse_percent > worse_by && earlier - later > SAME_PER_SECOND,
    });
    compared
}

type Figure = fn(&KindReport) -> f64;

/// The longest time is chance.
const TIMES: [(&str, Figure); 4] = [
    ("first.p95", |kind| kind.first.p95_ms),
    ("p50", |kind| kind.whole.p50_ms),
    ("p95", |kind| kind.whole.p95_ms),
    ("p99", |kind| kind.whole.p99_ms),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::profiles::EXAMPLE;

    #[test]
    fn what_became_worse_is_told_and_what_differs_anyhow_is_not() {
        let before: ProfileReport = serde_json::from_str(EXAMPLE).unwrap();
        let check = |change: fn(&mut ProfileReport), expect: &[&str]| {
            let mut now = before.clone();
            change(&mut now);
            let compared = compare(&before, &now, 20.0);
            let worse = compared.iter().filter(|one| one.has_regressed).map(|one| one.name.as_str());
            assert_eq!(worse.collect::<Vec<_>>(), expect);
        };
        check(|_| {}, &[]);
        check(|now| now.kinds[0].whole.p99_ms *= 1.15, &[]);
        check(|now| now.kinds[0].whole.p99_ms *= 1.3, &["export.p99, ms"]);
        check(|now| now.kinds[1].whole.p50_ms += 15.0, &[]);
        check(|now| now.requests_per_second *= 0.5, &["requests/s"]);
        check(|now| now.requests_per_second *= 2.0, &[]);
        check(|now| now.errors_percent = 0.5, &["errors, %"]);
        check(|now| now.server.memory_max = Some(1 << 30), &["memory, MiB"]);
    }

    #[test]
    fn a_baseline_is_kept_and_read_again_and_is_of_the_same_run() {
        let folder = tempfile::tempdir().unwrap();
        let (file, report) =
            (folder.path().join("base.json"), serde_json::from_str::<ProfileReport>(EXAMPLE).unwrap());
        save(&report, &file).unwrap();
        let again = read(&file).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), serde_json::to_string(&report).unwrap());
        assert_eq!(unlike(&again, "all", "steady", 300), None);
        assert!(unlike(&again, "all", "spike", 300).unwrap().contains("--shape steady --users 300"));
        std::fs::write(&file, "{}").unwrap();
        assert!(read(&file).unwrap_err().to_string().contains("make one with --save"));
    }
}
