//! Bad input costs less than 64 MiB, whatever it claims. Alone in its process, whose peak memory is measured.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test panics and prints")]

#[path = "source/made.rs"]
mod made;

use std::fs;
use std::io::{self, Cursor, Read};

use orrery_actors::ledger::{Network, ParsedLedger};
use orrery_actors::source::{LEDGER_XDR_BYTES_MAX, LedgerReader, WORKER_STACK_BYTES};

use made::Repeat;
use peak_alloc::PeakAlloc;

/// Counts what is allocated: freed memory that the process keeps would hide what a later step takes.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const COST_BYTES_MAX: u64 = 64 << 20;

/// A line of the kernel's account of this process, in bytes.
fn status(key: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim_matches(|char: char| !char.is_ascii_digit()).parse::<u64>().unwrap() << 10
}

type Content = Box<dyn Read + Send>;
/// A name, and what makes the content.
type Piece = (&'static str, fn() -> Content);

/// Peak memory above `before` while `work` runs on a worker's stack.
fn peak_of(work: impl FnOnce() + Send, before: u64) -> u64 {
    // Sets the peak back to what is held now; where that is refused the figure only becomes larger.
    let _ = fs::write("/proc/self/clear_refs", "5");
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(WORKER_STACK_BYTES);
        builder.spawn_scoped(scope, work).unwrap().join().unwrap();
    });
    status("VmHWM:").saturating_sub(before)
}

/// Peak memory above `before` while `content` is read to its error.
fn cost_of(content: Content, before: u64) -> u64 {
    peak_of(|| assert!(LedgerReader::new("bad", 0, content).any(|ledger| ledger.is_err())), before)
}

/// A ledger, of version 0, up to its transactions: a legacy set of as many envelopes as the bytes of `envelopes` are, and
/// then results for as many as `results` are.
fn ledger_of(envelopes: (u32, &[u8]), results: (u32, &[u8])) -> Vec<u8> {
    let empty = made::ledger(60, 0);
    let upgrades = [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 26];
    let at = empty.windows(upgrades.len()).position(|window| window == upgrades).unwrap();
    // Before the upgrades stand the two counts, of envelopes and of results.
    let (head, counts) = empty[..at].split_at(at - 8);
    assert_eq!(counts, [0; 8]);
    let mut xdr = head.to_vec();
    for (count, part) in [envelopes, results] {
        xdr.extend(count.to_be_bytes());
        xdr.extend(part.repeat(count as usize));
    }
    xdr.extend(&empty[at..]);
    xdr
}

/// The smallest envelope: version 0, no operation, no signature.
fn smallest_envelope() -> Vec<u8> {
    [&[0; 4][..], &[1; 32], &[0; 4], &[0; 8], &[0; 4], &[0; 4], &[0; 4], &[0; 4], &[0; 4]].concat()
}

/// The smallest result of a transaction, with meta of `operations` operations that changed nothing.
fn smallest_result(operations: u32) -> Vec<u8> {
    // Hash, fee, code txTOO_EARLY, extension; no fee changes; meta of version 0.
    let head = [&[2; 32][..], &[0; 8], &(-2_i32).to_be_bytes(), &[0; 4], &[0; 4], &[0; 4]].concat();
    [head, operations.to_be_bytes().to_vec(), vec![0; 4 * operations as usize]].concat()
}

fn chained(head: Vec<u8>, tail: impl Read + Send + 'static) -> Content {
    Box::new(Cursor::new(head).chain(tail))
}

/// A ledger up to an opaque field that claims 4 GiB.
fn opaque_of_4_gib() -> Vec<u8> {
    let xdr = made::ledger(60, 12_344);
    let at = xdr.windows(4).position(|window| window == 12_344u32.to_be_bytes()).unwrap();
    [&xdr[..at], &0xFFFF_FFFCu32.to_be_bytes()].concat()
}

/// A ledger, of a version that follows `sequence`, up to a list of transactions that claims 2^32 - 1 elements. Zero bytes
/// that follow are elements of it.
fn list_of_4_billion(sequence: u32) -> Vec<u8> {
    let xdr = made::ledger(sequence, 0);
    let upgrades = [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 26];
    let at = xdr.windows(upgrades.len()).position(|window| window == upgrades).unwrap();
    // The list of transactions stands before that of upgrades.
    [&xdr[..at - 4], &u32::MAX.to_be_bytes()].concat()
}

/// A ledger up to a value that nests without end.
fn endless_nesting() -> (Vec<u8>, Repeat) {
    let mut head = made::deep(50, 0);
    let at = head.windows(8).position(|window| window == 0xFEED_F00D_DEAD_BEEF_u64.to_be_bytes()).unwrap();
    head.truncate(at - 4);
    (head, Repeat::new(vec![0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 1]))
}

/// Every piece is made when it is read, so that it is not held while others are.
fn pieces() -> Vec<Piece> {
    const ZEROS: u64 = 10_000_000_000;
    const MIB: usize = 1 << 20;
    vec![
        ("10 GB of zeros", || Box::new(Cursor::new(made::zstd_of_zeros(&[], ZEROS)))),
        ("10 GB in one ledger", || Box::new(Cursor::new(made::zstd_of_zeros(&opaque_of_4_gib(), ZEROS)))),
        ("4 GiB opaque", || chained(opaque_of_4_gib(), io::repeat(7))),
        ("4 GiB opaque in a batch", || chained(made::batch(60, 60, 1, &[opaque_of_4_gib()]), io::repeat(7))),
        ("4 GiB opaque in a record", || {
            chained([made::header(LEDGER_XDR_BYTES_MAX, true), opaque_of_4_gib()].concat(), io::repeat(7))
        }),
        ("4 GiB opaque, zstd with a 16 MiB window", || {
            Box::new(made::zstd_of_raw_blocks(&opaque_of_4_gib(), 7, 24))
        }),
        ("record that ends early", || {
            Box::new(Cursor::new([made::header(LEDGER_XDR_BYTES_MAX, true), opaque_of_4_gib()].concat()))
        }),
        ("list of 4 billion, V0", || chained(list_of_4_billion(60), io::repeat(0))),
        ("list of 4 billion, V1", || chained(list_of_4_billion(61), io::repeat(0))),
        ("list of 4 billion, V2", || chained(list_of_4_billion(62), io::repeat(0))),
        ("list of 4 billion, zstd with a 16 MiB window", || {
            Box::new(made::zstd_of_raw_blocks(&list_of_4_billion(60), 0, 24))
        }),
        ("list of 4 billion in a record", || {
            chained([made::header(LEDGER_XDR_BYTES_MAX, true), list_of_4_billion(60)].concat(), io::repeat(0))
        }),
        ("endless fragments of 1 MiB", || {
            let ledger = opaque_of_4_gib();
            let head = [made::header(ledger.len(), false), ledger].concat();
            chained(head, Repeat::new([made::header(MIB, false), vec![7; MIB]].concat()))
        }),
        ("endless fragments of 4 bytes", || {
            let ledger = opaque_of_4_gib();
            let head = [made::header(ledger.len(), false), ledger].concat();
            chained(head, Repeat::new([made::header(4, false), vec![7; 4]].concat()))
        }),
        ("endless nesting", || {
            let (head, tail) = endless_nesting();
            chained(head, tail)
        }),
        ("deep nesting, compressed", || Box::new(Cursor::new(made::zstd(&made::deep(50, 100_000))))),
        ("window of 2 TiB", || Box::new(Cursor::new(made::zstd_with_window(41)))),
        ("window of 16 MiB", || Box::new(Cursor::new(made::zstd_with_window(24)))),
        ("noise after a version", || {
            let noise = (0..MIB as u32).flat_map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes());
            Box::new(Cursor::new([vec![0; 4], noise.collect()].concat()))
        }),
    ]
}

/// Ledgers of very many very small parts, whose views could take many times the bytes of the parts: a name, the counts of
/// envelopes and of results, and the operations of each result.
const SMALL_PARTS: [(&str, u32, u32, u32); 6] = [
    ("most transactions", 32_768, 32_768, 0),
    ("most operations", 32_768, 2_500, 100),
    ("too many envelopes", 400_000, 0, 0),
    ("too many results", 0, 400_000, 0),
    ("too many operations", 0, 60_000, 100),
    ("too many operations of one transaction", 0, 1, 8_000_000),
];

/// One test, so that nothing else runs in the process while it measures.
#[test]
fn bad_input_costs_less_than_64_mib() {
    let before = status("VmRSS:");
    let check = |name, cost| {
        println!("{:5.1} MiB  {name}", cost as f64 / f64::from(1 << 20));
        assert!(cost < COST_BYTES_MAX, "{name}: {cost} bytes");
    };
    for (name, content) in pieces() {
        check(name, cost_of(content(), before));
    }
    let network = Network::new("made");
    for (name, envelopes, results, operations) in SMALL_PARTS {
        let xdr = ledger_of((envelopes, &smallest_envelope()), (results, &smallest_result(operations)));
        assert!(xdr.len() <= LEDGER_XDR_BYTES_MAX, "{name}: {} bytes", xdr.len());
        let parse = || match ParsedLedger::read(&network, &xdr) {
            Ok(_) => assert!(name.starts_with("most"), "{name}"),
            Err(error) => assert!(name.starts_with("too many"), "{name}: {error}"),
        };
        // Making the bytes took more than holding them: what counts is to hold them and to parse them.
        let held = HEAP.current_usage() - xdr.capacity();
        HEAP.reset_peak_usage();
        parse();
        check(name, (HEAP.peak_usage() - held) as u64);
    }
}
