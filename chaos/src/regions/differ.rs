//! A region whose table says something else than that of the others: how it comes to that, how it must be found, and how it is
//! mended as `ops/runbooks/difference.md` says.

use std::path::Path;
use std::time::Duration;

use super::Experiment;
use super::region::name_of;
use super::round::{STUCK_AFTER, Watch};
use crate::experiment::ExperimentError;
use crate::judges::dataset::TABLES;
use crate::process::Running;

/// What is changed of a slot: a digit of its last ledger's hash. The slot is sound in itself, and so is its file.
const CHANGED: &str = "\"last_ledger_hash\":\"";

/// Other regions that were to park for it have done so by then.
const OTHERS_DECIDE_WITHIN: Duration = Duration::from_secs(12);

impl Experiment<'_> {
    /// Changes the newest slot of a table, each in turn. The region's nodes must not run.
    pub(super) fn make_differ(&mut self, watch: &mut Watch) -> Result<(), ExperimentError> {
        let (network, victim) = (self.network, watch.victim);
        self.start_store(victim)?;
        let table = TABLES[watch.report.number % TABLES.len()];
        let Some(region) = self.regions.get_mut(victim) else { return Ok(()) };
        let mut newest = None;
        for slot in 0_u32.. {
            let name = format!("{table}/_delta_log/{slot:020}.json");
            match region.store.read(network, &name) {
                Some(bytes) => newest = Some((name, bytes)),
                None => break,
            }
        }
        let changed =
            newest.and_then(|(name, bytes)| Some((name, changed(&String::from_utf8(bytes).ok()?)?)));
        let Some((name, text)) = changed else {
            return Err(self.failed("no slot can be changed: no slot has a ledger"));
        };
        region.store.replace(network, &name, &text)?;
        region.store.kill()
    }

    /// Waits until the difference is found and the region is parked, and mends that.
    pub(super) fn mend(&mut self, watch: &mut Watch) -> Result<(), ExperimentError> {
        let (victim, began) = (watch.victim, self.now());
        while !self.says_parked(victim) {
            self.wait(Duration::from_millis(200))?;
            if self.now() - began > STUCK_AFTER {
                self.report.problems.push(format!("differ of {}: nobody was told of it", victim + 1));
                return Ok(());
            }
        }
        watch.report.found_seconds = Some((self.now() - began).as_secs_f64());
        let others_know = |it: &Self| {
            let others = (0..it.regions.len()).filter(|index| *index != victim);
            others.filter_map(|index| it.regions.get(index)).all(|region| {
                let seen = region.ask(it.network, "/v1/regions").unwrap_or_default();
                let mut regions = seen["regions"].as_array().into_iter().flatten();
                regions.any(|row| row["region"] == name_of(victim) && row["replica"] == "different")
            })
        };
        while !others_know(self) {
            self.wait(Duration::from_millis(200))?;
            if self.now() - began > STUCK_AFTER {
                self.report
                    .problems
                    .push(format!("differ of {}: another region did not find it", victim + 1));
                return Ok(());
            }
        }
        // One region that is wrong stops no other, also when all have thought about it.
        self.wait(OTHERS_DECIDE_WITHIN)?;
        for index in (0..self.regions.len()).filter(|index| *index != victim) {
            if self.regions.len() > 2 && self.says_parked(index) {
                self.report.problems.push(format!(
                    "differ of {}: region {} is parked",
                    victim + 1,
                    index + 1
                ));
            }
        }
        let evidence = |root: &Path| TABLES.iter().any(|table| root.join(table).join("_quarantine").is_dir());
        let kept = self.region(victim).filter_map(|it| it.store.files()).all(evidence);
        if !kept {
            self.report.problems.push(format!("differ of {}: no evidence is kept", victim + 1));
        }
        self.restore(victim, watch.other)?;
        let began = self.now();
        // A node that has only just started may be no member of its cluster yet.
        while !self.ask_operator(victim, &["resume", "main"])?.status.success() || self.says_parked(victim) {
            self.wait(Duration::from_secs(1))?;
            if self.now() - began > STUCK_AFTER {
                self.report.problems.push(format!("differ of {}: it cannot be resumed", victim + 1));
                break;
            }
        }
        Ok(())
    }

    /// Whether a region says that it is parked because of a difference.
    fn says_parked(&self, index: usize) -> bool {
        let answer = self.regions.get(index).and_then(|region| region.ask(self.network, "/readyz"));
        answer.is_some_and(|answer| {
            let reasons = answer["reasons"].as_array().cloned().unwrap_or_default();
            let text = |reason: &serde_json::Value| reason["detail"].as_str().map(str::to_owned);
            reasons
                .iter()
                .filter(|reason| reason["reason"] == "parked")
                .filter_map(text)
                .any(|why| why.contains("differ"))
        })
    }

    /// Sets a region's dataset aside, brings it back from another one, and starts the region.
    fn restore(&mut self, victim: usize, other: usize) -> Result<(), ExperimentError> {
        self.region(victim).try_for_each(|region| {
            region.kill()?;
            region.set_store_aside()
        })?;
        self.start_store(victim)?;
        let from = self.regions.get(other).map(|region| region.store.dataset()).unwrap_or_default();
        let to = self.regions.get(victim).map(|region| region.store.dataset()).unwrap_or_default();
        let orrery = &self.settings.workload.orrery;
        let mut command = orrery.command(["restore", "--from", &from, "--dataset", &to]);
        self.region(victim).for_each(|region| region.store.grant(&mut command));
        let ended = self.finish(Running::start(self.network.within(victim, &command))?)?;
        if !ended.status.success() {
            self.report.problems.push(format!("orrery restore: {}\n{}", ended.status, ended.output));
        }
        self.start_nodes(victim)?;
        let began = self.now();
        while self.regions.get(victim).is_some_and(|region| region.ask(self.network, "/readyz").is_none()) {
            self.pause()?;
            if self.now() - began > STUCK_AFTER {
                return Err(self.failed("a restored region does not come up"));
            }
        }
        Ok(())
    }
}

/// A slot that says something else.
fn changed(slot: &str) -> Option<String> {
    let (before, rest) = slot.split_once(CHANGED)?;
    let digit = if rest.starts_with('0') { '1' } else { '0' };
    Some(format!("{before}{CHANGED}{digit}{}", rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_digit_of_a_slot_is_changed() {
        let check = |slot: &str, expect: Option<&str>| assert_eq!(changed(slot).as_deref(), expect);
        check(r#"{"rows":3,"last_ledger_hash":"0a"}"#, Some(r#"{"rows":3,"last_ledger_hash":"1a"}"#));
        check(r#"{"last_ledger_hash":"7a"}"#, Some(r#"{"last_ledger_hash":"0a"}"#));
        check(r#"{"protocol":{}}"#, None);
    }
}
