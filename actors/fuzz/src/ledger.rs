//! Bytes of one ledger: measured, parsed, proven, turned into rows and checked against its entry changes.

use std::io::Cursor;

use orrery_actors::ledger::cursor::{WalkError, WalkErrorKind};
use orrery_actors::ledger::{
    LedgerExtent, Network, ParseError, ParsedLedger, integrity, measure_ledger_close_meta, peek_sequence,
};
use orrery_actors::processor::ttp::{LedgerEvents, Mode, check_deltas, derive};
use orrery_actors::source::synthetic::NETWORK_PASSPHRASE;
use orrery_schemas::{Asset, LedgerSequence, RowDigest, TokenTransfer, ledgers_from_batch, ledgers_to_batch};
use stellar_xdr::{Error, LedgerCloseMeta, Limited, Limits, ReadXdr};

use super::{repair, rows};

/// Levels of nesting that `stellar-xdr` decodes on any stack; deeper input is decoded on a large one.
const DEPTH_HERE: u32 = 500;

/// More levels than `stellar-xdr` counts in anything that our walker accepts.
const DEPTH_MAX: u32 = 6_000;

/// Stack for [`DEPTH_MAX`] levels.
const DEEP_STACK_BYTES: usize = 128 << 20;

/// Checks `input` as it is, and again with the hashes of transactions put right: no fuzzer guesses a hash, and without
/// the right ones no transaction is processed.
pub fn check(input: &[u8]) {
    let network = Network::new(NETWORK_PASSPHRASE);
    let reference = reference(input, *network.id());
    check_extent(input, &reference);
    check_ledger(&network, input);
    if let Ok(Reference { repaired: Some(repaired), .. }) = reference {
        check_ledger(&network, &repaired);
    }
}

/// The walker and `stellar-xdr` agree on whether there is a ledger, where it ends and which it is.
fn check_extent(input: &[u8], reference: &Result<Reference, Error>) {
    let peeked = peek_sequence(input);
    match (measure_ledger_close_meta(input), reference) {
        (Ok(extent), Ok(reference)) => {
            assert_eq!(extent, reference.extent, "the walker and stellar-xdr differ");
            assert_eq!(peeked, Some(extent.sequence).filter(|sequence| sequence.0 != 0));
        }
        (Ok(extent), Err(error)) => {
            panic!("the walker finds {} bytes where stellar-xdr finds an error: {error}", extent.len)
        }
        // RFC 4506 has 0 and 1; stellar-xdr takes any other number for false.
        (Err(WalkError { kind: WalkErrorKind::UnknownVariant { of: "bool", .. }, .. }), _) => {}
        // The limit is ours.
        (Err(WalkError { kind: WalkErrorKind::TooDeep, .. }), _) => {}
        (Err(error), Ok(_)) => panic!("stellar-xdr accepts what the walker refuses: {error}"),
        (Err(error), Err(_)) => assert!(error.offset <= input.len(), "{error} of {}", input.len()),
    }
}

/// The ledger that an input begins with, by `stellar-xdr`.
struct Reference {
    extent: LedgerExtent,
    /// The ledger with its hashes put right, if it has transactions.
    repaired: Option<Vec<u8>>,
}

fn reference(input: &[u8], network_id: [u8; 32]) -> Result<Reference, Error> {
    let decode = |depth| {
        let limits = Limits { depth, len: input.len() };
        let mut reader = Limited::new(Cursor::new(input), limits);
        let meta = LedgerCloseMeta::read_xdr(&mut reader)?;
        let len = reader.inner.position() as usize;
        let extent = LedgerExtent { len, sequence: sequence(&meta) };
        Ok(Reference { extent, repaired: repair::hashes(meta, network_id) })
    };
    match decode(DEPTH_HERE) {
        Err(Error::DepthLimitExceeded) => std::thread::scope(|scope| {
            let builder = std::thread::Builder::new().stack_size(DEEP_STACK_BYTES);
            let thread = builder.spawn_scoped(scope, || decode(DEPTH_MAX)).expect("start a thread");
            thread.join().expect("stellar-xdr does not panic")
        }),
        decoded => decoded,
    }
}

fn sequence(meta: &LedgerCloseMeta) -> LedgerSequence {
    let header = match meta {
        LedgerCloseMeta::V0(meta) => &meta.ledger_header.header,
        LedgerCloseMeta::V1(meta) => &meta.ledger_header.header,
        LedgerCloseMeta::V2(meta) => &meta.ledger_header.header,
    };
    LedgerSequence(header.ledger_seq)
}

/// Everything that is done with the bytes of one ledger.
fn check_ledger(network: &Network, xdr: &[u8]) {
    let parsed = ParsedLedger::read(network, xdr);
    match (measure_ledger_close_meta(xdr), &parsed) {
        (Ok(extent), Ok(_)) => assert_eq!(extent.len, xdr.len()),
        // Parts are counted when they are read, not when they are measured.
        (Ok(_), Err(ParseError::Structure(WalkError { kind: WalkErrorKind::TooLong { .. }, .. }))) => {}
        (Ok(extent), Err(error)) => {
            assert_eq!(*error, ParseError::TrailingBytes(xdr.len() - extent.len), "measured {extent:?}");
        }
        // The walk over a whole ledger counts its outermost levels too, the walk over its parts does not.
        (Err(WalkError { kind: WalkErrorKind::TooDeep, .. }), _) | (Err(_), Err(_)) => {}
        (Err(error), Ok(_)) => panic!("a ledger is read that cannot be measured: {error}"),
    }
    let Ok(ledger) = parsed else { return };
    let integrity = integrity::check(&ledger);
    integrity::check_link(&integrity.link, &integrity.link);
    integrity.violations.iter().for_each(|violation| drop(violation.to_string()));
    for range in integrity::bound_ranges(&ledger) {
        assert!(range.start <= range.end && range.end <= xdr.len(), "{range:?} of {}", xdr.len());
    }
    for mode in [Mode::Auto, Mode::Derived, Mode::Unified] {
        match derive(&ledger, mode) {
            Ok(events) => check_events(&ledger, &events),
            Err(error) => drop(error.to_string()),
        }
    }
}

fn check_events(ledger: &ParsedLedger<'_>, events: &LedgerEvents) {
    let LedgerEvents { ledger: row, rows } = events;
    assert_eq!(row.sequence.0, ledger.sequence());
    assert_eq!(row.event_count as usize, rows.len());
    assert_eq!(row.successful_tx_count + row.failed_tx_count, row.tx_count);
    assert_eq!(row.row_digest, RowDigest::of(rows));
    for (index, event) in rows.iter().enumerate() {
        assert_eq!(event.ledger_event_index as usize, index, "{event:?}");
        assert_eq!(event.ledger_sequence, row.sequence, "{event:?}");
        assert!((1..=row.tx_count).contains(&event.tx_index), "{event:?}");
        if is_legal(event) {
            rows::check_row(event);
        }
    }
    // A version above 2^31 fits no column and is refused as such.
    if let Ok(batch) = ledgers_to_batch(std::slice::from_ref(row)) {
        let read = ledgers_from_batch(&batch).expect("read what was written");
        assert_eq!(read, std::slice::from_ref(row));
    }
    if let Ok(mismatches) = check_deltas(ledger, rows) {
        mismatches.iter().for_each(|mismatch| drop(mismatch.to_string()));
    }
}

/// Whether a network could have the event's asset: a code that is empty or in the wrong kind has no text of its own.
fn is_legal(event: &TokenTransfer) -> bool {
    event.asset.is_none_or(|asset| asset.to_string().parse::<Asset>() == Ok(asset))
}
