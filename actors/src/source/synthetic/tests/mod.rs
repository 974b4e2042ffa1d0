//! What every synthetic ledger must fulfil, recomputed from its bytes.

mod deltas;
mod hashes;
mod kinds;
mod parts;
mod replay;

use stellar_xdr::{LedgerCloseMeta, Limits, ReadXdr, TransactionEventStage};

use super::*;
use parts::Parts;

fn ledgers(query: &str) -> SyntheticLedgers {
    SyntheticLedgers::new(&SyntheticSpec::from_query(query).unwrap())
}

/// Each combination of protocol and events with which the form of a ledger changes.
fn forms() -> Vec<String> {
    let protocols = PROTOCOL_MIN..=PROTOCOL_MAX;
    protocols
        .flat_map(|p| ["unified", "none"].map(|events| format!("protocol={p}&events={events}")))
        .collect()
}

#[test]
fn equal_specs_give_equal_bytes_and_other_seeds_give_others() {
    let bytes = |seed: u64| -> Vec<Vec<u8>> {
        ledgers(&format!("seed={seed}&ledgers=3")).map(|ledger| ledger.to_xdr()).collect()
    };
    let first = bytes(7);
    assert_eq!(first, bytes(7));
    for (one, other) in first.iter().zip(bytes(8)) {
        assert_ne!(*one, other);
    }
}

#[test]
fn bytes_of_a_spec_never_change() {
    let digest = |query: &str| {
        let bytes: Vec<u8> = ledgers(query).flat_map(|ledger| ledger.to_xdr()).collect();
        hex_text(xdr::sha256(&bytes))
    };
    // A change of these means that all stored results of earlier runs no longer belong to their specs.
    assert_eq!(
        digest("seed=1&ledgers=3&density=sparse"),
        "1f6f71ea223cda45479492511407eb43d5f5238f031da4fe0025bcc6ed435a12"
    );
    assert_eq!(
        digest("seed=1&ledgers=3&density=sparse&protocol=19&events=none"),
        "bfcfd8e859f1d6133c574db12337e5d6a82f01187a1f4a87ee90334c1fa7de1d"
    );
}

fn hex_text(bytes: [u8; 32]) -> String {
    orrery_schemas::Hash32(bytes).to_string()
}

#[test]
fn sequences_start_at_2_and_close_times_are_5_seconds_apart() {
    let ledgers: Vec<_> = ledgers("ledgers=5&density=sparse").collect();
    let facts: Vec<_> = ledgers.iter().map(|ledger| Parts::of(&ledger.meta)).collect();
    let sequences: Vec<_> = facts.iter().map(|parts| parts.header.header.ledger_seq).collect();
    assert_eq!(sequences, [2, 3, 4, 5, 6]);
    for pair in facts.windows(2) {
        let [first, second] = [&pair[0], &pair[1]].map(|parts| parts.header.header.scp_value.close_time.0);
        assert_eq!(second - first, 5);
    }
    assert_eq!(super::SyntheticLedgers::new(&SyntheticSpec::default()).len(), 1000);
}

#[test]
fn ledgers_read_back_from_their_xdr() {
    for form in forms() {
        for ledger in ledgers(&format!("ledgers=2&density=sparse&{form}")) {
            let read = LedgerCloseMeta::from_xdr(ledger.to_xdr(), Limits { depth: 500, len: 1 << 26 });
            assert_eq!(read.as_ref(), Ok(&ledger.meta), "{form}");
        }
    }
}

#[test]
fn versions_of_ledger_and_transaction_meta_are_those_of_the_protocol() {
    for form in forms() {
        let ledger = ledgers(&format!("ledgers=1&density=sparse&{form}")).next().unwrap();
        let parts = Parts::of(&ledger.meta);
        let unified = form.ends_with("unified");
        let (ledger_version, meta_version) = match parts.header.header.ledger_version {
            23.. => (2, 4),
            20.. => (1, if unified { 4 } else { 3 }),
            _ => (0, if unified { 4 } else { 2 }),
        };
        assert_eq!(parts.version, ledger_version, "{form}");
        for tx in &parts.transactions {
            assert_eq!(tx.meta_version, meta_version, "{form}");
            let refund_stage = if ledger_version == 2 {
                TransactionEventStage::AfterAllTxs
            } else {
                TransactionEventStage::AfterTx
            };
            assert!(tx.refund_stages.iter().all(|&stage| stage == refund_stage), "{form}");
        }
    }
}

#[test]
fn ledgers_without_unified_events_are_else_the_same() {
    for protocol in [19, 22, 26] {
        let form = |events| ledgers(&format!("ledgers=4&protocol={protocol}&events={events}"));
        for (with, without) in form("unified").zip(form("none")) {
            assert_eq!(with.expected, without.expected, "protocol {protocol}");
            let (with, without) = (Parts::of(&with.meta), Parts::of(&without.meta));
            assert_eq!(with.header, without.header);
            for (with, without) in with.transactions.iter().zip(&without.transactions) {
                assert_eq!(with.result, without.result);
                assert_eq!(with.changes, without.changes);
                assert!(with.fee_events > 0 && without.fee_events == 0);
            }
        }
    }
}

#[test]
fn expected_rows_are_dense_and_in_canonical_order() {
    for form in forms() {
        for ledger in ledgers(&format!("ledgers=1&{form}")) {
            for (position, row) in ledger.expected.iter().enumerate() {
                assert_eq!(row.ledger_event_index as usize, position, "{form}");
            }
            let mut ids: Vec<_> = ledger.expected.iter().map(|row| row.event_id()).collect();
            ids.sort();
            ids.dedup();
            assert_eq!(ids.len(), ledger.expected.len(), "{form}: an event id occurs twice");
        }
    }
}

/// 880 token-transfer events, 705 operations and 311 transactions: the means of 1,000 pubnet ledgers of 2026.
#[test]
fn density_pubnet_has_the_means_of_pubnet() {
    let (mut transactions, mut operations, mut events, mut bytes) = (0, 0, 0, 0);
    let count = 200;
    for ledger in ledgers(&format!("ledgers={count}")) {
        let parts = Parts::of(&ledger.meta);
        transactions += parts.transactions.len();
        operations += parts.transactions.iter().map(|tx| tx.operations.len()).sum::<usize>();
        events += ledger.expected.len();
        bytes += ledger.to_xdr().len();
    }
    let within = |name, sum: usize, mean: usize| {
        let sum_wanted = mean * count;
        println!("{name}: {}.{:02} a ledger", sum / count, sum % count * 100 / count);
        assert!(sum.abs_diff(sum_wanted) * 20 <= sum_wanted, "{name}: {} a ledger, not {mean}", sum / count);
    };
    println!("bytes: {} a ledger", bytes / count);
    within("transactions", transactions, 311);
    within("operations", operations, 705);
    within("events", events, 880);
    assert!((700_000..1_700_000).contains(&(bytes / count)), "{} bytes a ledger", bytes / count);
}

#[test]
fn densities_have_the_promised_numbers_of_transactions() {
    for (density, allowed) in [("sparse", 3..=7), ("dense", 950..=1050), ("pubnet", 281..=341)] {
        for ledger in ledgers(&format!("ledgers=4&density={density}")) {
            let count = Parts::of(&ledger.meta).transactions.len();
            assert!(allowed.contains(&count), "{density}: {count}");
        }
    }
}
