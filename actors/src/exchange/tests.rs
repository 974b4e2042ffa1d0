//! What goes into frames comes out of them, and whatever else is in them is an error and no panic.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use orrery_schemas::{LedgerSequence, TokenTransfer, token_transfers_from_batch};
use proptest::prelude::*;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::event_frames::{self, PartEncoder};
use super::header_wire::Body;
use super::ipc::{Encoder, Message};
use super::ledger_frames::{self, ChunkFrames, Frame, Received};
use super::limits::{Compression, FRAME_BYTES_MAX, FRAME_BYTES_TARGET};
use crate::envelope::EventBatch;
use crate::source::synthetic::{SyntheticLedgers, SyntheticSpec};
use crate::source::{FetchedObject, LedgerChunk, LedgerReader};

#[path = "../../tests/support/rows.rs"]
mod rows;

/// Synthetic ledgers with the rows that they have.
type Made = Vec<(Bytes, Vec<TokenTransfer>)>;

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| make("ledgers=24&density=pubnet&protocol=23"))
}

fn make(query: &str) -> Made {
    let spec = SyntheticSpec::from_query(query).unwrap();
    SyntheticLedgers::new(&spec).map(|ledger| (ledger.to_xdr().into(), ledger.expected)).collect()
}

/// Two ledgers of a few transactions, for what is tried thousands of times.
fn sparse() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| make("ledgers=2&density=sparse&protocol=23"))
}

fn permit() -> OwnedSemaphorePermit {
    Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap()
}

fn sequence(ledger: u32) -> LedgerSequence {
    LedgerSequence(ledger)
}

/// An object as a lake has it, of these bytes.
fn chunk(bytes: Bytes, range: (u32, u32), named: (u32, u32)) -> LedgerChunk {
    let range = sequence(range.0)..=sequence(range.1);
    let named = sequence(named.0)..=sequence(named.1);
    LedgerChunk::new(
        FetchedObject { file: "object.xdr".into(), named, range, bytes },
        2,
        "a lake".into(),
        None,
    )
}

fn frames(chunk: LedgerChunk, compression: Compression) -> Vec<Frame> {
    let (mut frames, mut encoder) = (ChunkFrames::new(1, chunk), Encoder::new(compression));
    std::iter::from_fn(|| frames.next(&mut encoder).unwrap()).collect()
}

fn received(frame: Frame) -> LedgerChunk {
    let bytes = frame.message.bytes;
    match frame.body {
        Body::Ledgers { first, last, origin, .. } => {
            let received = Received { range: sequence(first)..=sequence(last), bytes, origin };
            ledger_frames::ledgers(received, frame.message, permit()).unwrap()
        }
        Body::Object { first, last, named, origin, .. } => {
            let received = Received { range: sequence(first)..=sequence(last), bytes, origin };
            let named = sequence(named.0)..=sequence(named.1);
            ledger_frames::object(received, named, frame.message, permit()).unwrap()
        }
        body => panic!("{body:?}"),
    }
}

/// Ledgers and errors of a chunk, as a processor sees them.
fn seen(chunk: &LedgerChunk) -> Vec<Result<(u32, Bytes), String>> {
    let ledgers = chunk.ledgers();
    ledgers
        .map(|ledger| ledger.map(|it| (it.sequence.0, it.xdr)).map_err(|error| error.to_string()))
        .collect()
}

/// What arrives is what would have come from a store: ledgers, names, fingerprint.
fn check_round_trip(bytes: &Bytes, range: (u32, u32), named: (u32, u32), compression: Compression) -> usize {
    let there = chunk(bytes.clone(), range, named);
    let frames = frames(chunk(bytes.clone(), range, named), compression);
    let count = frames.len();
    let (mut next, mut ledgers) = (range.0, Vec::new());
    for frame in frames {
        assert!(frame.message.bytes <= FRAME_BYTES_MAX);
        let here = received(frame);
        assert_eq!(here.range.start().0, next);
        next = here.range.end().0 + 1;
        assert_eq!((&here.file, here.source, here.lake()), (&there.file, 2, there.lake()));
        assert_eq!(here.fingerprint(), there.fingerprint());
        ledgers.extend(seen(&here));
    }
    assert_eq!(next, range.1 + 1);
    assert!(ledgers.iter().all(Result::is_ok), "{ledgers:?}");
    assert_eq!(ledgers, seen(&there));
    count
}

#[test]
fn ledgers_of_an_object_arrive_as_they_were_found() {
    let all: Vec<u8> = made().iter().flat_map(|(xdr, _)| xdr.to_vec()).collect();
    let (bytes, last) = (Bytes::from(all), made().len() as u32 + 1);
    let count = check_round_trip(&bytes, (2, last), (2, last), Compression::None);
    assert!(count > 2 && count <= bytes.len().div_ceil(FRAME_BYTES_TARGET / 2), "{count} frames");
    // From the middle of an object on, and not to its end.
    check_round_trip(&bytes, (7, 9), (2, last), Compression::None);
    check_round_trip(&made()[0].0, (2, 2), (2, 2), Compression::None);
    let packed = Bytes::from(zstd::encode_all(&bytes[..], 1).unwrap());
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        check_round_trip(&packed, (2, last), (2, last), compression);
    }
}

#[test]
fn what_is_wrong_with_an_object_is_seen_at_the_other_end_with_the_same_evidence() {
    let check = |what: &str, bytes: Vec<u8>, range: (u32, u32), named: (u32, u32)| {
        let bytes = Bytes::from(bytes);
        let there = seen(&chunk(bytes.clone(), range, named));
        assert!(there.last().unwrap().is_err(), "{what}: nothing is wrong");
        let mut frames = frames(chunk(bytes.clone(), range, named), Compression::None);
        let last = received(frames.pop().unwrap());
        assert_eq!(last.bytes, bytes, "{what}");
        let mut here: Vec<_> = frames.into_iter().flat_map(|frame| seen(&received(frame))).collect();
        here.extend(seen(&last));
        assert_eq!(here, there, "{what}");
    };
    let two = [&made()[0].0[..], &made()[1].0[..]].concat();
    check("a truncated ledger", two[..two.len() - 5].to_vec(), (2, 3), (2, 3));
    check("a missing ledger", two.clone(), (2, 4), (2, 4));
    check("a foreign ledger", [&two[..], &made()[5].0[..]].concat(), (2, 3), (2, 3));
    check("no ledger", b"<html>".to_vec(), (2, 3), (2, 3));
    let many: Vec<u8> = made().iter().flat_map(|(xdr, _)| xdr.to_vec()).collect();
    let mut torn = many.clone();
    torn.truncate(many.len() - 100);
    if torn.len() <= FRAME_BYTES_MAX {
        check("a torn object", torn, (2, made().len() as u32 + 1), (2, made().len() as u32 + 1));
    }
}

#[test]
fn an_object_too_large_to_be_evidence_is_an_error_that_names_it() {
    let bytes = Bytes::from(vec![0xff; FRAME_BYTES_MAX + 1]);
    let mut frames = ChunkFrames::new(1, chunk(bytes, (2, 3), (2, 3)));
    let error = frames.next(&mut Encoder::default()).unwrap_err();
    let expect = "object object.xdr, which does not hold ledger 2 as it should, has 16777217 bytes";
    assert!(error.to_string().starts_with(expect), "{error}");
}

#[test]
fn real_ledgers_cross_unchanged() {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/fixtures");
    let required = std::env::var("ORRERY_REQUIRE_FIXTURES").is_ok_and(|value| value == "1");
    let found = glob::glob(&format!("{fixtures}/**/*.xdr*")).unwrap().filter_map(Result::ok);
    let mut count = 0;
    for path in found.filter(|path| path.is_file()) {
        let bytes = Bytes::from(std::fs::read(&path).unwrap());
        let name = path.display().to_string();
        let ledgers: Result<Vec<_>, _> = LedgerReader::new(name.as_str(), 0, &bytes[..]).collect();
        let Ok(ledgers) = ledgers else { continue };
        // Only what one object could hold: consecutive ledgers.
        let Some((first, last)) = ledgers.first().zip(ledgers.last()) else { continue };
        let range = (first.sequence.0, last.sequence.0);
        let is_run = ledgers.iter().map(|ledger| ledger.sequence.0).eq(range.0..=range.1);
        if is_run && bytes.len() <= FRAME_BYTES_MAX {
            check_round_trip(&bytes, range, range, Compression::None);
            count += ledgers.len();
        }
    }
    assert!(count > 0 || !required, "fixtures are required and missing at {fixtures}");
    match count {
        0 => eprintln!("skipped: no fixtures at {fixtures}"),
        count => println!("{count} ledgers crossed"),
    }
}

/// Events of so many of the ledgers from `first` on, the row of each ledger with them.
fn events(first: usize, count: usize) -> EventBatch {
    events_of(&made()[first..first + count], first)
}

fn events_of(made: &[(Bytes, Vec<TokenTransfer>)], first: usize) -> EventBatch {
    let events: Vec<_> = made.iter().map(|(_, events)| events.as_slice()).collect();
    let (ledgers, rows) = rows::of_ledgers(first as u32 + 2, &events);
    EventBatch { ledgers, rows, trace: tracing::Span::none() }
}

fn decoded(frames: [Frame; 2]) -> EventBatch {
    let [ledgers, rows] = frames;
    let Body::Events { first, last, .. } = ledgers.body else { panic!("{:?}", ledgers.body) };
    let range = sequence(first)..=sequence(last);
    let ledgers = event_frames::decode_ledgers(&range, ledgers.message).unwrap();
    let rows = event_frames::decode_rows(&ledgers, rows.message).unwrap();
    EventBatch { ledgers, rows, trace: tracing::Span::none() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Parts are whole ledgers, in order, without a gap, small where they can be, and hold what the batch held.
    #[test]
    fn parts_of_a_batch_of_events_are_the_batch(first in 0_usize..20, count in 1_usize..=4, times in 1_usize..=30) {
        let mut batch = events(first, count.min(made().len() - first));
        // As many times the rows, so that some ledgers are large: each still has its own.
        let rows = std::iter::repeat_n(&batch.rows, times);
        if batch.ledgers.len() == 1 {
            batch.rows = arrow::compute::concat_batches(&batch.rows.schema(), rows).unwrap();
            batch.ledgers[0].event_count *= times as u32;
        }
        let (parts, mut encoder) = (event_frames::parts(&batch).unwrap(), PartEncoder::default());
        let mut due = batch.ledgers[0].sequence.0;
        let (mut ledgers, mut rows) = (Vec::new(), Vec::new());
        for range in parts {
            prop_assert_eq!(range.start().0, due);
            due = range.end().0 + 1;
            let frames = event_frames::encode(&batch.within(&range), &mut encoder).unwrap();
            let bytes = frames[0].message.bytes + frames[1].message.bytes;
            prop_assert!(bytes <= FRAME_BYTES_TARGET || range.start() == range.end() && bytes <= FRAME_BYTES_MAX);
            let part = decoded(frames);
            ledgers.extend(part.ledgers);
            rows.extend(token_transfers_from_batch(&part.rows).unwrap());
        }
        prop_assert_eq!(ledgers, batch.ledgers);
        prop_assert_eq!(rows, token_transfers_from_batch(&batch.rows).unwrap());
    }
}

#[test]
fn a_ledger_whose_events_fit_no_frame_is_an_error_that_names_it() {
    let mut batch = events(3, 1);
    let rows = std::iter::repeat_n(&batch.rows, 80);
    batch.rows = arrow::compute::concat_batches(&batch.rows.schema(), rows).unwrap();
    batch.ledgers[0].event_count *= 80;
    let error = event_frames::parts(&batch).unwrap_err().to_string();
    assert!(error.starts_with("ledger 5 with its events has "), "{error}");
    assert!(event_frames::encode(&batch, &mut PartEncoder::default()).is_err());
}

/// Reads what a peer sent as everything that it could be.
fn read_all(message: &Message) {
    let origin = || super::header_wire::OriginWire {
        source: 0,
        lake: String::new(),
        file: String::new(),
        fingerprint: None,
    };
    let range = sequence(2)..=sequence(3);
    let received = |bytes| Received { range: range.clone(), bytes, origin: origin() };
    if let Ok(chunk) = ledger_frames::ledgers(received(message.bytes), message.clone(), permit()) {
        drop(seen(&chunk));
    }
    if let Ok(chunk) =
        ledger_frames::object(received(message.bytes), range.clone(), message.clone(), permit())
    {
        drop(seen(&chunk));
    }
    if let Ok(ledgers) = event_frames::decode_ledgers(&range, message.clone()) {
        assert_eq!(ledgers.len(), 2);
    }
    let ledgers = events_of(sparse(), 0).ledgers;
    if let Ok(rows) = event_frames::decode_rows(&ledgers, message.clone()) {
        drop(token_transfers_from_batch(&rows));
    }
}

fn small() -> &'static [Message] {
    static SMALL: OnceLock<Vec<Message>> = OnceLock::new();
    SMALL.get_or_init(|| {
        let two = Bytes::from([&sparse()[0].0[..], &sparse()[1].0[..]].concat());
        let all = [Compression::None, Compression::Lz4, Compression::Zstd].map(|compression| {
            let ledgers = frames(chunk(two.clone(), (2, 3), (2, 3)), compression).remove(0).message;
            let [rows, transfers] =
                event_frames::encode(&events_of(sparse(), 0), &mut PartEncoder::new(compression)).unwrap();
            [ledgers, rows.message, transfers.message]
        });
        all.into_iter().flatten().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_messages_are_errors_and_never_a_panic(
        which in 0_usize..9,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        in_header in proptest::bool::weighted(0.8),
        cut in proptest::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut message = small()[which].clone();
        let part = if in_header { &mut message.header } else { &mut message.body };
        let mut bytes = part.to_vec();
        for (at, value) in flips {
            let at = at.index(bytes.len().min(4096));
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        *part = bytes.into();
        read_all(&message);
    }
}

/// Lengths and places that are off by less than a value, which the library panics about.
#[test]
fn every_byte_of_a_header_may_be_a_little_off() {
    for message in small() {
        for at in 0..message.header.len() {
            for off in [1, 2, 4] {
                let mut header = message.header.to_vec();
                header[at] ^= off;
                read_all(&Message { header: header.into(), ..message.clone() });
            }
        }
    }
}

#[test]
fn compression_makes_messages_smaller_and_changes_nothing_else() {
    for compressed in [3, 6] {
        for kind in 0..3 {
            let (plain, packed) = (&small()[kind], &small()[compressed + kind]);
            // A few rows gain nothing, and buffers of plain messages are padded.
            assert!(kind > 0 || packed.body.len() < plain.body.len(), "{compressed}");
            assert!(packed.bytes >= plain.bytes * 9 / 10 || kind > 0, "the window counts what is unpacked");
        }
        let ledgers = events_of(sparse(), 0).ledgers;
        let rows = |of: usize| event_frames::decode_rows(&ledgers, small()[of + 2].clone()).unwrap();
        assert_eq!(rows(0), rows(compressed));
    }
}

/// A buffer that says it has more bytes than were announced is not unpacked.
#[test]
fn a_compressed_buffer_cannot_claim_more_than_its_frame() {
    for which in [3, 6] {
        let mut message = small()[which].clone();
        let mut body = message.body.to_vec();
        body[..8].copy_from_slice(&(1_i64 << 60).to_le_bytes());
        message.body = body.into();
        let origin = super::header_wire::OriginWire {
            source: 0,
            lake: String::new(),
            file: String::new(),
            fingerprint: None,
        };
        let received = Received { range: sequence(2)..=sequence(3), bytes: message.bytes, origin };
        let error = ledger_frames::ledgers(received, message, permit()).unwrap_err().to_string();
        assert!(error.contains("were announced"), "{error}");
    }
}

#[test]
fn a_frame_that_takes_more_than_it_announced_is_refused() {
    let mut message = small()[2].clone();
    message.bytes -= 1;
    let error = event_frames::decode_rows(&events_of(sparse(), 0).ledgers, message).unwrap_err().to_string();
    assert!(error.contains("were announced"), "{error}");
    let mut ledgers = events_of(sparse(), 0).ledgers;
    ledgers[0].event_count += 1;
    let error = event_frames::decode_rows(&ledgers, small()[2].clone()).unwrap_err().to_string();
    assert!(error.contains("not as many of each ledger"), "{error}");
}
