//! Compares the dataset of a disturbed node with that of an undisturbed one: every object, byte for byte, and then what
//! the logs say. It reads files and nothing else, with none of the code that wrote them.
//!
//! `_orrery/` is no part of the comparison: the self-test's object is there, and temporary parts. Of those none may be
//! left when a node has ended well.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::log::{self, TableFacts};
use crate::experiment::ExperimentError;

/// Where a node keeps what is no part of the dataset.
const OWN: &str = "_orrery";

/// Ends of the names of checkpoints of a log.
const CHECKPOINT: &str = ".checkpoint.parquet";

/// Where the newest is named.
const HINT: &str = "_last_checkpoint";

/// Names of differing objects in a report; their number is complete.
const NAMED_MAX: usize = 10;

/// What makes opening a log faster and can be made from it again: checkpoints, and the name of the newest. One writer makes
/// them at fixed slots; of several, each may make some where it comes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerators {
    /// There are those of an undisturbed dataset, and no others.
    Exact,
    /// Those that both datasets have are equal, and the name is that of one which is there.
    ThatBothHave,
}

/// Both tables.
pub(crate) const TABLES: [&str; 2] = ["token_transfers", "ledgers"];

/// What is stored, by name: size and SHA-256.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    files: BTreeMap<String, (u64, [u8; 32])>,
    /// Temporary parts.
    pub parts: Vec<String>,
}

impl Objects {
    /// Reads all of a dataset.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub fn read(root: &Path) -> Result<Self, ExperimentError> {
        let mut objects = Self::default();
        objects.walk(root, "").map_err(ExperimentError::io("read", root))?;
        Ok(objects)
    }

    fn walk(&mut self, folder: &Path, name: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = match name {
                "" => entry.file_name().to_string_lossy().into_owned(),
                above => format!("{above}/{}", entry.file_name().to_string_lossy()),
            };
            if entry.file_type()?.is_dir() {
                self.walk(&entry.path(), &name)?;
            } else if name.starts_with(OWN) {
                self.parts.extend(Some(name).filter(|name| name.starts_with("_orrery/parts/")));
            } else {
                let mut hash = Sha256::new();
                let bytes = io::copy(&mut File::open(entry.path())?, &mut hash)?;
                self.files.insert(name, (bytes, hash.finalize().into()));
            }
        }
        Ok(())
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.files.len()
    }

    /// Bytes of all.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|(bytes, _)| bytes).sum()
    }
}

/// How a disturbed dataset differs from the undisturbed one. All zero and empty: not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Objects of the undisturbed dataset.
    pub objects: usize,
    /// Bytes of these.
    pub bytes: u64,
    /// Rows of both tables together, as the undisturbed log counts them.
    pub rows: u64,
    /// Objects that only the undisturbed dataset has.
    pub objects_missing: usize,
    /// Objects that only the disturbed dataset has.
    pub objects_extra: usize,
    /// Objects with other bytes.
    pub objects_different: usize,
    /// Ledgers without a slot, of both tables.
    pub ledgers_lost: u64,
    /// Ledgers with a second slot, of both tables.
    pub ledgers_duplicated: u64,
    /// Rows less than there should be.
    pub rows_lost: u64,
    /// Rows more than there should be.
    pub rows_duplicated: u64,
    /// Temporary files that nobody removed.
    pub parts_left: usize,
    /// What is wrong, in words; not all of it if it is much.
    pub problems: Vec<String>,
}

impl Comparison {
    /// Whether nothing differs.
    pub fn is_equal(&self) -> bool {
        self.problems.is_empty()
    }
}

/// What is expected: an undisturbed dataset, which must itself be sound.
#[derive(Clone, Debug)]
pub struct Expected {
    objects: Objects,
    tables: Vec<TableFacts>,
}

impl Expected {
    /// Reads the undisturbed dataset of these ledgers.
    ///
    /// # Errors
    ///
    /// It is not what it should be, so that nothing can be compared with it.
    pub fn read(root: &Path, ledgers: (u32, u32)) -> Result<Self, ExperimentError> {
        let objects = Objects::read(root)?;
        let mut tables = Vec::new();
        for table in TABLES {
            let facts = log::read(&root.join(table));
            let problem = facts.problems.first().cloned();
            let problem = problem.or((facts.lost(ledgers) > 0).then(|| "ledgers are missing".to_owned()));
            if let Some(problem) = problem {
                let step = "the undisturbed dataset".to_owned();
                return Err(ExperimentError::Undisturbed { step, problem, output: String::new() });
            }
            tables.push(facts);
        }
        Ok(Self { objects, tables })
    }

    /// Compares the dataset at `root`.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub fn compare(
        &self,
        root: &Path,
        ledgers: (u32, u32),
        accelerators: Accelerators,
    ) -> Result<Comparison, ExperimentError> {
        let mut found = Objects::read(root)?;
        let stray = match accelerators {
            Accelerators::Exact => Vec::new(),
            Accelerators::ThatBothHave => self.align_accelerators(root, &mut found)?,
        };
        let mut comparison = Comparison {
            objects: self.objects.count(),
            bytes: self.objects.bytes(),
            rows: self.tables.iter().map(|table| table.rows).sum(),
            parts_left: found.parts.len(),
            problems: stray,
            ..Comparison::default()
        };
        self.compare_objects(&found, &mut comparison);
        for (table, expected) in TABLES.into_iter().zip(&self.tables) {
            let facts = log::read(&root.join(table));
            comparison.ledgers_lost += facts.lost(ledgers);
            comparison.ledgers_duplicated += facts.duplicated();
            comparison.rows_lost += expected.rows.saturating_sub(facts.rows);
            comparison.rows_duplicated += facts.rows.saturating_sub(expected.rows);
            if (facts.rows, &facts.total_digest) != (expected.rows, &expected.total_digest) {
                comparison.problems.push(format!(
                    "{table}: {} rows with digest {}, expected {} with {}",
                    facts.rows, facts.total_digest, expected.rows, expected.total_digest
                ));
            }
            if facts.lost(ledgers) + facts.duplicated() > 0 {
                let (lost, duplicated) = (facts.lost(ledgers), facts.duplicated());
                comparison.problems.push(format!("{table}: {lost} ledgers lost, {duplicated} duplicated"));
            }
            comparison.problems.extend(facts.problems.into_iter().take(NAMED_MAX));
        }
        Ok(comparison)
    }

    /// What no interruption may leave: objects with other bytes than they will have, or that will not be there.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub fn torn(&self, root: &Path) -> Result<Vec<String>, ExperimentError> {
        if !root.is_dir() {
            return Ok(Vec::new());
        }
        let found = Objects::read(root)?;
        let is_torn =
            |(name, found): &(&String, &(u64, [u8; 32]))| self.objects.files.get(*name) != Some(*found);
        let torn = found.files.iter().filter(is_torn);
        Ok(torn.map(|(name, (bytes, _))| format!("{name}: torn or foreign, {bytes} bytes")).collect())
    }

    /// Makes the accelerators of `found` those that are expected, as far as they are only in one of both. Gives names that
    /// lead nowhere.
    fn align_accelerators(&self, root: &Path, found: &mut Objects) -> Result<Vec<String>, ExperimentError> {
        let mut stray = Vec::new();
        for name in found.files.keys().filter(|name| name.ends_with(HINT)) {
            let path = root.join(name);
            let text = fs::read(&path).map_err(ExperimentError::io("read", &path))?;
            let hint: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
            let log = name.trim_end_matches(HINT);
            let checkpoint = hint["version"].as_u64().map(|slot| format!("{log}{slot:020}{CHECKPOINT}"));
            if !checkpoint.is_some_and(|checkpoint| found.files.contains_key(&checkpoint)) {
                stray.push(format!("{name}: the checkpoint that it names is not there"));
            }
        }
        found.files.retain(|name, _| {
            let is_extra = name.ends_with(CHECKPOINT) && !self.objects.files.contains_key(name);
            !is_extra && !name.ends_with(HINT)
        });
        for (name, expected) in &self.objects.files {
            if name.ends_with(CHECKPOINT) || name.ends_with(HINT) {
                found.files.entry(name.clone()).or_insert(*expected);
            }
        }
        Ok(stray)
    }

    fn compare_objects(&self, found: &Objects, comparison: &mut Comparison) {
        let mut problems = Vec::new();
        for (name, expected) in &self.objects.files {
            match found.files.get(name) {
                None => {
                    comparison.objects_missing += 1;
                    problems.push(format!("{name}: missing"));
                }
                Some(found) if found != expected => {
                    comparison.objects_different += 1;
                    problems.push(format!("{name}: {} bytes, expected {} other ones", found.0, expected.0));
                }
                Some(_) => {}
            }
        }
        for name in found.files.keys().filter(|name| !self.objects.files.contains_key(*name)) {
            comparison.objects_extra += 1;
            problems.push(format!("{name}: not expected"));
        }
        problems.extend(found.parts.iter().map(|part| format!("{part}: left behind")));
        problems.truncate(NAMED_MAX);
        comparison.problems.extend(problems);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEDGERS: (u32, u32) = (2, 5);

    /// A dataset of two slots in both tables, on which `change` is done.
    fn judged(change: impl FnOnce(&Path)) -> Comparison {
        judged_with(Accelerators::Exact, change)
    }

    fn judged_with(accelerators: Accelerators, change: impl FnOnce(&Path)) -> Comparison {
        let home = tempfile::tempdir().unwrap();
        let (expected, found) = (home.path().join("a"), home.path().join("b"));
        for root in [&expected, &found] {
            TABLES
                .into_iter()
                .for_each(|table| log::tests::write_table(&root.join(table), &[(2, 3), (4, 5)]));
            fs::create_dir_all(root.join("_orrery/parts")).unwrap();
            let log = root.join("ledgers/_delta_log");
            fs::write(log.join("00000000000000000002.checkpoint.parquet"), "two").unwrap();
            fs::write(log.join("_last_checkpoint"), "{\"version\":2}").unwrap();
            fs::write(root.join("_orrery/put-if-absent"), "x").unwrap();
        }
        change(&found);
        Expected::read(&expected, LEDGERS).unwrap().compare(&found, LEDGERS, accelerators).unwrap()
    }

    #[test]
    fn equal_datasets_are_equal_whatever_the_self_test_left() {
        let comparison = judged(|found| fs::remove_file(found.join("_orrery/put-if-absent")).unwrap());
        assert!(comparison.is_equal(), "{comparison:?}");
        assert_eq!((comparison.objects, comparison.rows), (12, 40));
    }

    #[test]
    fn several_writers_may_have_other_checkpoints_but_none_with_other_bytes() {
        fn checkpoint(found: &Path, slot: u64) -> std::path::PathBuf {
            found.join(format!("ledgers/_delta_log/{slot:020}.checkpoint.parquet"))
        }
        fn names(found: &Path, hint: &str) {
            fs::write(found.join("ledgers/_delta_log/_last_checkpoint"), hint).unwrap();
        }
        let check = |change: fn(&Path), expect: &str| {
            let strict = judged(change);
            assert!(!strict.is_equal(), "{strict:?}");
            let found = judged_with(Accelerators::ThatBothHave, change);
            assert!(found.problems.join("\n").contains(expect), "{expect}: {found:?}");
            assert_eq!(found.is_equal(), expect.is_empty(), "{found:?}");
        };
        check(|found| fs::write(checkpoint(found, 1), "one").unwrap(), "");
        check(
            |found| {
                fs::rename(checkpoint(found, 2), checkpoint(found, 1)).unwrap();
                names(found, "{\"version\":1}");
            },
            "",
        );
        check(|found| fs::write(checkpoint(found, 2), "other").unwrap(), "other ones");
        check(|found| names(found, "{\"version\":3}"), "the checkpoint that it names is not there");
        check(|found| names(found, "{"), "the checkpoint that it names is not there");
    }

    #[test]
    fn an_interrupted_dataset_lacks_objects_but_has_none_that_is_torn() {
        let home = tempfile::tempdir().unwrap();
        let (expected, found) = (home.path().join("a"), home.path().join("b"));
        TABLES
            .into_iter()
            .for_each(|table| log::tests::write_table(&expected.join(table), &[(2, 3), (4, 5)]));
        let expected = Expected::read(&expected, LEDGERS).unwrap();
        assert_eq!(expected.torn(&found).unwrap(), [""; 0]);
        log::tests::write_table(&found.join("ledgers"), &[(2, 3)]);
        assert_eq!(expected.torn(&found).unwrap(), [""; 0]);
        fs::write(found.join("ledgers/data/2-3.parquet"), "row").unwrap();
        assert_eq!(expected.torn(&found).unwrap(), ["ledgers/data/2-3.parquet: torn or foreign, 3 bytes"]);
    }

    #[test]
    fn every_kind_of_difference_is_found_and_counted() {
        fn slot(found: &Path) -> std::path::PathBuf {
            found.join("ledgers/_delta_log/00000000000000000002.json")
        }
        fn check(change: fn(&Path), counted: fn(&Comparison) -> u64, expect: u64, words: &str) {
            let comparison = judged(change);
            assert_eq!(counted(&comparison), expect, "{words}: {comparison:?}");
            assert!(comparison.problems.iter().any(|problem| problem.contains(words)), "{comparison:?}");
        }
        check(|found| fs::remove_file(slot(found)).unwrap(), |it| it.ledgers_lost, 2, "2 ledgers lost");
        check(|found| fs::remove_file(slot(found)).unwrap(), |it| it.rows_lost, 10, "10 rows");
        check(|found| fs::remove_file(slot(found)).unwrap(), |it| it.objects_missing as u64, 1, "missing");
        check(
            |found| log::tests::write_table(&found.join("ledgers"), &[(2, 3), (2, 5)]),
            |it| it.ledgers_duplicated,
            2,
            "2 duplicated",
        );
        check(
            |found| fs::write(found.join("ledgers/data/x"), "").unwrap(),
            |it| it.objects_extra as u64,
            1,
            "not expected",
        );
        check(
            |found| fs::write(found.join("ledgers/data/2-3.parquet"), "torn").unwrap(),
            |it| it.objects_different as u64,
            1,
            "other ones",
        );
        check(
            |found| fs::write(found.join("_orrery/parts/x.part"), "").unwrap(),
            |it| it.parts_left as u64,
            1,
            "left behind",
        );
    }
}
