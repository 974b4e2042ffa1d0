//! The log of a table as it is in the end, for histories.

use std::fs;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::history::Op;

/// Where it is, in histories: there is one region.
const REGION: &str = "world";

/// Slots of the table at `root`, in order, and the objects that they name. What cannot be read is left out, which the judges
/// of the history see as a gap.
pub(super) fn slots(root: &Path, table: &str) -> Vec<Op> {
    let mut seen = Vec::new();
    for slot in 0_u64.. {
        let Ok(bytes) = fs::read(root.join("_delta_log").join(format!("{slot:020}.json"))) else { break };
        let lines = String::from_utf8_lossy(&bytes).into_owned();
        let lines: Vec<Value> = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let commit = lines.iter().map(|line| &line["commitInfo"]["orrery"]).find(|commit| commit.is_object());
        let number =
            |name: &str| commit.and_then(|it| it[name].as_u64()).and_then(|it| u32::try_from(it).ok());
        let text = |name: &str| commit.and_then(|it| it[name].as_str()).unwrap_or_default().to_owned();
        seen.push(Op::Slot {
            table: format!("{REGION}/{table}"),
            slot,
            ledgers: number("first_ledger").zip(number("last_ledger")),
            hash: hex(&bytes),
            prev: text("prev"),
            parent: text("parent_ledger_hash"),
            last_hash: text("last_ledger_hash"),
        });
        seen.extend(lines.iter().filter_map(|line| object(root, table, &line["add"])));
    }
    seen
}

/// A file that a slot adds, with the hash that it should have and the one that it has.
fn object(root: &Path, table: &str, add: &Value) -> Option<Op> {
    let name = add["path"].as_str()?;
    let expected = add["tags"]["orrery.sha256"].as_str()?.to_owned();
    let found = fs::read(root.join(name)).ok().map(|bytes| hex(&bytes));
    Some(Op::Object { region: REGION.to_owned(), path: format!("{table}/{name}"), expected, found })
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
