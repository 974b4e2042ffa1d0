//! A row file gives what was written, and what was damaged is an error.

use std::fs;
use std::io;
use std::sync::Arc;

use orrery_schemas::{
    Address, Asset, CloseTime, ContractId, Hash32, Kind, LedgerSequence, OpType, ToMuxed, Toid, TokenTransfer,
};
use proptest::prelude::*;

use super::row_file::RowFile;
use super::walk::{Walk, Wanted};
use super::writer::RowFileWriter;
use crate::dataset::scan::{Order, Place, Span};

fn key() -> impl Strategy<Value = [u8; 32]> {
    // Few, so that they repeat.
    (0_u8..6).prop_map(|byte| [byte; 32])
}

fn address() -> impl Strategy<Value = Address> {
    (key(), any::<u64>(), 0..6).prop_map(|(key, id, kind)| match kind {
        0 => Address::Account(key),
        1 => Address::Contract(key),
        2 => Address::MuxedAccount { account: key, id },
        3 => Address::ClaimableBalance(key),
        4 => Address::LiquidityPool(key),
        _ => Address::MuxedContract { contract: key, id },
    })
}

fn asset() -> impl Strategy<Value = Asset> {
    prop_oneof![
        Just(Asset::Native),
        (any::<[u8; 4]>(), key()).prop_map(|(code, issuer)| Asset::Credit4 { code, issuer }),
        (any::<[u8; 12]>(), key()).prop_map(|(code, issuer)| Asset::Credit12 { code, issuer }),
    ]
}

fn to_muxed() -> impl Strategy<Value = ToMuxed> {
    prop_oneof![
        any::<u64>().prop_map(ToMuxed::Id),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(ToMuxed::Text),
        any::<[u8; 32]>().prop_map(|hash| ToMuxed::Hash(Hash32(hash))),
    ]
}

prop_compose! {
    fn row()(
        (kind, op, tx, op_index) in (0_usize..5, proptest::option::of(0..OpType::ALL.len()), 1_u32..1000, proptest::option::of(1_u32..100)),
        (contract, asset, hash) in (key(), proptest::option::of(asset()), any::<[u8; 32]>()),
        (from, to) in (proptest::option::of(address()), proptest::option::of(address())),
        (amount, to_muxed, tx_successful) in (any::<i128>(), proptest::option::of(to_muxed()), any::<bool>()),
    ) -> TokenTransfer {
        let ledger_sequence = LedgerSequence(7);
        TokenTransfer {
            ledger_sequence,
            closed_at: CloseTime::from_unix_seconds(1_700_000_000).unwrap(),
            tx_hash: Hash32(hash),
            tx_index: tx,
            op_index,
            event_index: tx / 2,
            ledger_event_index: 0,
            toid: Toid::new(ledger_sequence, tx, op_index).unwrap(),
            kind: Kind::ALL[kind],
            op_type: op.map(|op| OpType::ALL[op]),
            contract_id: ContractId(contract),
            asset,
            from,
            to,
            amount,
            to_muxed,
            tx_successful,
        }
    }
}

/// Rows with places of their own, eleven a ledger.
fn rows() -> impl Strategy<Value = Vec<TokenTransfer>> {
    proptest::collection::vec(row(), 0..300).prop_map(|mut rows| {
        for (row, number) in rows.iter_mut().zip(0..) {
            row.ledger_sequence = LedgerSequence(100 + number / 11);
            row.ledger_event_index = number % 11;
            row.toid = Toid::new(row.ledger_sequence, row.tx_index, row.op_index).unwrap();
        }
        rows
    })
}

fn walked(file: &Arc<RowFile>, accounts: Vec<Address>, order: Order) -> io::Result<Vec<TokenTransfer>> {
    let wanted = Wanted { accounts, span: Span::ALL, order };
    let mut walk = Walk::new(wanted, [(Arc::clone(file), Place::start_of(LedgerSequence(0)))].into());
    let mut events = Vec::new();
    while !walk.is_over() {
        events.extend(walk.step(13)?.events);
    }
    Ok(events)
}

fn written(path: &std::path::Path, rows: &[TokenTransfer]) {
    let mut writer = RowFileWriter::new(path.parent().unwrap(), 64).unwrap();
    rows.chunks(50).for_each(|rows| writer.append(rows).unwrap());
    writer.finish(path).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_row_file_gives_what_was_written(rows in rows(), others in proptest::collection::vec(address(), 1..4)) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.rows");
        written(&path, &rows);
        let file = Arc::new(RowFile::open(&path).unwrap());
        prop_assert_eq!(file.parts.len(), rows.len().div_ceil(64));
        prop_assert!(walked(&file, Vec::new(), Order::Ascending).unwrap() == rows);
        for accounts in [rows.iter().find_map(|row| row.from).into_iter().collect(), others] {
            let is_wanted = |row: &&TokenTransfer| {
                accounts.is_empty() || [row.from, row.to].iter().flatten().any(|one| accounts.contains(one))
            };
            let mut expected: Vec<_> = rows.iter().filter(is_wanted).cloned().collect();
            prop_assert!(walked(&file, accounts.clone(), Order::Ascending).unwrap() == expected);
            expected.reverse();
            prop_assert!(walked(&file, accounts.clone(), Order::Descending).unwrap() == expected);
        }
    }

    #[test]
    fn a_byte_that_was_changed_is_noticed(rows in rows(), at in any::<prop::sample::Index>(), by in 1_u8..) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.rows");
        written(&path, &rows);
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        fs::write(&path, bytes).unwrap();
        // A record is checked when it is read, all else when the file is found.
        let read = RowFile::open(&path).and_then(|file| walked(&Arc::new(file), Vec::new(), Order::Ascending));
        prop_assert!(read.is_err(), "byte {}", at);
    }
}
