//! Backup, restore, scrub and comparison by the binary: killed in the middle, against a real S3 server, and with real ledgers
//! that other people's readers read afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::delta;
use crate::fixtures::fixtures;
use crate::golden::ledger_lines;
use crate::process::{Home, assert_same, files};
use crate::seaweed::{KEYS, Server, weed};

/// Of a dataset that ends with a slot of the grid.
const GRID: [&str; 2] = ["--grid", "2:16"];

fn synthetic(ledgers: u32) -> String {
    format!("synthetic:?ledgers={ledgers}&density=sparse")
}

/// Synthetic ledgers up to `to` in a dataset; run again, it goes on.
pub(crate) fn filled(home: &Home, dataset: &str, to: u32) {
    let to = to.to_string();
    home.backfill(
        &synthetic(200),
        &home.url(dataset),
        &[&GRID[..], &["--from", "genesis", "--to", &to]].concat(),
    )
    .expect(0, "");
}

/// Flips a bit of the first file whose name has all these parts; gives its name.
pub(crate) fn flip(root: &Path, parts: &[&str]) -> String {
    let found = files(root);
    let mut names = found.iter().filter(|(name, _)| parts.iter().all(|part| name.contains(part)));
    let (name, bytes) = names.next().unwrap_or_else(|| panic!("no {parts:?} in {}", root.display()));
    let mut bytes = bytes.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(root.join(name), bytes).unwrap();
    name.clone()
}

/// All but what a repair keeps.
pub(crate) fn sound_files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = files(root);
    found.retain(|name, _| !name.contains("/damaged-"));
    found
}

/// Runs a command that copies, and kills it whenever the copy has grown, until it comes to its end. How often that was.
fn killed_until_done(home: &Home, arguments: &[&str], copy: &Path) -> u32 {
    let mut kills = 0;
    loop {
        let before = count(copy);
        let mut process = home.start_elsewhere(arguments, &[]);
        process.until_gone_or(|| count(copy) > before);
        process.kill();
        match process.end().0 {
            Some(0) => return kills,
            None => kills += 1,
            Some(code) => panic!("it ended with {code}: {}", process.log()),
        }
        // Whatever it was in the middle of: what is there is a dataset, or nothing yet.
        if TABLES.iter().all(|table| copy.join(table).join("_delta_log/00000000000000000000.json").exists()) {
            home.run(&["verify", "--dataset", &format!("file://{}", copy.display())]).expect(0, "");
        }
    }
}

const TABLES: [&str; 2] = ["token_transfers", "ledgers"];

/// Slots and files that a copy has so far.
fn count(copy: &Path) -> usize {
    let folders =
        TABLES.iter().flat_map(|table| ["_delta_log", "data"].map(|folder| copy.join(table).join(folder)));
    folders.filter_map(|folder: PathBuf| fs::read_dir(folder).ok()).map(Iterator::count).sum()
}

#[test]
fn backup_and_restore_that_are_killed_again_and_again_end_with_the_same_bytes() {
    let home = Home::new();
    filled(&home, "dataset", 161);
    let (dataset, backup, restored) = (home.url("dataset"), home.url("backup"), home.url("restored"));
    let slowly = ["--mib-per-second", "1", "--concurrency", "2"];
    // On a machine that is busy with other things a copy may come to its end before anybody has looked: once more then.
    for attempt in 0..20 {
        let _ = [fs::remove_dir_all(home.path("backup")), fs::remove_dir_all(home.path("restored"))];
        let kills = killed_until_done(
            &home,
            &[&["backup", "--dataset", &dataset, "--to", &backup][..], &slowly].concat(),
            &home.path("backup"),
        );
        assert_same(&files(&home.path("backup")), &files(&home.path("dataset")));
        let more = killed_until_done(
            &home,
            &[&["restore", "--from", &backup, "--dataset", &restored][..], &slowly].concat(),
            &home.path("restored"),
        );
        assert_same(&files(&home.path("restored")), &files(&home.path("dataset")));
        eprintln!("killed {kills} and {more} times");
        if kills > 0 && more > 0 {
            break;
        }
        assert!(attempt < 19, "no copy was ever killed");
    }
    // And a node goes on with it.
    filled(&home, "restored", 193);
    filled(&home, "dataset", 193);
    assert_same(&files(&home.path("restored")), &files(&home.path("dataset")));
}

#[test]
fn what_is_behind_other_or_damaged_is_told_by_exit_code_and_json() {
    let home = Home::new();
    filled(&home, "dataset", 47);
    let (dataset, backup) = (home.url("dataset"), home.url("backup"));
    let metrics = home.path("backup.prom").display().to_string();
    let backed_up = |expect: i32, says: &str| {
        home.run(&[
            "backup",
            "--dataset",
            &dataset,
            "--to",
            &backup,
            "--verify",
            "--metrics",
            &metrics,
            "--output",
            "json",
        ])
        .expect(expect, says)
    };
    let report = backed_up(0, "").json();
    assert_eq!(
        (&report[1]["table"], &report[1]["last_ledger"], &report[1]["slots_copied"]),
        (&json!("ledgers"), &json!(47), &json!(4))
    );
    let told = fs::read_to_string(&metrics).unwrap();
    assert!(told.contains("\norrery_backup_last_ledger{table=\"ledgers\"} 47\n"), "{told}");
    assert!(told.contains("\norrery_backup_last_closed_at_seconds{table=\"token_transfers\"} 1"), "{told}");

    let against = |one: &str, other: &str, code: i32, says: &str| -> Vec<Value> {
        let ended = home
            .run(&["verify", "--dataset", one, "--against", other, "--output", "json"])
            .expect(code, says);
        ended.json().as_array().unwrap().clone()
    };
    assert!(against(&dataset, &backup, 0, "").iter().all(|table| table["state"] == "equal"));
    filled(&home, "dataset", 63);
    let behind = against(&dataset, &backup, 75, "is behind, and the same as far as it goes");
    assert_eq!((&behind[0]["state"], &behind[0]["last_ledgers"]), (&json!("ahead"), &json!([63, 47])));
    assert_eq!(against(&backup, &dataset, 75, "")[0]["state"], "behind");
    against(&dataset, &home.url("nothing"), 1, "there is no table token_transfers");
    // Another network's ledgers in the same slots.
    home.backfill(
        "synthetic:?ledgers=200&density=sparse&seed=2",
        &home.url("other"),
        &[&GRID[..], &["--from", "genesis", "--to", "47"]].concat(),
    )
    .expect(0, "");
    let contradict = against(&dataset, &home.url("other"), 1, "contradict each other from slot 1 on");
    assert_eq!(
        (&contradict[0]["state"], &contradict[0]["first_slot_that_differs"]),
        (&json!("other rows"), &json!(1))
    );
    home.run(&["backup", "--dataset", &dataset, "--to", &home.url("other")])
        .expect(65, "are no copies of each other");
    home.run(&["restore", "--from", &backup, "--dataset", &dataset]).expect(65, "has fewer");
    home.run(&["backup", "--dataset", &dataset, "--to", &dataset]).expect(2, "no copy of itself");
    home.run(&["restore", "--from", &backup, "--dataset", &home.url("late"), "--until-ledger", "60"])
        .expect(1, "its log ends with ledger 47, before ledger 60");

    let damaged = flip(&home.path("dataset"), &["token_transfers/data/48-63"]);
    backed_up(65, "nothing damaged is copied");
    let scrubbed = |more: &[&str], code: i32| {
        let scrub = ["scrub", "--dataset", &dataset, "--output", "json"];
        home.run(&[&scrub[..], more].concat()).expect(code, "").json()
    };
    let report = scrubbed(&["--repair-from", &backup], 1);
    assert_eq!((&report["remaining"], &report["findings"][0]["state"]), (&json!(1), &json!("remains")));
    assert!(report["findings"][0]["path"].as_str().unwrap().ends_with(&damaged), "{report}");
    // A source with other ledgers is no help; its own one is.
    assert_eq!(scrubbed(&["--source", "synthetic:?ledgers=200&density=sparse&seed=2"], 1)["remaining"], 1);
    let report = scrubbed(&["--source", &synthetic(200)], 0);
    assert_eq!(
        (&report["repaired"], &report["findings"][0]["repaired_from"]),
        (&json!(1), &json!("the source's ledgers"))
    );
    assert!(Path::new(report["findings"][0]["kept"].as_str().unwrap()).is_file());
    assert_eq!(scrubbed(&[], 0)["findings"], json!([]));
    assert_eq!(backed_up(0, "").json()[0]["slots_copied"], 1);
    assert_same(&sound_files(&home.path("backup")), &sound_files(&home.path("dataset")));
    home.run(&["scrub", "--dataset", &home.url("nothing")]).expect(1, "no slot of the table is there");
}

#[test]
fn a_backup_in_a_bucket_comes_back_and_is_scrubbed_there() {
    let Some(weed) = weed() else { return };
    let server = Server::start(&weed);
    let home = Home::new();
    filled(&home, "dataset", 95);
    let (dataset, restored) = (home.url("dataset"), home.url("restored"));
    let bucket = format!("s3://lake/backup?endpoint=http://{}&region=us-east-1", server.s3);
    let run = |arguments: &[&str], code: i32, says: &str| home.run_with(arguments, &KEYS).expect(code, says);
    run(&["backup", "--dataset", &dataset, "--to", &bucket, "--verify"], 0, "");
    run(&["verify", "--dataset", &dataset, "--against", &bucket], 0, "");
    run(&["backup", "--dataset", &dataset, "--to", &bucket], 0, "slots copied      0");
    assert_same(&server.objects("backup"), &files(&home.path("dataset")));
    // Damage in the bucket, past S3, of each kind.
    let objects = server.objects("backup");
    let names: Vec<_> = [
        "ledgers/_delta_log/00000000000000000000.json",
        "token_transfers/_delta_log/00000000000000000003.json",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain(objects.keys().find(|name| name.contains("ledgers/data/32-47")).cloned())
    .collect();
    for name in &names {
        let mut bytes = objects[name].clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        server.store(&format!("backup/{name}"), &bytes);
    }
    run(&["scrub", "--dataset", &bucket], 1, "3 problems remain");
    run(&["scrub", "--dataset", &bucket, "--repair-from", &dataset], 0, "");
    let mut repaired = server.objects("backup");
    let kept: Vec<_> = repaired.keys().filter(|name| name.contains("/damaged-")).cloned().collect();
    assert_eq!(kept.len(), names.len());
    repaired.retain(|name, _| !kept.contains(name));
    assert_same(&repaired, &objects);
    run(&["restore", "--from", &bucket, "--dataset", &restored, "--until-ledger", "47", "--verify"], 0, "");
    run(&["restore", "--from", &bucket, "--dataset", &restored], 0, "");
    assert_same(&sound_files(&home.path("restored")), &files(&home.path("dataset")));
}

#[test]
fn a_restored_dataset_of_real_ledgers_is_read_by_other_readers() {
    let Some(fixtures) = fixtures() else { return };
    let home = Home::new();
    let lake = format!("file://{}", fixtures.join("lake/ledgers/pubnet").display());
    home.backfill(&lake, &home.url("dataset"), &["--grid", "2:4"]).expect(0, "complete");
    let (dataset, backup, restored) = (home.url("dataset"), home.url("backup"), home.url("restored"));
    home.run(&["compact", "--dataset", &dataset, "--ledgers-per-file", "8"]).expect(0, "");
    home.run(&["backup", "--dataset", &dataset, "--to", &backup, "--verify"]).expect(0, "");
    home.run(&["restore", "--from", &backup, "--dataset", &restored]).expect(0, "");
    assert_same(&files(&home.path("restored")), &files(&home.path("dataset")));
    // Damaged where it hurts, and made anew from the ledgers.
    let damaged = flip(&home.path("restored"), &["token_transfers/data/"]);
    home.run(&["scrub", "--dataset", &restored, "--source", &lake]).expect(0, &damaged);
    assert_same(&sound_files(&home.path("restored")), &files(&home.path("dataset")));
    let Some(python) = delta::python() else { return };
    fs::create_dir(home.path("expected")).unwrap();
    let events = home.run(&["events", &lake]).expect(0, "");
    fs::write(home.path("expected/token_transfers.jsonl"), events.stdout()).unwrap();
    fs::write(home.path("expected/ledgers.jsonl"), ledger_lines(&lake)).unwrap();
    for copy in ["backup", "restored"] {
        delta::check(&python, &home.path(copy), &home.path("expected"));
    }
}
