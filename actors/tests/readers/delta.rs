//! A dataset as other people's Delta readers see it, through `read_dataset.py`.

#[path = "python.rs"]
pub(crate) mod python;

use std::path::Path;
use std::process::Command;

use orrery_schemas::Ledger;

/// The interpreter, or `None` (after saying so) where it lacks the readers and they are not required.
pub(crate) fn python() -> Option<String> {
    python::python("deltalake, polars, duckdb_extensions")
}

/// Checks that all readers find what is in `expected`: `token_transfers.jsonl`, as the sink writes it, and
/// `ledgers.jsonl`.
pub(crate) fn check(python: &str, dataset: &Path, expected: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../actors/tests/readers/read_dataset.py");
    let output = Command::new(python).arg(script).arg(dataset).arg(expected).output().unwrap();
    python::check_agreement(&output, "agreed: deltalake, polars, duckdb");
}

/// A line of `ledgers.jsonl`.
pub(crate) fn ledger_json(ledger: &Ledger) -> serde_json::Value {
    serde_json::json!({
        "sequence": ledger.sequence.0,
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
