//! What regions say of each other, and whether their logs are the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Experiment;
use super::report::RoundReport;
use crate::judges::dataset::TABLES;

/// What one region says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct View {
    /// The newest ledger that it has.
    pub(super) durable: Option<u32>,
    /// Whether it finds every other region equal.
    pub(super) all_equal: bool,
    /// How long ago it heard the region that it heard least lately.
    pub(super) unheard_seconds: Option<f64>,
}

impl View {
    /// Reads the answer of `/v1/regions`.
    fn new(answer: &Value) -> Option<Self> {
        let regions = answer["regions"].as_array().filter(|regions| !regions.is_empty())?;
        let own = regions.iter().find(|region| region["own"] == true)?;
        let peers = || regions.iter().filter(|region| region["own"] != true);
        let tip = own["tip"].as_u64().and_then(|ledger| u32::try_from(ledger).ok());
        let heard = peers().map(|peer| peer["heard_ms_ago"].as_f64());
        Some(Self {
            durable: tip,
            all_equal: peers().all(|peer| peer["replica"] == "equal"),
            unheard_seconds: heard.flatten().map(|millis| millis / 1000.0).reduce(f64::max),
        })
    }
}

impl Experiment<'_> {
    /// What every region says; nothing of one that does not answer, or is passed over.
    pub(super) fn views(&self, without: Option<usize>) -> Vec<Option<View>> {
        let regions = self.regions.iter().enumerate();
        let asked = regions.map(|(index, region)| match without == Some(index) {
            true => None,
            false => View::new(&region.ask(self.network, "/v1/regions")?),
        });
        asked.collect()
    }

    /// Ledgers that this region alone has durable: lost with it for ever, if there were no sources.
    pub(super) fn only_there(&self, region: usize) -> Option<u32> {
        let views = self.views(None);
        let durable = |view: &Option<View>| view.as_ref().and_then(|view| view.durable);
        let own = views.get(region).and_then(durable)?;
        let others = views.iter().enumerate().filter(|(index, _)| *index != region);
        let best = others.filter_map(|(_, view)| durable(view)).max()?;
        Some(own.saturating_sub(best))
    }

    /// Slots of one number are the same bytes wherever they are.
    pub(super) fn compare_logs(&mut self, round: &RoundReport) {
        let mut first: BTreeMap<String, (String, Vec<u8>)> = BTreeMap::new();
        let mut problems = Vec::new();
        for region in &self.regions {
            let Some(root) = region.store.files() else { continue };
            for (name, bytes) in slots(root) {
                let kept = first.entry(name.clone()).or_insert_with(|| (region.name.clone(), bytes.clone()));
                if kept.1 != bytes {
                    let (number, other) = (round.number, &kept.0);
                    problems.push(format!("round {number}: {name} of {other} and of {} differ", region.name));
                }
            }
        }
        self.report.problems.extend(problems);
    }
}

/// Names and bytes of all slots of a dataset.
fn slots(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut slots = Vec::new();
    for table in TABLES {
        let log = root.join(table).join("_delta_log");
        let files = fs::read_dir(&log).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
        for path in files.filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
            let name = format!("{table}/{}", path.file_name().unwrap_or_default().display());
            slots.extend(fs::read(&path).ok().map(|bytes| (name, bytes)));
        }
    }
    slots
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_region_says_how_far_it_is_whom_it_finds_equal_and_whom_it_hears() {
        let row = |own: bool, tip: u32, replica: Value, heard: Value| json!({ "own": own, "tip": tip, "replica": replica, "heard_ms_ago": heard });
        let own = row(true, 63, Value::Null, Value::Null);
        let check = |rows: &[Value], expect: Option<(bool, Option<f64>)>| {
            let found = View::new(&json!({ "regions": rows }));
            let expect = expect.map(|(all_equal, unheard_seconds)| View {
                durable: Some(63),
                all_equal,
                unheard_seconds,
            });
            assert_eq!(found, expect, "{rows:?}");
        };
        check(&[], None);
        let near = row(false, 63, json!("equal"), json!(500));
        let far = row(false, 31, json!("unheard"), json!(7_000));
        check(&[own.clone(), near.clone()], Some((true, Some(0.5))));
        check(&[own.clone(), near, far], Some((false, Some(7.0))));
        check(&[own, row(false, 0, json!("unheard"), Value::Null)], Some((false, None)));
    }
}
