//! Content of every form is told apart and delimited, whatever its name and however it arrives.

use std::io::{self, Cursor, Read};

use orrery_actors::source::{LedgerReader, SourceErrorKind};
use proptest::prelude::*;

use super::made::{self, Dribble};

/// Reads `content` and expects exactly `ledgers`, each at one of `offsets`.
#[track_caller]
fn check(content: &[u8], ledgers: &[Vec<u8>], offsets: impl Fn(usize) -> u64) {
    let found: Vec<_> = LedgerReader::new("it", 5, Cursor::new(content)).collect::<Result<_, _>>().unwrap();
    assert_eq!(found.len(), ledgers.len());
    for (index, (found, expect)) in found.iter().zip(ledgers).enumerate() {
        assert_eq!(found.xdr, expect.as_slice(), "ledger {index}");
        assert_eq!((&*found.file, found.chain, found.offset), ("it", 5, offsets(index)), "ledger {index}");
    }
}

/// Offsets of consecutive ledgers, the first after `lead` bytes and each after `each` more.
fn offsets(ledgers: &[Vec<u8>], lead: u64, each: u64) -> impl Fn(usize) -> u64 {
    let starts: Vec<u64> = ledgers
        .iter()
        .scan(lead, |at, xdr| {
            let start = *at + each;
            *at = start + xdr.len() as u64;
            Some(start)
        })
        .collect();
    move |index| starts[index]
}

#[test]
fn ledgers_are_found_in_every_form_plain_and_compressed() {
    for (first, last) in [(1, 1), (2, 2), (3, 3), (100, 107)] {
        let ledgers = made::ledgers(first, last);
        let batch = made::batch(first, last, last - first + 1, &ledgers);
        let forms = [(ledgers.concat(), 0, 0), (batch, 12, 0), (made::framed(&ledgers), 0, 4)];
        for (content, lead, each) in forms {
            check(&content, &ledgers, offsets(&ledgers, lead, each));
            check(&made::zstd(&content), &ledgers, offsets(&ledgers, lead, each));
        }
    }
}

#[test]
fn first_batch_of_a_lake_begins_at_ledger_2() {
    let ledgers = made::ledgers(2, 63);
    let content = made::batch(2, 63, 62, &ledgers);
    check(&content, &ledgers, offsets(&ledgers, 12, 0));
    let mut reader = LedgerReader::new("it", 0, Cursor::new(&content));
    let range = reader.peek_batch_range().unwrap().unwrap();
    assert_eq!((range.0.0, range.1.0), (2, 63));
    assert_eq!(reader.count(), 62);
}

#[test]
fn record_in_several_fragments_is_one_ledger() {
    let ledgers = made::ledgers(40, 42);
    for size in [8, 100, 333, 1 << 20] {
        let content = made::fragmented(&ledgers, size);
        let found: Vec<_> = LedgerReader::new("it", 0, Cursor::new(&content)).map(Result::unwrap).collect();
        let bytes: Vec<_> = found.iter().map(|ledger| ledger.xdr.to_vec()).collect();
        assert_eq!(bytes, ledgers, "fragments of {size}");
        assert_eq!(found[0].offset, 4);
    }
}

#[test]
fn concatenated_and_skippable_frames_are_one_content() {
    let ledgers = made::ledgers(10, 15);
    let (left, right) = ledgers.split_at(2);
    let split =
        [made::skippable(7), made::zstd(&left.concat()), made::skippable(0), made::zstd(&right.concat())];
    check(&split.concat(), &ledgers, offsets(&ledgers, 0, 0));
    // A frame may end anywhere inside a ledger.
    let content = ledgers.concat();
    let (left, right) = content.split_at(content.len() / 3);
    check(&[made::zstd(left), made::zstd(right)].concat(), &ledgers, offsets(&ledgers, 0, 0));
}

#[test]
fn several_batches_in_one_file_are_read_in_turn() {
    let (left, right) = (made::ledgers(10, 12), made::ledgers(13, 13));
    let content = [made::batch(10, 12, 3, &left), made::batch(13, 13, 1, &right)].concat();
    let found: Vec<u32> =
        LedgerReader::new("it", 0, Cursor::new(&content)).map(|it| it.unwrap().sequence.0).collect();
    assert_eq!(found, [10, 11, 12, 13]);
}

#[test]
fn ledger_larger_than_the_first_read_is_whole() {
    let ledgers: Vec<_> =
        [(9, 9 << 20), (10, 3 << 20), (11, 0)].map(|(at, size)| made::ledger(at, size)).into();
    check(&ledgers.concat(), &ledgers, offsets(&ledgers, 0, 0));
    check(&made::framed(&ledgers), &ledgers, offsets(&ledgers, 0, 4));
    check(&made::fragmented(&ledgers, 1 << 20), &ledgers, |index| {
        let before = ledgers[..index].concat().len() as u64;
        let headers = ledgers[..index].iter().map(|xdr| xdr.chunks(1 << 20).count() as u64).sum::<u64>();
        before + headers * 4 + 4
    });
}

/// Fails the test if it is read beyond what it holds: what follows has not been written yet.
struct Live(Cursor<Vec<u8>>);

impl Read for Live {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(
            self.0.position() < self.0.get_ref().len() as u64,
            "waited for a ledger that is not there yet"
        );
        // A pipe gives what it has.
        self.0.read(buffer)
    }
}

#[test]
fn live_stream_gives_a_ledger_without_waiting_for_the_next() {
    let ledgers = made::ledgers(7, 9);
    let mut reader = LedgerReader::new("stream:-", 0, Live(Cursor::new(made::framed(&ledgers))));
    for expect in &ledgers {
        assert_eq!(reader.next().unwrap().unwrap().xdr, expect.as_slice());
    }
}

#[test]
fn failing_disk_is_not_taken_for_bad_content() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("Restored data doesn't match checksum"))
        }
    }
    let framed = made::framed(&made::ledgers(7, 9));
    for content in [framed[..100].to_vec(), made::zstd(&framed)[..100].to_vec(), Vec::new()] {
        let error =
            LedgerReader::new("it", 0, Cursor::new(content).chain(Failing)).last().unwrap().unwrap_err();
        assert!(matches!(error.kind, SourceErrorKind::Io(_)), "{error}");
        assert!(!error.is_bad_data());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn arrival_in_pieces_changes_nothing(
        first in 1..200u32,
        more in 0..6u32,
        form in 0..4usize,
        is_compressed in any::<bool>(),
        step in 1..3000usize,
    ) {
        let ledgers = made::ledgers(first, first + more);
        let content = match form {
            0 => ledgers.concat(),
            1 => made::batch(first, first + more, more + 1, &ledgers),
            2 => made::framed(&ledgers),
            _ => made::fragmented(&ledgers, 64),
        };
        let content = if is_compressed { made::zstd(&content) } else { content };
        let reader = LedgerReader::new("it", 0, Dribble::new(Cursor::new(content), step));
        let found: Vec<Vec<u8>> = reader.map(|ledger| ledger.unwrap().xdr.to_vec()).collect();
        prop_assert_eq!(found, ledgers);
    }
}
