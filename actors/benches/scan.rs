//! How long look-ups in a dataset take, and what they read: accounts, ledgers, and a filter that matches little; from the
//! data files alone, and with row files.
//!
//! A dataset of ten million rows, some 350 MB, takes a few minutes to make. `ops/load/README.md` has how look-ups over HTTP are
//! measured on it.
//!
//! ```text
//! orrery backfill --source 'synthetic:?ledgers=12000&density=pubnet' --dataset file:///PATH/dataset --from genesis --to 12001
//! cargo bench -p orrery-actors --bench scan -- file:///PATH/dataset
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench prints, and ends where it cannot go on"
)]

use std::sync::Arc;
use std::time::Duration;

use orrery_actors::dataset::{
    DatasetView, Order, Retry, RowFileLimits, ScanRequest, Snapshot, Span, Store, TableKind, ViewLimits,
};
use orrery_schemas::{EventFilter, LedgerSequence, token_transfers_from_batch};
use orrery_supervisor::{Clock, MonotonicTime, SystemClock};

/// Look-ups of each kind.
const LOOKUPS: usize = 400;

/// As many rows as a page has.
const ROWS: u64 = 100;

/// What a kind of look-up took.
struct Measured {
    times: Vec<Duration>,
    bytes: u64,
    rows: u64,
}

fn main() {
    // Cargo adds arguments of its own.
    let Some(url) = std::env::args().skip(1).find(|argument| argument.contains("://")) else {
        println!("skipped: give the URL of a dataset");
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::connect(&url.parse().unwrap(), &|_| None, Retry::new(1).unwrap()).unwrap();
        let view = DatasetView::new(store.clone(), ViewLimits::default());
        view.refresh().await.unwrap();
        let snapshot = view.snapshot().unwrap();
        println!(
            "{} events, {} ledgers",
            snapshot.rows(TableKind::TokenTransfers),
            snapshot.rows(TableKind::Ledgers)
        );
        let accounts = accounts(&view, &snapshot).await;
        println!("{} accounts", accounts.len());
        let (first, last) = (snapshot.first().0, snapshot.last().unwrap().0);
        let ledger = |index: usize| {
            let index = (index as u64 * 2_654_435_761) % u64::from(last - first);
            LedgerSequence(first + u32::try_from(index).unwrap())
        };
        let of = |key: &str, value: &str| {
            let mut filter = EventFilter::default();
            filter.add(key, value).unwrap();
            ScanRequest::events(filter).order(Order::Descending).limit(ROWS)
        };
        let account = |index: usize| of("account", &accounts[index % accounts.len()]);
        measure("an account's newest events, cold", &view, &snapshot, account).await;
        measure("an account's newest events", &view, &snapshot, account).await;
        let stranger = |_| of("account", "GAAZI4TCR3TY5OJHCTJC2A4QSY6CJWJH5IAJTGKIN2ER7LBNVKOCCWN7");
        measure("an account that has none", &view, &snapshot, stranger).await;
        let home = tempfile::tempdir().unwrap();
        let limits = RowFileLimits { disk_bytes_max: u64::MAX, memory_bytes_max: 64 << 20 };
        let clock = SystemClock::new();
        let (before, view) = (view, DatasetView::new(store, ViewLimits::default()));
        let view = view.with_row_files(home.path().to_owned(), limits);
        view.refresh().await.unwrap();
        view.make_row_files(&snapshot).await.unwrap();
        let made = clock.now().since(MonotonicTime::ORIGIN).as_secs_f64();
        let files = std::fs::read_dir(home.path()).unwrap();
        let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
        println!("row files made in {made:.1} s, {} MB", bytes / 1_000_000);
        measure("an account's newest events, row files", &view, &snapshot, account).await;
        measure("an account that has none, row files", &view, &snapshot, stranger).await;
        let view = before;
        measure("the newest clawbacks", &view, &snapshot, |_| of("kind", "clawback")).await;
        let one = |index| Span::ledgers(ledger(index)..=ledger(index));
        measure("a ledger", &view, &snapshot, |index| ScanRequest::ledgers().within(one(index))).await;
        let events = |index| ScanRequest::events(EventFilter::default()).within(one(index)).limit(ROWS);
        measure("a ledger's first events", &view, &snapshot, events).await;
    });
}

/// Accounts of events all over the dataset.
async fn accounts(view: &DatasetView, snapshot: &Arc<Snapshot>) -> Vec<String> {
    let (first, last) = (snapshot.first().0, snapshot.last().unwrap().0);
    let step = ((last - first) / 100).max(1) as usize;
    let mut accounts = Vec::new();
    for ledger in (first..=last).step_by(step) {
        let span = Span::ledgers(LedgerSequence(ledger)..=LedgerSequence(ledger));
        let mut scan = view.scan(snapshot, ScanRequest::events(EventFilter::default()).within(span));
        while let Some(batch) = scan.next().await.unwrap() {
            let rows = token_transfers_from_batch(&batch).unwrap();
            accounts.extend(rows.iter().step_by(37).filter_map(|row| row.from).map(|from| from.to_string()));
        }
    }
    accounts
}

async fn measure(
    what: &str,
    view: &DatasetView,
    snapshot: &Arc<Snapshot>,
    request: impl Fn(usize) -> ScanRequest,
) {
    let clock = SystemClock::new();
    let mut measured = Measured { times: Vec::new(), bytes: 0, rows: 0 };
    for index in 0..LOOKUPS {
        let began = clock.now();
        let mut scan = view.scan(snapshot, request(index));
        while scan.next().await.unwrap().is_some() {}
        measured.times.push(clock.now().since(began));
        measured.bytes += scan.counts().bytes;
        measured.rows += scan.counts().rows;
    }
    measured.times.sort();
    let at = |share: f64| measured.times[((LOOKUPS - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{what:40} p50 {:8.2} ms  p99 {:8.2} ms  {:8} bytes and {:4} rows each",
        at(0.5),
        at(0.99),
        measured.bytes / LOOKUPS as u64,
        measured.rows / LOOKUPS as u64
    );
}
