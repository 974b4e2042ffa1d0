//! Reads a table's log as text and checks that it is a chain: slots without a gap, each with the hash of the one before,
//! ledgers that follow each other, files that are there.

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// What a table's log says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableFacts {
    /// Ledgers of each slot.
    pub slots: Vec<RangeInclusive<u32>>,
    /// Rows of all slots, summed up here.
    pub rows: u64,
    /// Digest of all rows, as the last slot says.
    pub total_digest: String,
    /// Contradictions.
    pub problems: Vec<String>,
}

impl TableFacts {
    /// How many of these ledgers have no slot.
    pub fn lost(&self, (first, last): (u32, u32)) -> u64 {
        let covered = |ledger: &u32| !self.slots.iter().any(|slot| slot.contains(ledger));
        (first..=last).filter(covered).count() as u64
    }

    /// How many ledgers stand in a slot again.
    pub fn duplicated(&self) -> u64 {
        let mut sorted: Vec<_> = self.slots.iter().map(|slot| (*slot.start(), *slot.end())).collect();
        sorted.sort_unstable();
        let (mut next, mut again) = (0_u64, 0);
        for (start, end) in sorted {
            let (start, end) = (u64::from(start), u64::from(end) + 1);
            again += next.min(end).saturating_sub(start);
            next = next.max(end);
        }
        again
    }
}

/// A line of a slot.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    commit_info: Option<CommitInfo>,
    add: Option<Add>,
}

#[derive(Deserialize)]
struct CommitInfo {
    orrery: Option<Commit>,
}

#[derive(Deserialize)]
struct Commit {
    prev: Option<String>,
    first_ledger: Option<u32>,
    last_ledger: Option<u32>,
    rows: Option<u64>,
    total_rows: Option<u64>,
    total_digest: Option<String>,
}

#[derive(Deserialize)]
struct Add {
    path: String,
    size: u64,
}

/// Reads the log of the table at `root` from slot 0 to the first that is not there.
pub fn read(root: &Path) -> TableFacts {
    let mut facts = TableFacts::default();
    let mut previous: Option<String> = None;
    for number in 0_u64.. {
        let name = format!("{number:020}.json");
        let Ok(bytes) = fs::read(root.join("_delta_log").join(&name)) else { break };
        if let Some(previous) = &previous
            && let Err(problem) = follow(root, &bytes, previous, &mut facts)
        {
            facts.problems.push(format!("{}: {problem}", root.join("_delta_log").join(&name).display()));
        }
        previous = Some(hex(&Sha256::digest(&bytes)));
    }
    if previous.is_none() {
        facts.problems.push(format!("{}: there is no log", root.display()));
    }
    facts
}

fn follow(root: &Path, bytes: &[u8], previous: &str, facts: &mut TableFacts) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let lines: Vec<Line> = text
        .lines()
        .map(|line| serde_json::from_str(line).map_err(|error| format!("{line:?}: {error}")))
        .collect::<Result<_, _>>()?;
    let commit = lines.iter().find_map(|line| line.commit_info.as_ref()?.orrery.as_ref());
    let Some(commit) = commit else { return Err("it has no commitInfo of ours".to_owned()) };
    let (Some(first), Some(last)) = (commit.first_ledger, commit.last_ledger) else {
        return Err("it has no ledgers".to_owned());
    };
    let due = facts.slots.last().map_or(first, |slot| slot.end().saturating_add(1));
    facts.slots.push(first..=last);
    facts.rows += commit.rows.unwrap_or(0);
    facts.total_digest = commit.total_digest.clone().unwrap_or_default();
    if commit.prev.as_deref() != Some(previous) {
        return Err(format!("the slot before has the hash {previous}, this one says {:?}", commit.prev));
    }
    if first != due || last < first {
        return Err(format!("ledgers {first}..={last} where ledger {due} is due"));
    }
    if commit.total_rows != Some(facts.rows) {
        return Err(format!("it counts {:?} rows in all, the slots have {}", commit.total_rows, facts.rows));
    }
    for Add { path, size } in lines.iter().filter_map(|line| line.add.as_ref()) {
        let found = fs::metadata(root.join(path)).map(|file| file.len());
        if !matches!(found, Ok(found) if found == *size) {
            return Err(format!("its file {path} should have {size} bytes, but has {found:?}"));
        }
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A table with a slot of 10 rows for each of these ranges, after slot 0.
    pub(crate) fn write_table(root: &Path, slots: &[(u32, u32)]) {
        let log = root.join("_delta_log");
        let _ = fs::remove_dir_all(root);
        fs::create_dir_all(&log).unwrap();
        fs::create_dir_all(root.join("data")).unwrap();
        let mut bytes = "{\"protocol\":{}}\n".to_owned();
        fs::write(log.join(format!("{:020}.json", 0)), &bytes).unwrap();
        for (index, (first, last)) in slots.iter().enumerate() {
            let prev = hex(&Sha256::digest(&bytes));
            let total = 10 * (index + 1);
            bytes = format!(
                "{{\"commitInfo\":{{\"orrery\":{{\"prev\":\"{prev}\",\"first_ledger\":{first},\"last_ledger\":{last},\
                 \"rows\":10,\"total_rows\":{total},\"total_digest\":\"d{total}\"}}}}}}\n\
                 {{\"add\":{{\"path\":\"data/{first}-{last}.parquet\",\"size\":4}}}}\n"
            );
            fs::write(log.join(format!("{:020}.json", index + 1)), &bytes).unwrap();
            fs::write(root.join(format!("data/{first}-{last}.parquet")), "rows").unwrap();
        }
    }

    #[test]
    fn a_sound_chain_has_no_problem_and_a_broken_one_is_told() {
        let check = |slots: &[(u32, u32)], change: fn(&Path), expect: &str| {
            let home = tempfile::tempdir().unwrap();
            write_table(home.path(), slots);
            change(home.path());
            let facts = read(home.path());
            match expect {
                "" => assert_eq!(facts.problems, [""; 0]),
                expect => assert!(facts.problems.join("\n").contains(expect), "{expect}: {facts:?}"),
            }
        };
        let sound: &[(u32, u32)] = &[(2, 3), (4, 7), (8, 8)];
        check(sound, |_| (), "");
        check(&[(2, 3), (5, 7)], |_| (), "ledgers 5..=7 where ledger 4 is due");
        check(&[(2, 3), (3, 7)], |_| (), "ledgers 3..=7 where ledger 4 is due");
        check(sound, |root| fs::remove_file(root.join("data/4-7.parquet")).unwrap(), "should have 4 bytes");
        check(sound, |root| fs::write(root.join("data/4-7.parquet"), "").unwrap(), "should have 4 bytes");
        check(sound, |root| fs::remove_dir_all(root.join("_delta_log")).unwrap(), "there is no log");
        let slot = |number: u32| format!("_delta_log/{number:020}.json");
        assert_eq!(slot(1), "_delta_log/00000000000000000001.json");
        check(
            sound,
            |root| fs::write(root.join("_delta_log/00000000000000000002.json"), "{}").unwrap(),
            "ours",
        );
        check(
            sound,
            |root| fs::write(root.join("_delta_log/00000000000000000002.json"), "{").unwrap(),
            "EOF",
        );
        check(
            sound,
            |root| {
                let slot = root.join("_delta_log/00000000000000000001.json");
                let text = fs::read_to_string(&slot).unwrap();
                fs::write(&slot, text + "\n").unwrap();
            },
            "the slot before has the hash",
        );
    }

    #[test]
    fn ledgers_are_counted_as_lost_and_duplicated() {
        let check = |slots: &[(u32, u32)], lost, duplicated| {
            let slots = slots.iter().map(|(first, last)| *first..=*last).collect();
            let facts = TableFacts { slots, ..TableFacts::default() };
            assert_eq!((facts.lost((2, 9)), facts.duplicated()), (lost, duplicated));
        };
        check(&[(2, 9)], 0, 0);
        check(&[(2, 4), (5, 9)], 0, 0);
        check(&[(2, 4), (6, 8)], 2, 0);
        check(&[(2, 6), (4, 9)], 0, 3);
        check(&[(2, 4), (2, 4), (2, 4)], 5, 6);
        check(&[], 8, 0);
    }
}
