//! How each fault is prepared, done, kept on and ended.

use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::Experiment;
use super::plan::{Fault, Flapping};
use super::region::name_of;
use super::round::{STUCK_AFTER, Watch};
use crate::experiment::ExperimentError;
use crate::judges::dataset::TABLES;
use crate::process::{Ended, Running};

/// Longest packets that pass where long ones do not: less than any link has.
const LENGTH_MAX: u32 = 500;

/// Between two looks at who has traffic.
const LOOKS_EVERY: Duration = Duration::from_millis(500);

/// Between two looks at a store that is about to be written to.
const SPIN: Duration = Duration::from_micros(200);

/// Of a store that cannot be looked at, it is known only that it is written to after a slot's last ledger.
const WRITES_WITHIN: Duration = Duration::from_millis(300);

impl Experiment<'_> {
    /// What has to be so before the fault.
    pub(super) fn prepare(&mut self, fault: Fault, victim: usize) -> Result<(), ExperimentError> {
        match fault {
            Fault::Old => self.grow_old(victim),
            Fault::Pause => self.until_writing(victim),
            _ => Ok(()),
        }
    }

    pub(super) fn begin_fault(&mut self, watch: &mut Watch) -> Result<(), ExperimentError> {
        let (fault, victim) = (watch.round.fault, watch.victim);
        if fault.is_down() && fault != Fault::Pause {
            watch.report.only_there_ledgers = self.only_there(victim);
        }
        if fault.is_of_network() {
            watch.dropped = self.network.dropped();
        }
        // Asking took time, that is none of the readers'.
        watch.began = self.now();
        match fault {
            Fault::Cut => self.network.cut(victim),
            Fault::Mute => self.network.mute(victim),
            Fault::Deaf => self.network.deafen(victim),
            Fault::Split => self.split(victim),
            Fault::OneWay => self.network.drop_on_the_way(victim, watch.other),
            Fault::Flap => {
                watch.flapping = Some(Flapping::new(watch.round.seed, watch.began));
                self.split(victim)
            }
            Fault::DropLong => self.network.drop_long_both(victim, LENGTH_MAX),
            Fault::Parted => {
                self.split(victim)?;
                let target = name_of(watch.other);
                let words = ["failover", &target, "--forced"];
                watch.report.switched_seconds = Some(self.operate(watch.other, &words)?);
                Ok(())
            }
            Fault::Failover => {
                let target = name_of(watch.other);
                watch.report.switched_seconds = Some(self.operate(victim, &["failover", &target])?);
                Ok(())
            }
            Fault::Stop => {
                self.region(victim).for_each(|region| region.signal(Signal::SIGSTOP));
                Ok(())
            }
            Fault::Pause => {
                self.region(victim).for_each(|region| region.signal_all(Signal::SIGSTOP));
                watch.report.was_writing =
                    self.region(victim).filter_map(|it| it.store.files()).next().map(is_writing);
                Ok(())
            }
            Fault::Kill | Fault::Empty | Fault::Old | Fault::Differ => {
                self.region(victim).try_for_each(|region| region.kill())?;
                match fault {
                    Fault::Empty => self.region(victim).try_for_each(|region| region.empty()),
                    Fault::Old => self.region(victim).try_for_each(|region| region.put_old_disks()),
                    Fault::Differ => self.make_differ(watch),
                    _ => Ok(()),
                }
            }
        }
    }

    /// While the fault lasts.
    pub(super) fn keep_on(&mut self, watch: &mut Watch) -> Result<(), ExperimentError> {
        let now = self.now();
        match watch.flapping.as_mut().and_then(|flapping| flapping.changes(now)) {
            Some(true) => self.split(watch.victim),
            Some(false) => self.network.heal(),
            None => Ok(()),
        }
    }

    pub(super) fn end_fault(&mut self, watch: &mut Watch) -> Result<(), ExperimentError> {
        let victim = watch.victim;
        if watch.round.fault.is_of_network() {
            watch.report.dropped_packets = Some(self.network.dropped().saturating_sub(watch.dropped));
        }
        match watch.round.fault {
            Fault::Empty if self.settings.copies(victim) => {
                self.bring_up(victim)?;
                self.begin_anew(victim)
            }
            Fault::Kill | Fault::Empty | Fault::Old => self.bring_up(victim),
            Fault::Differ => {
                self.bring_up(victim)?;
                self.mend(watch)
            }
            Fault::Stop | Fault::Pause => {
                self.region(victim).for_each(|region| region.signal_all(Signal::SIGCONT));
                Ok(())
            }
            Fault::Parted => {
                self.network.heal()?;
                self.await_traffic(watch.other)?;
                self.operate(watch.other, &["failover", "--automatic"]).map(drop)
            }
            fault if fault.is_of_network() => self.network.heal(),
            _ => self.operate(victim, &["failover", "--automatic"]).map(drop),
        }
    }

    /// Waits until this region has traffic and no other one has.
    fn await_traffic(&mut self, target: usize) -> Result<(), ExperimentError> {
        let began = self.now();
        let has = |this: &Self| {
            let all = this.regions.iter().map(|region| region.has_traffic(this.network)).enumerate();
            all.filter(|(_, has)| *has).map(|(index, _)| index).collect::<Vec<_>>()
        };
        while has(self) != [target] {
            if self.now() - began > STUCK_AFTER {
                let (name, found) = (name_of(target), has(self));
                self.report.problems.push(format!(
                    "traffic was moved to {name} while regions were parted; {} s later regions {found:?}, from 0, have it",
                    STUCK_AFTER.as_secs()
                ));
                return Ok(());
            }
            self.wait(LOOKS_EVERY)?;
        }
        Ok(())
    }

    /// A region that copies its ledgers one after another tells a reader of it alone, who has later ones, that its cursor is ahead:
    /// that reader has ended, and another one begins with the first ledger.
    fn begin_anew(&mut self, region: usize) -> Result<(), ExperimentError> {
        let servers = self.region(region).next().map(|region| region.servers()).unwrap_or_default();
        let reader = self.reader(format!("of {} anew", name_of(region)), &servers)?;
        if let Some(witness) = self.witnesses.get_mut(region) {
            *witness = reader;
        }
        Ok(())
    }

    /// Cuts a region off from the other ones, and from no reader.
    fn split(&self, victim: usize) -> Result<(), ExperimentError> {
        (0..self.regions.len()).filter(|other| *other != victim).try_for_each(|other| {
            self.network.drop_on_the_way(victim, other)?;
            self.network.drop_on_the_way(other, victim)
        })
    }

    /// The one region with this number.
    pub(super) fn region(&mut self, index: usize) -> impl Iterator<Item = &mut super::Region> {
        self.regions.iter_mut().skip(index).take(1)
    }

    /// Has an operator's command done in a region while ledgers go on; gives how long that took, in seconds.
    pub(super) fn operate(&mut self, region: usize, words: &[&str]) -> Result<f64, ExperimentError> {
        let began = self.now();
        let ended = self.ask_operator(region, words)?;
        if !ended.status.success() {
            let problem = format!("orrery {}: {}\n{}", words.join(" "), ended.status, ended.output);
            self.report.problems.push(problem);
        }
        Ok((self.now() - began).as_secs_f64())
    }

    /// The same, whatever comes of it.
    pub(super) fn ask_operator(&mut self, region: usize, words: &[&str]) -> Result<Ended, ExperimentError> {
        let (settings, network) = (self.settings, self.network);
        let command = self.region(region).next().map(|it| it.command(settings, network, words));
        let command = command.ok_or_else(|| self.failed("there is no such region"))?;
        self.finish(Running::start(command)?)
    }

    /// Waits for the end of a command while ledgers go on.
    pub(super) fn finish(&mut self, running: Running) -> Result<Ended, ExperimentError> {
        let began = self.now();
        while !running.ends_within(Duration::ZERO) && self.now() - began < STUCK_AFTER {
            self.pause()?;
        }
        running.finish(Duration::ZERO)
    }

    /// Copies the disks of a region, and lets it go on until these are old: by two slots at least.
    fn grow_old(&mut self, victim: usize) -> Result<(), ExperimentError> {
        self.region(victim).try_for_each(|region| {
            region.kill()?;
            region.copy_disks()
        })?;
        self.bring_up(victim)?;
        let until = self.lake.newest() + 2 * self.settings.workload.slot_ledgers + 1;
        let began = self.now();
        while self.lake.newest() < until || !self.has_caught_up(victim) {
            self.pause()?;
            if self.now() - began > STUCK_AFTER * 2 {
                self.report.problems.push(format!("old of {}: it did not go on before", victim + 1));
                break;
            }
        }
        Ok(())
    }

    /// Waits until a region is in the middle of a write, as far as can be seen.
    fn until_writing(&mut self, victim: usize) -> Result<(), ExperimentError> {
        let width = self.settings.workload.slot_ledgers;
        let began = self.now();
        let files = self.region(victim).filter_map(|region| region.store.files().map(Path::to_owned)).next();
        while self.now() - began < STUCK_AFTER && self.lake.goes_on() {
            let Some(files) = &files else {
                // Nobody can look into a server: any moment after the slot's last ledger.
                if (self.lake.newest() + 1).is_multiple_of(width) {
                    thread::park_timeout(WRITES_WITHIN);
                    return Ok(());
                }
                self.pause()?;
                continue;
            };
            if is_writing(files) {
                return Ok(());
            }
            // The slot is written some milliseconds after its last ledger closes, and takes as long.
            match (self.lake.newest() + 1).is_multiple_of(width) {
                true => {
                    let now = self.now();
                    self.lake.go_on(now)?;
                    self.read();
                    thread::park_timeout(SPIN);
                }
                false => self.pause()?,
            }
        }
        Ok(())
    }
}

/// Whether a file is there that no slot names yet, or one table has a slot more than the other.
fn is_writing(root: &Path) -> bool {
    let count = |folder: &str, extension: &str| {
        let entries = std::fs::read_dir(root.join(folder)).into_iter().flatten().filter_map(Result::ok);
        entries.filter(|entry| entry.path().extension().is_some_and(|found| found == extension)).count()
    };
    let counted = TABLES.map(|table| {
        let (log, data) = (format!("{table}/_delta_log"), format!("{table}/data"));
        (count(&log, "json"), count(&data, "parquet") + 1)
    });
    let [(slots, files), (others_slots, others_files)] = counted;
    slots != files || others_slots != others_files || slots != others_slots
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_without_its_slot_and_a_table_ahead_of_the_other_are_the_middle_of_a_write() {
        let home = tempfile::tempdir().unwrap();
        for table in TABLES {
            fs::create_dir_all(home.path().join(table).join("_delta_log")).unwrap();
            fs::create_dir_all(home.path().join(table).join("data")).unwrap();
            fs::write(home.path().join(table).join("_delta_log/0.json"), "").unwrap();
        }
        let put = |name: &str| fs::write(home.path().join(name), "").unwrap();
        assert!(!is_writing(home.path()));
        for (name, expect) in [
            ("ledgers/data/2-15.parquet", true),
            ("ledgers/_delta_log/1.json", true),
            ("token_transfers/data/2-15.parquet", true),
            ("token_transfers/_delta_log/1.json", false),
        ] {
            put(name);
            assert_eq!(is_writing(home.path()), expect, "{name}");
        }
    }
}
