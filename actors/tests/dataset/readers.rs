//! The tables as other people's Delta readers see them, through `tests/readers/read_dataset.py`.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use orrery_actors::dataset::{Dataset, Epoch};
use orrery_actors::sink::{self, FileColumn, Format, SinkSettings, Target};
use orrery_schemas::LedgerSequence;

use crate::made::{self, START, events, files, fill, ledger, settings};

/// The interpreter, or `None` (after saying so) where it lacks the readers and they are not required.
fn python() -> Option<String> {
    let python = env::var("ORRERY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let imports = Command::new(&python).args(["-c", "import deltalake, polars, duckdb_extensions"]).output();
    if imports.as_ref().is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    let required = env::var("ORRERY_REQUIRE_READERS").unwrap_or_default();
    assert_eq!(required, "", "{python} cannot import deltalake, polars, duckdb_extensions: {imports:?}");
    eprintln!("skipped: {python} has no deltalake, polars and duckdb; name one that has with ORRERY_PYTHON");
    None
}

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
        writeln!(lines, "{}", ledger_json(sequence)).unwrap();
    }
    sink.finish().unwrap();
    fs::write(expected.path().join("ledgers.jsonl"), lines).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/read_dataset.py");
    let output = Command::new(python).arg(script).arg(dataset).arg(expected.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.trim_end().ends_with("agreed: deltalake, polars, duckdb"), "{said}");
    eprintln!("{said}");
}

fn ledger_json(sequence: u32) -> serde_json::Value {
    let ledger = ledger(sequence);
    serde_json::json!({
        "sequence": sequence,
        "hash": ledger.hash.to_string(),
        "previous_hash": ledger.previous_hash.to_string(),
        "closed_at": ledger.closed_at.to_string(),
        "protocol_version": ledger.protocol_version,
        "tx_set_hash": ledger.tx_set_hash.to_string(),
        "tx_set_result_hash": ledger.tx_set_result_hash.to_string(),
        "tx_count": ledger.tx_count,
        "successful_tx_count": ledger.successful_tx_count,
        "failed_tx_count": ledger.failed_tx_count,
        "operation_count": ledger.operation_count,
        "event_count": ledger.event_count,
        "total_coins": ledger.total_coins,
        "fee_pool": ledger.fee_pool,
        "base_fee": ledger.base_fee,
        "base_reserve": ledger.base_reserve,
        "max_tx_set_size": ledger.max_tx_set_size,
        "row_digest": ledger.row_digest.to_string(),
    })
}

#[tokio::test]
async fn other_readers_see_the_same_rows_after_commits_checkpoints_compactions_and_epochs() {
    let Some(python) = python() else { return };
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
    let epoch = Epoch { epoch: 2, from_ledger: LedgerSequence(340), schema_version: 1, processor_version: 2 };
    for table in [&mut dataset.token_transfers, &mut dataset.ledgers] {
        table.begin_epoch(epoch, Some(8)).await.unwrap();
        assert!(table.compact(128, 10).await.unwrap().windows >= 2);
    }
    check(&python, home.path(), 330);
    // A checkpoint of all that.
    fill(&mut dataset, 420).await.unwrap();
    check(&python, home.path(), 420);
    // The checkpoint alone: no reader may need the slots before it.
    for table in [&dataset.token_transfers, &dataset.ledgers] {
        let log = home.path().join(table.kind().as_str()).join("_delta_log");
        let hint: serde_json::Value =
            serde_json::from_slice(&fs::read(log.join("_last_checkpoint")).unwrap()).unwrap();
        for slot in 0..hint["version"].as_u64().unwrap() {
            fs::remove_file(log.join(format!("{slot:020}.json"))).unwrap();
        }
    }
    check(&python, home.path(), 420);
}
