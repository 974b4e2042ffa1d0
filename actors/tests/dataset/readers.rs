//! The tables as other people's Delta readers see them, whatever their log is like.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use orrery_actors::dataset::Dataset;
use orrery_actors::sink::{self, FileColumn, Format, SinkSettings, Target};

use crate::delta;
use crate::made::{self, START, events, files, fill, ledger, settings};

fn check(python: &str, dataset: &Path, to: u32) {
    let expected = tempfile::tempdir().unwrap();
    let target = Target::File(expected.path().join("token_transfers.jsonl"));
    let mut sink = sink::open(SinkSettings {
        format: Format::Jsonl,
        target,
        file_column: FileColumn::Absent,
        network_passphrase: made::NETWORK.to_owned(),
    })
    .unwrap();
    let mut lines = String::new();
    for sequence in START..=to {
        sink.write("", &events(sequence)).unwrap();
        writeln!(lines, "{}", delta::ledger_json(&ledger(sequence))).unwrap();
    }
    sink.finish().unwrap();
    fs::write(expected.path().join("ledgers.jsonl"), lines).unwrap();
    delta::check(python, dataset, expected.path());
}

#[tokio::test]
async fn other_readers_see_the_same_rows_after_commits_checkpoints_compactions_and_epochs() {
    let Some(python) = delta::python() else { return };
    let home = tempfile::tempdir().unwrap();
    let mut dataset = Dataset::open(&files(home.path()), &settings(16, 4)).await.unwrap();
    // Slots alone, without a checkpoint.
    fill(&mut dataset, 47).await.unwrap();
    check(&python, home.path(), 47);
    // With a checkpoint, slots without rows, and a short slot behind.
    fill(&mut dataset, 330).await.unwrap();
    assert!(home.path().join("token_transfers/_delta_log/00000000000000000016.checkpoint.parquet").exists());
    check(&python, home.path(), 330);
    // With an epoch, which repeats the table's settings, and files that were replaced.
    for table in [&mut dataset.token_transfers, &mut dataset.ledgers] {
        table.announce_epoch(made::epoch(2, 1370, Some(8))).await.unwrap();
    }
    fill(&mut dataset, 1375).await.unwrap();
    for table in [&mut dataset.token_transfers, &mut dataset.ledgers] {
        assert_eq!(table.tip().epoch, 2);
        assert!(table.compact(128, 100).await.unwrap().windows >= 2);
    }
    check(&python, home.path(), 1375);
    // A checkpoint of all that.
    fill(&mut dataset, 1450).await.unwrap();
    check(&python, home.path(), 1450);
    // The checkpoint alone: no reader may need the slots before it.
    for table in [&dataset.token_transfers, &dataset.ledgers] {
        let log = home.path().join(table.kind().as_str()).join("_delta_log");
        let hint: serde_json::Value =
            serde_json::from_slice(&fs::read(log.join("_last_checkpoint")).unwrap()).unwrap();
        for slot in 0..hint["version"].as_u64().unwrap() {
            fs::remove_file(log.join(format!("{slot:020}.json"))).unwrap();
        }
    }
    check(&python, home.path(), 1450);
}
