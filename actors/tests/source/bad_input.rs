//! Input made to do harm, or damaged: each piece is a typed error with its place, soon.

use std::io::{Cursor, Read};
use std::time::Duration;

use orrery_actors::source::{LEDGER_XDR_BYTES_MAX, LedgerReader, SourceError, SourceErrorKind as Kind};
use orrery_schemas::LedgerSequence;
use orrery_supervisor::{Clock, MonotonicTime, SystemClock};
use proptest::prelude::*;

use super::made;

/// What one piece of bad input may take: 100 ms, times ten for builds without optimisation on a shared machine.
const TIME_MAX: Duration = Duration::from_secs(1);

/// Reads all of it, as the reader's own thread would: deep XDR needs its stack.
fn read(input: impl Read + Send) -> (usize, Option<SourceError>) {
    let run = move || {
        let mut count = 0;
        for ledger in LedgerReader::new("bad", 0, input) {
            match ledger {
                Ok(_) => count += 1,
                Err(error) => return (count, Some(error)),
            }
        }
        (count, None)
    };
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(orrery_actors::source::WORKER_STACK_BYTES);
        builder.spawn_scoped(scope, run).unwrap().join().unwrap()
    })
}

/// Expects `given` ledgers, then an error that `is_kind`, at `offset` and `ledger`.
#[track_caller]
fn check(
    content: &[u8],
    given: usize,
    offset: impl Into<Option<u64>>,
    ledger: Option<u32>,
    is_kind: fn(&Kind) -> bool,
) {
    let clock = SystemClock::new();
    let (count, error) = read(Cursor::new(content));
    let took = clock.now().since(MonotonicTime::ORIGIN);
    let error = error.unwrap();
    assert!(is_kind(&error.kind), "{error:?}");
    assert_eq!(count, given, "{error}");
    assert_eq!(error.offset, offset.into(), "{error}");
    assert_eq!(error.ledger, ledger.map(LedgerSequence), "{error}");
    assert_eq!(&*error.file, "bad");
    assert!(error.is_bad_data());
    assert!(took < TIME_MAX, "{took:?}: {error}");
}

const RAW: usize = 1000;

#[test]
fn content_without_ledgers_is_refused() {
    check(b"", 0, None, None, |kind| matches!(kind, Kind::EmptyInput));
    check(&made::zstd(b""), 0, None, None, |kind| matches!(kind, Kind::EmptyInput));
    check(&made::skippable(9), 0, None, None, |kind| matches!(kind, Kind::EmptyInput));
    for content in [b"{\"a\":1}".as_slice(), b"\x1f\x8b\x08\0\0\0\0\0\0\0\0\0", b"abc", b"not ledgers at all"]
    {
        check(content, 0, None, None, |kind| matches!(kind, Kind::Unrecognised { .. }));
    }
    let twice = made::zstd(&made::zstd(&made::ledger(5, 0)));
    check(
        &twice,
        0,
        None,
        None,
        |kind| matches!(kind, Kind::Unrecognised { found } if found.contains("zstd inside zstd")),
    );
}

#[test]
fn damaged_header_or_sequence_is_refused_at_its_place() {
    let ledgers = made::ledgers(10, 12);
    let at = 12 + ledgers[0].len() as u64;
    check(&made::batch(10, 12, 4, &ledgers), 0, 0, None, |kind| matches!(kind, Kind::Malformed(_)));
    check(&made::batch(10, 12, 0, &ledgers), 0, 0, None, |kind| matches!(kind, Kind::Malformed(_)));
    check(&made::batch(11, 13, 3, &ledgers), 0, 12, Some(11), |kind| {
        matches!(kind, Kind::WrongSequence { expected: LedgerSequence(11), found: LedgerSequence(10) })
    });
    let doubled = [ledgers[0].clone(), ledgers[0].clone()];
    check(&made::batch(10, 11, 2, &doubled), 1, at, Some(11), |kind| {
        matches!(kind, Kind::WrongSequence { .. })
    });
    // Zero bytes are the XDR of an empty ledger with number 0.
    check(&[0; 4096], 0, 0, None, |kind| matches!(kind, Kind::Malformed(_)));
    check(&made::framed(&[made::ledger(0, 0)]), 0, 4, None, |kind| matches!(kind, Kind::Malformed(_)));
}

#[test]
fn damaged_ledger_is_named_by_its_header() {
    let mut xdr = made::ledger(77, 0);
    let upgrade = xdr.windows(8).position(|window| window == [0, 0, 0, 1, 0, 0, 0, 26]).unwrap();
    xdr[upgrade + 3] = 99;
    let is_kind: fn(&Kind) -> bool = |kind| matches!(kind, Kind::Malformed(_));
    let error = read(Cursor::new(&xdr)).1.unwrap();
    let at = error.offset.unwrap();
    assert!((upgrade as u64..=upgrade as u64 + 4).contains(&at), "{error}");
    check(&xdr, 0, at, Some(77), is_kind);
    check(&made::framed(std::slice::from_ref(&xdr)), 0, at + 4, Some(77), is_kind);
    check(&made::fragmented(std::slice::from_ref(&xdr), 64), 0, 4, Some(77), is_kind);
    let good = made::ledger(76, 50);
    check(&[good.clone(), xdr.clone()].concat(), 1, at + good.len() as u64, Some(77), is_kind);
    check(&made::batch(76, 77, 2, &[good.clone(), xdr]), 1, at + good.len() as u64 + 12, Some(77), is_kind);
}

#[test]
fn what_follows_the_last_ledger_is_not_ignored() {
    let ledgers = made::ledgers(10, 11);
    let end = ledgers.concat().len() as u64;
    check(&[ledgers.concat(), vec![0; 3]].concat(), 2, end + 3, None, |kind| {
        matches!(kind, Kind::Truncated(_))
    });
    check(&[ledgers.concat(), vec![0; 4096]].concat(), 2, end, None, |kind| {
        matches!(kind, Kind::Malformed(_))
    });
    let batch = made::batch(10, 11, 2, &ledgers);
    check(&[batch.clone(), vec![0; 3]].concat(), 2, end + 15, None, |kind| {
        matches!(kind, Kind::Truncated(_))
    });
    check(&[batch, vec![0; 12]].concat(), 2, end + 12, None, |kind| matches!(kind, Kind::Malformed(_)));
    let compressed = [made::zstd(&ledgers.concat()), b"and more".to_vec()].concat();
    check(
        &compressed,
        0,
        end,
        Some(10),
        |kind| matches!(kind, Kind::Malformed(reason) if reason.starts_with("zstd")),
    );
}

#[test]
fn record_that_does_not_hold_exactly_one_ledger_is_refused() {
    let xdr = made::ledger(77, RAW);
    let is_malformed: fn(&Kind) -> bool = |kind| matches!(kind, Kind::Malformed(_));
    let long = [xdr.as_slice(), &[0; 8]].concat();
    check(&made::framed(&[long]), 0, xdr.len() as u64 + 4, Some(77), is_malformed);
    let short = made::framed(&[xdr[..xdr.len() - 8].to_vec()]);
    let error = read(Cursor::new(&short)).1.unwrap();
    assert!(is_malformed(&error.kind) && error.ledger == Some(LedgerSequence(77)), "{error}");
    let good = made::framed(&[made::ledger(76, 0)]);
    let at = good.len() as u64;
    check(&[good.as_slice(), &made::header(0, true)].concat(), 1, at + 4, None, is_malformed);
    // So many fragments that reading them would be the harm.
    let empty = made::header(0, false).repeat(9000);
    check(&[good.as_slice(), &empty].concat(), 1, at + 4 * 8192, None, is_malformed);
    let tiny = made::fragmented(&[made::ledger(77, 100_000)], 8);
    check(&[good.as_slice(), &tiny].concat(), 1, at + 12 * 8192, Some(77), is_malformed);
    check(&[good.as_slice(), &made::header(0x7FFF_FFFF, true)].concat(), 1, at, None, |kind| {
        matches!(kind, Kind::TooLarge)
    });
}

#[test]
fn deep_nesting_is_refused() {
    for content in
        [made::deep(50, 100_000), made::zstd(&made::deep(50, 400_000)), made::framed(&[made::deep(50, 5000)])]
    {
        let (count, error) = read(Cursor::new(&content));
        let error = error.unwrap();
        assert!(matches!(error.kind, Kind::TooDeep), "{error}");
        assert_eq!((count, error.ledger), (0, Some(LedgerSequence(50))));
    }
    // Deep, but not too deep.
    assert!(read(Cursor::new(made::deep(50, 200))).1.is_none());
}

/// A ledger whose one opaque field claims 4 GiB, and begins after the returned bytes.
fn opaque_of_4_gib(sequence: u32) -> Vec<u8> {
    let xdr = made::ledger(sequence, 12_344);
    let at = xdr.windows(4).position(|window| window == 12_344u32.to_be_bytes()).unwrap();
    [&xdr[..at], &0xFFFF_FFFCu32.to_be_bytes(), &[7; 4]].concat()
}

#[test]
fn length_that_the_content_does_not_bear_out_is_refused() {
    let claim = opaque_of_4_gib(60);
    let is_truncated: fn(&Kind) -> bool = |kind| matches!(kind, Kind::Truncated(_));
    let end = claim.len() as u64;
    check(&claim, 0, end, Some(60), is_truncated);
    check(&made::zstd(&claim), 0, end, Some(60), is_truncated);
    check(&made::batch(60, 60, 1, std::slice::from_ref(&claim)), 0, end + 12, Some(60), is_truncated);
    check(&made::framed(&[made::ledger(60, 0)])[..90], 0, 90, None, is_truncated);
    let frame = [made::header(20 << 20, true), made::ledger(60, 0)].concat();
    check(&frame, 0, frame.len() as u64, Some(60), is_truncated);
    let batch = made::batch(60, 4_000_000_059, 4_000_000_000, &[made::ledger(60, 0)]);
    check(&batch, 1, batch.len() as u64, Some(61), is_truncated);
}

#[test]
fn ledger_above_the_limit_is_refused_and_one_at_the_limit_is_read() {
    let padding = |length: usize| length - made::ledger(60, 0).len();
    let largest = made::ledger(60, padding(LEDGER_XDR_BYTES_MAX));
    assert_eq!(largest.len(), LEDGER_XDR_BYTES_MAX);
    let larger = made::ledger(60, padding(LEDGER_XDR_BYTES_MAX + 4));
    for (forms, given) in [(&largest, 1), (&larger, 0)] {
        let one = std::slice::from_ref(forms);
        for content in
            [forms.clone(), made::framed(one), made::fragmented(one, 1 << 20), made::batch(60, 60, 1, one)]
        {
            let (count, error) = read(Cursor::new(&content));
            assert_eq!(count, given);
            assert_eq!(error.is_some(), given == 0);
            assert!(error.is_none_or(|error| matches!(error.kind, Kind::TooLarge)));
        }
    }
    // 10 GB that really are there.
    let endless = Cursor::new(opaque_of_4_gib(60)).chain(std::io::repeat(7).take(10 << 30));
    let error = read(endless).1.unwrap();
    assert!(matches!(error.kind, Kind::TooLarge), "{error}");
    assert_eq!((error.offset, error.ledger), (Some(0), Some(LedgerSequence(60))));
}

#[test]
fn decompression_bomb_is_refused() {
    const ZEROS: u64 = 10_000_000_000;
    let bomb = made::zstd_of_zeros(&[], ZEROS);
    assert!(bomb.len() < 400_000);
    // What it holds is refused before its size is.
    check(&bomb, 0, 0, None, |kind| matches!(kind, Kind::Malformed(_)));
    let is_ratio: fn(&Kind) -> bool = |kind| matches!(kind, Kind::RatioExceeded);
    for content in [
        opaque_of_4_gib(60),
        made::batch(60, 60, 1, &[opaque_of_4_gib(60)]),
        [made::header(30 << 20, true), opaque_of_4_gib(60)].concat(),
    ] {
        let (count, error) = read(Cursor::new(made::zstd_of_zeros(&content, ZEROS)));
        let error = error.unwrap();
        assert!(is_ratio(&error.kind), "{error}");
        assert_eq!((count, error.ledger), (0, Some(LedgerSequence(60))));
        assert!(error.offset.is_some_and(|at| (4 << 20..16 << 20).contains(&at)), "{error}");
    }
}

#[test]
fn damaged_compression_is_refused() {
    let content = made::framed(&[made::ledger(60, 5000)]);
    let compressed = made::zstd(&content);
    let mut wrong = compressed.clone();
    *wrong.last_mut().unwrap() ^= 1;
    let error = read(Cursor::new(&wrong)).1.unwrap();
    assert!(matches!(error.kind, Kind::Checksum), "{error}");
    assert!(error.is_bad_data());
    let is_window: fn(&Kind) -> bool = |kind| matches!(kind, Kind::WindowTooLarge);
    for log in [25, 27, 31, 41] {
        check(&made::zstd_with_window(log), 0, 0, None, is_window);
    }
    check(&made::zstd_with_window(24), 0, None, None, |kind| matches!(kind, Kind::EmptyInput));
    // A dictionary that nobody has, and a block type that is reserved.
    for frame in [
        [0x28, 0xB5, 0x2F, 0xFD, 0x01, 0x38, 0x07, 0x01, 0x00, 0x00],
        [0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x38, 0x07, 0x01, 0x00, 0x00],
    ] {
        check(
            &frame,
            0,
            0,
            None,
            |kind| matches!(kind, Kind::Malformed(reason) if reason.starts_with("zstd")),
        );
    }
}

/// Cut anywhere, content gives its whole ledgers and then, unless it was cut between two, an error of bad data.
fn check_cuts(content: &[u8], ledgers: usize, ends: &[usize]) {
    for cut in (1..content.len()).step_by(7) {
        let (count, error) = read(Cursor::new(&content[..cut]));
        assert!(count < ledgers || error.is_some(), "cut at {cut}");
        match error {
            None => assert!(ends.contains(&cut), "cut at {cut} passed for whole"),
            Some(error) => {
                assert!(
                    matches!(error.kind, Kind::Truncated(_) | Kind::Unrecognised { .. } | Kind::EmptyInput),
                    "cut at {cut}: {error}"
                );
                assert!(error.is_bad_data());
            }
        }
    }
}

#[test]
fn truncation_anywhere_is_found() {
    let ledgers: Vec<_> = (60..63).map(|sequence| made::ledger(sequence, 300)).collect();
    let ends = |each: usize| -> Vec<usize> {
        ledgers
            .iter()
            .scan(0, |at, xdr| {
                Some({
                    *at += xdr.len() + each;
                    *at
                })
            })
            .collect()
    };
    check_cuts(&ledgers.concat(), 3, &ends(0));
    check_cuts(&made::batch(60, 62, 3, &ledgers), 3, &[]);
    check_cuts(&made::framed(&ledgers), 3, &ends(4));
    check_cuts(&made::fragmented(&ledgers, 256), 3, &{
        let fragments = |xdr: &Vec<u8>| xdr.chunks(256).count() * 4;
        ledgers
            .iter()
            .scan(0, |at, xdr| {
                Some({
                    *at += xdr.len() + fragments(xdr);
                    *at
                })
            })
            .collect::<Vec<_>>()
    });
    for content in [ledgers.concat(), made::batch(60, 62, 3, &ledgers), made::framed(&ledgers)] {
        check_cuts(&made::zstd(&content), 3, &[]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn garbage_ends_without_harm(
        head in prop::sample::select(vec![
            vec![], vec![0, 0, 0, 0], vec![0, 0, 0, 1, 0, 0, 0, 0], vec![0, 0, 0, 2, 0, 0, 0, 0],
            vec![0x80, 0, 1, 0, 0, 0, 0, 2], vec![0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 1],
            vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x38], vec![0, 0, 0, 8, 0, 0, 0, 1],
        ]),
        garbage in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        let (count, error) = read(Cursor::new([head, garbage].concat()));
        prop_assert_eq!(count, 0);
        prop_assert!(error.unwrap().is_bad_data());
    }

    #[test]
    fn flipped_byte_ends_without_harm(
        form in 0..4usize,
        is_compressed in any::<bool>(),
        at in any::<prop::sample::Index>(),
        flip in 1..=255u8,
    ) {
        let ledgers = made::ledgers(59, 61);
        let content = match form {
            0 => ledgers.concat(),
            1 => made::batch(59, 61, 3, &ledgers),
            2 => made::framed(&ledgers),
            _ => made::fragmented(&ledgers, 64),
        };
        let mut content = if is_compressed { made::zstd(&content) } else { content };
        let index = at.index(content.len());
        content[index] ^= flip;
        let (count, error) = read(Cursor::new(&content));
        prop_assert!(count <= 3);
        prop_assert!(error.is_none_or(|error| error.is_bad_data()));
    }
}
