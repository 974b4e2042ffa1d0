//! The processor against the simulation that made the ledgers: rows, hashes and deltas, over protocols and modes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says why it fails")]

use std::collections::BTreeSet;

use orrery_actors::ledger::{Network, ParsedLedger, integrity};
use orrery_actors::processor::ttp::{Mode, check_deltas, derive};
use orrery_actors::source::synthetic::{NETWORK_PASSPHRASE, SyntheticLedgers, SyntheticSpec};
use orrery_schemas::{Kind, OpType};

/// Checks every ledger of a spec in the modes its meta allows; returns the operations that had events.
fn check(query: &str, modes: &[Mode]) -> BTreeSet<(Kind, Option<OpType>)> {
    let network = Network::new(NETWORK_PASSPHRASE);
    let spec = SyntheticSpec::from_query(query).unwrap();
    let mut last = None;
    let mut seen = BTreeSet::new();
    for ledger in SyntheticLedgers::new(&spec) {
        let xdr = ledger.to_xdr();
        let parsed = ParsedLedger::read(&network, &xdr).unwrap();
        let proof = integrity::check(&parsed);
        assert_eq!(proof.violations, [], "{query}");
        if let Some(last) = last.replace(proof.link) {
            assert_eq!(integrity::check_link(&last, &proof.link), [], "{query}");
        }
        for &mode in modes {
            let events = derive(&parsed, mode).unwrap_or_else(|error| panic!("{query} {mode:?}: {error}"));
            for (row, expected) in events.rows.iter().zip(&ledger.expected) {
                assert_eq!(row, expected, "{query} {mode:?}");
            }
            assert_eq!(events.rows.len(), ledger.expected.len(), "{query} {mode:?}");
            assert_eq!(check_deltas(&parsed, &events.rows).unwrap(), [], "{query} {mode:?}");
            seen.extend(events.rows.iter().map(|row| (row.kind, row.op_type)));
        }
    }
    seen
}

#[test]
fn rows_are_what_the_simulation_did_in_every_protocol() {
    for protocol in 5..=27 {
        check(
            &format!("seed={protocol}&ledgers=6&protocol={protocol}&events=none"),
            &[Mode::Auto, Mode::Derived],
        );
    }
}

#[test]
fn unified_and_derived_rows_are_equal_in_every_protocol() {
    for protocol in 5..=27 {
        let query = format!("seed={protocol}&ledgers=6&protocol={protocol}&events=unified");
        check(&query, &[Mode::Auto, Mode::Unified, Mode::Derived]);
    }
}

#[test]
fn every_operation_that_moves_tokens_occurs() {
    let seen = check("seed=3&ledgers=40&density=pubnet", &[Mode::Auto]);
    let operations: BTreeSet<_> = seen.iter().filter_map(|(_, op_type)| *op_type).collect();
    let kinds: BTreeSet<_> = seen.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds.len(), Kind::ALL.len());
    for op_type in OpType::ALL {
        let moves = !matches!(
            op_type,
            OpType::SetOptions
                | OpType::ChangeTrust
                | OpType::ManageData
                | OpType::BumpSequence
                | OpType::BeginSponsoringFutureReserves
                | OpType::EndSponsoringFutureReserves
                | OpType::RevokeSponsorship
                | OpType::ExtendFootprintTtl
                | OpType::RestoreFootprint
                | OpType::Inflation // it ended with protocol 12
        );
        assert_eq!(operations.contains(op_type), moves, "{op_type:?}");
    }
}
