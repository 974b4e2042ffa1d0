//! The runbooks of `ops/runbooks`, executed: every block of commands as it stands there, on small datasets that were damaged or
//! lost before. And the lifecycle rules of `ops/lifecycle`, held against what a dataset writes.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::process::{Home, assert_same, files};
use crate::recovery::{filled, flip, sound_files};
use crate::regions::change_hash;

const OPS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ops");

/// The blocks of a page that are marked `sh`.
fn blocks(page: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(OPS).join("runbooks").join(page)).unwrap();
    let (mut blocks, mut open) = (Vec::new(), None::<String>);
    for line in text.lines().map(str::trim) {
        match (&mut open, line) {
            (None, "```sh") => open = Some(String::new()),
            (Some(_), "```") => blocks.extend(open.take()),
            (Some(block), line) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, _) => {}
        }
    }
    assert!(open.is_none(), "{page}: a block has no end");
    blocks
}

/// Runs a page from its first block to its last.
fn follow(page: &str, home: &Home, count: usize) {
    let blocks = blocks(page);
    assert_eq!(blocks.len(), count, "{page}");
    let program = Path::new(env!("CARGO_BIN_EXE_orrery")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    for block in blocks {
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", &block]).current_dir(home.path("")).env("PATH", &path);
        for (name, place) in [("DATASET", "dataset"), ("BACKUP", "backup"), ("OTHER", "other")] {
            command.env(name, home.url(place));
        }
        command.env("SOURCE", "synthetic:?ledgers=200&density=sparse").env("TO", "79");
        command.env("DATA_DIR", home.path("node"));
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{page}:\n{block}{}", String::from_utf8_lossy(&said));
    }
}

fn run(home: &Home, arguments: &[&str]) {
    home.run(arguments).expect(0, "");
}

/// Ledgers up to 47 in the backup, up to 63 in the other region, and what all come to in the end.
fn regions() -> Home {
    let home = Home::new();
    filled(&home, "other", 47);
    run(&home, &["backup", "--dataset", &home.url("other"), "--to", &home.url("backup")]);
    filled(&home, "other", 63);
    run(&home, &["backup", "--dataset", &home.url("other"), "--to", &home.url("end")]);
    filled(&home, "end", 79);
    home
}

#[test]
fn the_runbook_for_corruption_mends_everything() {
    let home = regions();
    run(&home, &["restore", "--from", &home.url("other"), "--dataset", &home.url("dataset")]);
    let dataset = home.path("dataset");
    // In the backup too; after it, where the ledgers help; slots; and one that is gone.
    flip(&dataset, &["ledgers/data/16-31"]);
    flip(&dataset, &["token_transfers/data/48-63"]);
    flip(&dataset, &["ledgers/_delta_log/00000000000000000000.json"]);
    flip(&dataset, &["token_transfers/_delta_log/00000000000000000004.json"]);
    fs::remove_file(dataset.join("token_transfers/_delta_log/00000000000000000002.json")).unwrap();
    follow("corruption.md", &home, 4);
    assert_same(&sound_files(&dataset), &files(&home.path("other")));
    assert_same(&sound_files(&home.path("backup")), &files(&home.path("other")));
    let kept = files(&dataset).keys().filter(|name| name.contains("/damaged-")).count();
    assert_eq!(kept, 4, "what was damaged is kept");
}

#[test]
fn the_runbook_for_total_loss_brings_all_back() {
    let home = regions();
    // A node that remembers more than the backup has.
    let node = home.path("node").display().to_string();
    run(
        &home,
        &[
            "backfill",
            "--source",
            "synthetic:?ledgers=200&density=sparse",
            "--dataset",
            &home.url("dataset"),
            "--from",
            "genesis",
            "--to",
            "63",
            "--grid",
            "2:16",
            "--data-dir",
            &node,
        ],
    );
    fs::remove_dir_all(home.path("dataset")).unwrap();
    follow("total-loss.md", &home, 6);
    let end = files(&home.path("end"));
    for place in ["dataset", "backup", "dataset-anew"] {
        assert_same(&files(&home.path(place)), &end);
    }
    let slots = |place: &str| {
        files(&home.path(place)).keys().filter(|name| name.starts_with("ledgers/_delta_log/")).count()
    };
    assert_eq!((slots("dataset-at-ledger"), slots("dataset-at-slot")), (3, 3));
}

#[test]
fn the_runbook_for_the_loss_of_a_region_makes_it_equal_to_the_others() {
    let home = regions();
    // An old disk came back, not without a scratch.
    run(
        &home,
        &["restore", "--from", &home.url("other"), "--dataset", &home.url("dataset"), "--until-ledger", "31"],
    );
    flip(&home.path("dataset"), &["ledgers/data/2-15"]);
    follow("region-loss.md", &home, 5);
    assert_same(&sound_files(&home.path("dataset")), &files(&home.path("end")));
    assert_same(&files(&home.path("dataset-from-backup")), &files(&home.path("backup")));
}

#[test]
fn the_runbook_for_a_difference_brings_the_right_history_back() {
    let home = regions();
    let (source, grid) = ("synthetic:?ledgers=200&density=sparse", ["--from", "genesis", "--grid", "2:16"]);
    let (node, dataset) = (home.path("node").display().to_string(), home.url("dataset"));
    let words = ["backfill", "--source", source, "--dataset", &dataset, "--to", "63", "--data-dir", &node];
    run(&home, &[&words[..], &grid].concat());
    change_hash(&home.path("dataset").join("ledgers/_delta_log/00000000000000000004.json"));
    let wrong = files(&home.path("dataset"));
    run(&home, &["park", "--data-dir", &node]);
    follow("difference.md", &home, 3);
    assert_same(&files(&home.path("dataset-mended")), &files(&home.path("end")));
    assert_same(&files(&home.path("dataset")), &wrong);
}

#[test]
fn lifecycle_rules_move_data_files_and_evidence_and_never_delete() {
    let home = Home::new();
    filled(&home, "orrery", 31);
    for table in ["ledgers", "token_transfers"] {
        flip(&home.path("orrery"), &[table, "_delta_log/00000000000000000001.json"]);
    }
    run(&home, &["scrub", "--dataset", &home.url("orrery"), "--repair"]);
    let objects: Vec<_> =
        files(&home.path("orrery")).into_keys().map(|name| format!("orrery/{name}")).collect();
    for page in ["dataset.json", "backup.json"] {
        let text = fs::read_to_string(Path::new(OPS).join("lifecycle").join(page)).unwrap();
        let rules: Value = serde_json::from_str(&text).unwrap();
        let rules = rules["Rules"].as_array().unwrap();
        assert!(rules.len() >= 2 && !text.contains("\"Expiration\""), "{page}");
        let mut moved = Vec::new();
        for rule in rules {
            let prefix = rule["Filter"]["Prefix"].as_str().unwrap();
            let under: Vec<_> = objects.iter().filter(|name| name.starts_with(prefix)).collect();
            assert!(!under.is_empty(), "{page}: nothing is ever written under {prefix}");
            let classes = rule["Transitions"].as_array().unwrap();
            let answers = ["STANDARD_IA", "GLACIER_IR"];
            assert!(
                classes.iter().all(|class| answers.contains(&class["StorageClass"].as_str().unwrap())),
                "{page}"
            );
            assert_eq!(rule["Status"], "Enabled", "{page}");
            moved.extend(under);
        }
        let is_kept =
            |name: &String| ["/_delta_log/", "/_epochs/", "/_orrery/"].iter().any(|part| name.contains(part));
        assert!(!moved.iter().any(|name| is_kept(name)), "{page} moves what is read at every start");
        assert!(objects.iter().filter(|name| !is_kept(name)).all(|name| moved.contains(&name)), "{page}");
    }
}
