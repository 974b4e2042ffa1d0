//! The walker's grammar against `stellar-xdr`: the same verdict and the same length, on real ledgers and on
//! damaged ones.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test says why it fails")]

mod support;

use orrery_actors::ledger::{
    cursor::{WalkError, WalkErrorKind},
    measure_ledger_close_meta, peek_sequence,
};
use stellar_xdr::{LedgerCloseMeta, Limited, Limits, ReadXdr};

/// Length that `stellar-xdr` reads, if it accepts.
fn decode_length(xdr: &[u8]) -> Option<usize> {
    let limits = Limits { depth: 3_000, len: xdr.len() };
    let mut input = Limited::new(std::io::Cursor::new(xdr), limits);
    LedgerCloseMeta::read_xdr(&mut input).ok().map(|_| input.inner.position() as usize)
}

fn on_a_deep_stack(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(64 << 20).spawn_scoped(scope, test).unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn every_fixture_ledger_is_walked_to_its_last_byte() {
    let Some(fixtures) = support::fixtures() else { return };
    let mut count = 0;
    for folder in ["core", "pubnet", "lake/ledgers/pubnet", "testnet", "load", "rules"] {
        for ledger in support::ledgers(&fixtures.join(folder)) {
            let extent = measure_ledger_close_meta(&ledger.xdr)
                .unwrap_or_else(|error| panic!("{folder}/{}: {error}", ledger.file));
            assert_eq!(extent.len, ledger.xdr.len(), "{folder}/{}", ledger.file);
            assert_eq!(Some(extent.sequence), peek_sequence(&ledger.xdr));
            count += 1;
        }
    }
    assert!(count > 1_000, "{count}");
}

#[test]
fn damaged_ledgers_get_the_verdict_of_stellar_xdr() {
    let Some(fixtures) = support::fixtures() else { return };
    let mut small: Vec<_> = ["core", "testnet", "rules"]
        .iter()
        .flat_map(|folder| support::ledgers(&fixtures.join(folder)))
        .map(|ledger| ledger.xdr)
        .filter(|xdr| xdr.len() < 20_000)
        .collect();
    small.sort();
    small.dedup();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    on_a_deep_stack(move || {
        for _ in 0..20_000 {
            let mut xdr = small[next(small.len())].clone();
            for _ in 0..=next(3) {
                let at = next(xdr.len());
                xdr[at] = [0, 1, 2, 3, 4, 5, 0x7f, 0xff, xdr[at] ^ 1 << next(8)][next(9)];
            }
            if next(4) == 0 {
                xdr.truncate(next(xdr.len()));
            }
            let walked = measure_ledger_close_meta(&xdr);
            if matches!(
                &walked,
                Err(WalkError { kind: WalkErrorKind::UnknownVariant { of: "bool", .. }, .. })
            ) {
                continue; // RFC 4506 has 0 and 1; stellar-xdr takes any other number for false
            }
            assert_eq!(walked.as_ref().ok().map(|extent| extent.len), decode_length(&xdr), "{walked:?}");
        }
    });
}

#[test]
fn a_cut_ledger_ends_unexpectedly_and_nothing_else() {
    let Some(fixtures) = support::fixtures() else { return };
    for ledger in support::ledgers(&fixtures.join("testnet")).iter().take(4) {
        for length in 0..ledger.xdr.len() {
            let error = measure_ledger_close_meta(&ledger.xdr[..length]).unwrap_err();
            assert_eq!(error.kind, WalkErrorKind::UnexpectedEnd, "cut to {length}");
            assert_eq!(error.offset, length);
        }
    }
}
