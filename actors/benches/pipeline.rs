//! How fast ledgers become rows, step by step, on one core: MB/s of XDR and ledgers/s, beside what the same bytes cost
//! to decompress, to hash and to decode whole.
//!
//! `cargo bench -p orrery-actors --bench pipeline`. The lake's ledgers are the real ones of the fixtures (left out where
//! those are missing); the synthetic ones are generated.

#![allow(clippy::unwrap_used, missing_docs, reason = "this is a benchmark")]

use std::path::Path;
use std::sync::LazyLock;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use orrery_actors::ledger::{Network, ParsedLedger, integrity, measure_ledger_close_meta};
use orrery_actors::processor::ttp::{Mode, check_deltas, derive, process};
use orrery_actors::sink::{self, FileColumn, Format, SinkSettings, Target};
use orrery_actors::source::{LedgerRange, RawLedger, SourceUrl, open};
use orrery_schemas::{TokenTransfer, TokenTransferBatchBuilder};
use sha2::{Digest, Sha256};
use stellar_xdr::{LedgerCloseMeta, Limits, ReadXdr};

fn main() {
    divan::main();
}

/// Ledgers with their network, plain and compressed, and their rows.
struct Ledgers {
    network: Network,
    raw: Vec<RawLedger>,
    compressed: Vec<Vec<u8>>,
    rows: Vec<Vec<TokenTransfer>>,
}

impl Ledgers {
    fn read(url: &str) -> Option<Self> {
        let urls = [url.parse::<SourceUrl>().unwrap()];
        let mut source = open(&urls, LedgerRange::default()).ok()?;
        let network = Network::new(source.network_passphrase().unwrap());
        let raw: Vec<_> = std::iter::from_fn(|| source.next_ledger()).map(Result::unwrap).collect();
        let compressed = raw.iter().map(|ledger| zstd::encode_all(&ledger.xdr[..], 3).unwrap()).collect();
        let rows =
            raw.iter().map(|ledger| process(&network, Mode::Auto, &ledger.xdr).unwrap().rows).collect();
        Some(Self { network, raw, compressed, rows })
    }
}

static LAKE: LazyLock<Option<Ledgers>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures/lake/ledgers/pubnet");
    Ledgers::read(&format!("file://{}", folder.display()))
});

static SYNTHETIC: LazyLock<Option<Ledgers>> =
    LazyLock::new(|| Ledgers::read("synthetic:?seed=1&ledgers=12&density=pubnet"));

/// Where ledgers come from.
#[derive(Clone, Copy, Debug)]
enum Set {
    Lake,
    Synthetic,
}

const SETS: [Set; 2] = [Set::Lake, Set::Synthetic];

/// Times `work` over all ledgers of a set, once through a turn.
fn each<T>(bencher: Bencher<'_, '_>, set: Set, mut work: impl FnMut(&Ledgers, usize) -> T) {
    let ledgers = match set {
        Set::Lake => &*LAKE,
        Set::Synthetic => &*SYNTHETIC,
    };
    let Some(ledgers) = ledgers else {
        return bencher.bench_local(|| ()); // no fixtures here
    };
    let bytes: usize = ledgers.raw.iter().map(|ledger| ledger.xdr.len()).sum();
    bencher.counter(BytesCount::new(bytes)).counter(ItemsCount::new(ledgers.raw.len())).bench_local(|| {
        for index in 0..ledgers.raw.len() {
            black_box(work(ledgers, index));
        }
    });
}

#[divan::bench(args = SETS)]
fn baseline_zstd_decompress(bencher: Bencher<'_, '_>, set: Set) {
    each(bencher, set, |ledgers, index| {
        let capacity = ledgers.raw[index].xdr.len();
        zstd::bulk::decompress(&ledgers.compressed[index], capacity).unwrap()
    });
}

#[divan::bench(args = SETS)]
fn baseline_sha256(bencher: Bencher<'_, '_>, set: Set) {
    each(bencher, set, |ledgers, index| Sha256::digest(&ledgers.raw[index].xdr));
}

#[divan::bench(args = SETS)]
fn baseline_stellar_xdr_decode(bencher: Bencher<'_, '_>, set: Set) {
    each(bencher, set, |ledgers, index| {
        let xdr = &ledgers.raw[index].xdr;
        LedgerCloseMeta::from_xdr(xdr, Limits { depth: 3_000, len: xdr.len() }).unwrap()
    });
}

#[divan::bench(args = SETS)]
fn decode_1_measure(bencher: Bencher<'_, '_>, set: Set) {
    each(bencher, set, |ledgers, index| measure_ledger_close_meta(&ledgers.raw[index].xdr).unwrap());
}

#[divan::bench(args = SETS)]
fn decode_2_parse(bencher: Bencher<'_, '_>, set: Set) {
    each(bencher, set, |ledgers, index| {
        ParsedLedger::read(&ledgers.network, &ledgers.raw[index].xdr).unwrap().sequence()
    });
}

#[divan::bench(args = SETS)]
fn integrity_v1_to_v5(bencher: Bencher<'_, '_>, set: Set) {
    each(bencher, set, |ledgers, index| {
        let parsed = ParsedLedger::read(&ledgers.network, &ledgers.raw[index].xdr).unwrap();
        integrity::check(&parsed)
    });
}

#[divan::bench(args = SETS)]
fn integrity_deltas(bencher: Bencher<'_, '_>, set: Set) {
    each(bencher, set, |ledgers, index| {
        let parsed = ParsedLedger::read(&ledgers.network, &ledgers.raw[index].xdr).unwrap();
        let events = derive(&parsed, Mode::Auto).unwrap();
        check_deltas(&parsed, &events.rows).unwrap()
    });
}

#[divan::bench(args = SETS)]
fn derive_unified(bencher: Bencher<'_, '_>, set: Set) {
    each(bencher, set, |ledgers, index| {
        process(&ledgers.network, Mode::Unified, &ledgers.raw[index].xdr).unwrap()
    });
}

#[divan::bench(args = SETS)]
fn derive_derived(bencher: Bencher<'_, '_>, set: Set) {
    each(bencher, set, |ledgers, index| {
        process(&ledgers.network, Mode::Derived, &ledgers.raw[index].xdr).unwrap()
    });
}

/// Rows to Arrow alone; its MB/s are of the XDR that the rows came from, as everywhere here.
#[divan::bench(args = SETS)]
fn encode_arrow(bencher: Bencher<'_, '_>, set: Set) {
    each(bencher, set, |ledgers, index| {
        let rows = &ledgers.rows[index];
        let mut batch = TokenTransferBatchBuilder::with_capacity(rows.len());
        batch.append(rows).unwrap();
        batch.finish().unwrap()
    });
}

/// Rows to Parquet alone, Arrow on the way included.
#[divan::bench(args = SETS)]
fn encode_parquet(bencher: Bencher<'_, '_>, set: Set) {
    let mut sink = None;
    each(bencher, set, |ledgers, index| {
        sink.get_or_insert_with(|| parquet_to_nowhere(ledgers)).write("", &ledgers.rows[index]).unwrap();
    });
}

fn parquet_to_nowhere(ledgers: &Ledgers) -> Box<dyn sink::EventSink> {
    sink::open(SinkSettings {
        format: Format::Parquet,
        target: Target::Stream { writer: Box::new(std::io::sink()), name: "nowhere".to_owned() },
        file_column: FileColumn::Absent,
        network_passphrase: ledgers.network.passphrase().to_owned(),
    })
    .unwrap()
}

/// XDR bytes to Arrow rows, hashes checked.
#[divan::bench(args = SETS)]
fn whole_xdr_to_arrow(bencher: Bencher<'_, '_>, set: Set) {
    each(bencher, set, |ledgers, index| {
        let parsed = ParsedLedger::read(&ledgers.network, &ledgers.raw[index].xdr).unwrap();
        assert!(integrity::check(&parsed).violations.is_empty());
        let events = derive(&parsed, Mode::Auto).unwrap();
        let mut batch = TokenTransferBatchBuilder::with_capacity(events.rows.len());
        batch.append(&events.rows).unwrap();
        batch.finish().unwrap()
    });
}

/// And on: from the lake's compressed bytes to a Parquet file.
#[divan::bench(args = SETS)]
fn whole_zstd_to_parquet(bencher: Bencher<'_, '_>, set: Set) {
    let mut sink = None;
    each(bencher, set, |ledgers, index| {
        let capacity = ledgers.raw[index].xdr.len();
        let xdr = zstd::bulk::decompress(&ledgers.compressed[index], capacity).unwrap();
        let parsed = ParsedLedger::read(&ledgers.network, &xdr).unwrap();
        assert!(integrity::check(&parsed).violations.is_empty());
        let events = derive(&parsed, Mode::Auto).unwrap();
        let sink = sink.get_or_insert_with(|| parquet_to_nowhere(ledgers));
        sink.write("", &events.rows).unwrap();
    });
}
