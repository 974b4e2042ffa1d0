//! A scan gives what a look at every row would give, and reads less.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use orrery_actors::dataset::{
    Dataset, DatasetError, DatasetView, Order, Place, RowFileLimits, ScanCounts, ScanRequest, SlotRows,
    Snapshot, Span, Store, TableKind, ViewLimits, ledgers_digest,
};
use orrery_schemas::{
    Address, EventFilter, Kind, LedgerSequence, OpType, RowDigest, TokenTransfer, ledgers_from_batch,
    token_transfers_from_batch,
};
use proptest::prelude::*;

use crate::made::{self, START, closed_at, fill, hash, ledger, memory, settings};
use crate::rows;

/// One slot of these has two row groups and ten pages.
const EVENTS: u32 = 150;
const LEDGERS: RangeInclusive<u32> = START..=1023;

/// An account that occurs in two events: among the last rows of the first row group, and far into the second.
const RARE: Address = Address::Account([0xab; 32]);
const RARE_IN: [(u32, u32); 2] = [(870, 3), (1001, 149)];

fn many_events(sequence: u32) -> Vec<TokenTransfer> {
    let mut rows = rows::ledger(sequence, if sequence.is_multiple_of(50) { 0 } else { EVENTS });
    for (_, event) in RARE_IN.iter().filter(|(rare, _)| *rare == sequence) {
        if let Some(row) = rows.get_mut(*event as usize) {
            row.to = Some(RARE);
        }
    }
    rows
}

/// A dataset whose first slot is large, and how its rows are made.
async fn large(store: &Store) {
    let mut dataset = Dataset::open(store, &settings(1024, 4)).await.unwrap();
    let range = dataset.token_transfers.next_range(None).unwrap();
    assert_eq!((range.start().0, range.end().0), (*LEDGERS.start(), *LEDGERS.end()));
    let mut encoder = dataset.token_transfers.encoder(range.clone()).unwrap();
    let mut digest = RowDigest::default();
    for sequence in LEDGERS {
        let events = many_events(sequence);
        encoder.append_rows(&events).unwrap();
        digest.add(&RowDigest::of(&events));
    }
    let slot = |file, digest| SlotRows {
        range: range.clone(),
        parent_hash: hash(START - 1),
        last_hash: hash(*LEDGERS.end()),
        closed_at: closed_at(*LEDGERS.end()),
        file,
        digest,
    };
    dataset.token_transfers.commit(slot(encoder.finish().unwrap(), digest)).await.unwrap();
    let mut encoder = dataset.ledgers.encoder(range.clone()).unwrap();
    let ledgers: Vec<_> = LEDGERS.map(ledger).collect();
    encoder.append_ledgers(&ledgers).unwrap();
    let digest = ledgers_digest(&ledgers);
    dataset.ledgers.commit(slot(encoder.finish().unwrap(), digest)).await.unwrap();
}

async fn view(store: &Store) -> (DatasetView, Arc<Snapshot>) {
    let view = DatasetView::new(store.clone(), ViewLimits::default());
    assert!(view.refresh().await.unwrap());
    let snapshot = view.snapshot().unwrap();
    (view, snapshot)
}

async fn scanned(
    view: &DatasetView,
    snapshot: &Arc<Snapshot>,
    request: ScanRequest,
) -> Result<(Vec<RecordBatch>, ScanCounts), DatasetError> {
    let mut scan = view.scan(snapshot, request);
    let mut batches = Vec::new();
    while let Some(batch) = scan.next().await? {
        assert!(batch.num_rows() > 0);
        batches.push(batch);
    }
    Ok((batches, scan.counts()))
}

fn events_of(batches: &[RecordBatch]) -> Vec<TokenTransfer> {
    batches.iter().flat_map(|batch| token_transfers_from_batch(batch).unwrap()).collect()
}

/// What a filter may be made of.
#[derive(Clone, Debug, Default)]
struct Wanted {
    kinds: Vec<Kind>,
    op_types: Vec<OpType>,
    assets: Vec<String>,
    accounts: Vec<String>,
    contracts: Vec<String>,
    min_amount: Option<i128>,
}

impl Wanted {
    fn filter(&self) -> EventFilter {
        let mut filter = EventFilter::default();
        let mut add = |key: &str, values: Vec<String>| {
            values.iter().for_each(|value| filter.add(key, value).unwrap());
        };
        add("kind", self.kinds.iter().map(ToString::to_string).collect());
        add("op_type", self.op_types.iter().map(ToString::to_string).collect());
        add("asset", self.assets.clone());
        add("account", self.accounts.clone());
        add("contract", self.contracts.clone());
        add("min_amount", self.min_amount.iter().map(ToString::to_string).collect());
        filter
    }

    /// Said again, of a row and not of columns.
    fn matches(&self, row: &TokenTransfer) -> bool {
        let is_in = |wanted: &[String], found: &[Option<String>]| {
            wanted.is_empty() || found.iter().flatten().any(|found| wanted.contains(found))
        };
        let text = |address: Option<Address>| address.map(|address| address.to_string());
        (self.kinds.is_empty() || self.kinds.contains(&row.kind))
            && (self.op_types.is_empty() || row.op_type.is_some_and(|op| self.op_types.contains(&op)))
            && is_in(&self.assets, &[row.asset.map(|asset| asset.to_string())])
            && is_in(&self.accounts, &[text(row.from), text(row.to)])
            && is_in(&self.contracts, &[Some(row.contract_id.to_string())])
            && self.min_amount.is_none_or(|min| row.amount >= min)
    }
}

#[derive(Clone, Debug)]
struct Question {
    wanted: Wanted,
    span: Span,
    order: Order,
    limit: Option<u64>,
}

impl Question {
    fn request(&self) -> ScanRequest {
        let request = ScanRequest::events(self.wanted.filter()).within(self.span).order(self.order);
        self.limit.into_iter().fold(request, ScanRequest::limit)
    }

    fn answer(&self, rows: &[TokenTransfer]) -> Vec<TokenTransfer> {
        let place =
            |row: &TokenTransfer| Place { ledger: row.ledger_sequence, event: row.ledger_event_index };
        let is_wanted = |row: &&TokenTransfer| {
            self.span.first <= place(row) && place(row) <= self.span.last && self.wanted.matches(row)
        };
        let limit = usize::try_from(self.limit.unwrap_or(u64::MAX)).unwrap();
        let wanted = rows.iter().filter(is_wanted);
        match self.order {
            Order::Ascending => wanted.take(limit).cloned().collect(),
            Order::Descending => wanted.rev().take(limit).cloned().collect(),
        }
    }
}

fn questions(rows: &[TokenTransfer], ledgers: RangeInclusive<u32>) -> impl Strategy<Value = Question> {
    let texts = |text: fn(&TokenTransfer) -> Option<String>, other: &str| {
        let mut found: Vec<_> = rows.iter().step_by(37).filter_map(text).collect();
        found.sort();
        found.dedup();
        found.truncate(40);
        found.push(other.to_owned());
        // Mostly nothing is asked of a key.
        prop_oneof![2 => Just(Vec::new()), 1 => proptest::sample::subsequence(found, 1..=2)]
    };
    let stranger = Address::Account([0xcd; 32]).to_string();
    let no_contract = orrery_schemas::ContractId([0xcd; 32]).to_string();
    let accounts = texts(|row| row.to.map(|address| address.to_string()), &stranger);
    let accounts = prop_oneof![3 => accounts, 1 => Just(vec![RARE.to_string()])];
    let wanted = (
        prop_oneof![Just(Vec::new()), proptest::sample::subsequence(Kind::ALL.to_vec(), 1..=2)],
        prop_oneof![3 => Just(Vec::new()), 1 => proptest::sample::subsequence(OpType::ALL.to_vec(), 1..=3)],
        texts(
            |row| row.asset.map(|asset| asset.to_string()),
            "NONE:GAAZI4TCR3TY5OJHCTJC2A4QSY6CJWJH5IAJTGKIN2ER7LBNVKOCCWN7",
        ),
        accounts,
        texts(|row| Some(row.contract_id.to_string()), &no_contract),
        proptest::option::weighted(0.2, prop_oneof![Just(0_i128), Just(1 << 70), Just(-5)]),
    )
        .prop_map(|(kinds, op_types, assets, accounts, contracts, min_amount)| Wanted {
            kinds,
            op_types,
            assets,
            accounts,
            contracts,
            min_amount,
        });
    let (first, last) = (ledgers.start().saturating_sub(3), ledgers.end() + 3);
    let place = move || {
        let event = prop_oneof![Just(0), Just(u32::MAX), 0..EVENTS + 2];
        (first..=last, event).prop_map(|(ledger, event)| Place { ledger: LedgerSequence(ledger), event })
    };
    let span = prop_oneof![
        1 => Just(Span::ALL),
        4 => (place(), place()).prop_map(|(a, b)| Span { first: a.min(b), last: a.max(b) }),
        // Within few ledgers.
        3 => (place(), 0_u32..4, 0..EVENTS).prop_map(|(first, more, event)| {
            let ledger = LedgerSequence(first.ledger.0 + more);
            Span { first, last: Place { ledger, event } }
        }),
    ];
    let order = prop_oneof![Just(Order::Ascending), Just(Order::Descending)];
    let limit =
        prop_oneof![1 => Just(None), 4 => (0_u64..400).prop_map(Some), 1 => (0_u64..40_000).prop_map(Some)];
    (wanted, span, order, limit).prop_map(|(wanted, span, order, limit)| Question {
        wanted,
        span,
        order,
        limit,
    })
}

/// Asks `cases` questions of a dataset, whose row files, if it has some, are disturbed meanwhile. Returns how many files were
/// not looked at because they have a row file.
fn check_all(
    runtime: &tokio::runtime::Runtime,
    (view, snapshot): &(DatasetView, Arc<Snapshot>),
    rows: &[TokenTransfer],
    ledgers: RangeInclusive<u32>,
    cases: u32,
    disturb: impl Fn(),
) -> u64 {
    let row_files = std::cell::Cell::new(0);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(question in questions(rows, ledgers))| {
        disturb();
        let (batches, counts) = runtime.block_on(scanned(view, snapshot, question.request())).unwrap();
        let (found, expected) = (events_of(&batches), question.answer(rows));
        row_files.set(row_files.get() + counts.row_files);
        prop_assert_eq!(counts.rows, found.len() as u64);
        if found != expected {
            let places = |rows: &[TokenTransfer]| -> Vec<_> {
                rows.iter().map(|row| (row.ledger_sequence.0, row.ledger_event_index)).take(20).collect()
            };
            prop_assert!(false, "{} of {}: {:?} of {:?}", found.len(), expected.len(), places(&found), places(&expected));
        }
        let events = runtime.block_on(events(view, snapshot, question.request())).unwrap();
        prop_assert!(events == expected, "as events: {} of {}", events.len(), expected.len());
    });
    row_files.get()
}

/// What a scan gives as events.
async fn events(
    view: &DatasetView,
    snapshot: &Arc<Snapshot>,
    request: ScanRequest,
) -> Result<Vec<TokenTransfer>, DatasetError> {
    let mut scan = view.scan(snapshot, request);
    let mut events = Vec::new();
    while let Some(next) = scan.next_events().await? {
        assert!(!next.is_empty());
        events.extend(next);
    }
    Ok(events)
}

/// Room for this many rows; parts of a row file have few rows, so that there are many.
fn room_for(rows: u64) -> RowFileLimits {
    RowFileLimits { disk_bytes_max: rows * 360, memory_bytes_max: 1 << 20 }
}

/// A view whose row files are in `folder`, and are made.
async fn view_with_row_files(
    store: &Store,
    folder: &Path,
    limits: RowFileLimits,
) -> (DatasetView, Arc<Snapshot>) {
    let view =
        DatasetView::new(store.clone(), ViewLimits::default()).with_row_files(folder.to_owned(), limits);
    assert!(view.refresh().await.unwrap());
    let snapshot = view.snapshot().unwrap();
    view.make_row_files(&snapshot).await.unwrap();
    (view, snapshot)
}

fn row_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

#[test]
fn a_scan_of_small_files_gives_what_a_look_at_every_row_gives() {
    let (runtime, store) = (runtime(), memory());
    runtime.block_on(async {
        let mut dataset = Dataset::open(&store, &settings(16, 4)).await.unwrap();
        fill(&mut dataset, 400).await.unwrap();
        for kind in TableKind::ALL {
            dataset.table_mut(kind).compact(64, 2).await.unwrap();
        }
    });
    let rows: Vec<_> = (START..=400).flat_map(made::events).collect();
    let plain = runtime.block_on(view(&store));
    assert_eq!(check_all(&runtime, &plain, &rows, START..=400, 300, || {}), 0);
    // With row files: all of them, those of the newest rows alone, and while they are cut, changed and removed.
    let home = tempfile::tempdir().unwrap();
    let all = runtime.block_on(view_with_row_files(&store, &home.path().join("all"), room_for(1 << 20)));
    assert_eq!(row_files(&home.path().join("all")).len(), all.1.files(TableKind::TokenTransfers).count());
    assert!(check_all(&runtime, &all, &rows, START..=400, 120, || {}) > 0);
    let newest = home.path().join("newest");
    let some = runtime.block_on(view_with_row_files(&store, &newest, room_for(rows.len() as u64 / 2)));
    assert!((1..row_files(&home.path().join("all")).len()).contains(&row_files(&newest).len()));
    assert!(check_all(&runtime, &some, &rows, START..=400, 120, || {}) > 0);
    let (view, snapshot) = &all;
    let turn = std::cell::Cell::new(0_usize);
    let disturb = || {
        turn.set(turn.get() + 1);
        let files = row_files(&home.path().join("all"));
        let Some(file) = files.get(turn.get() * 7 % files.len().max(1)) else {
            return runtime.block_on(view.make_row_files(snapshot)).unwrap();
        };
        let bytes = fs::read(file).unwrap();
        match turn.get() % 3 {
            0 => fs::remove_file(file).unwrap(),
            1 => fs::write(file, &bytes[..bytes.len() / 2]).unwrap(),
            // Of rows, each of which has a check; what finds them is checked when the file is found.
            _ => {
                let mut bytes = bytes;
                bytes.iter_mut().take(100).for_each(|byte| *byte ^= 0x55);
                fs::write(file, bytes).unwrap();
            }
        }
    };
    assert!(check_all(&runtime, &all, &rows, START..=400, 120, disturb) > 0);
}

#[test]
fn a_scan_of_many_pages_gives_what_a_look_at_every_row_gives() {
    let (runtime, store) = (runtime(), memory());
    runtime.block_on(large(&store));
    let rows: Vec<_> = LEDGERS.flat_map(many_events).collect();
    let plain = runtime.block_on(view(&store));
    check_all(&runtime, &plain, &rows, LEDGERS, 60, || {});
    let home = tempfile::tempdir().unwrap();
    let view = runtime.block_on(view_with_row_files(&store, home.path(), room_for(1 << 20)));
    assert!(check_all(&runtime, &view, &rows, LEDGERS, 60, || {}) > 0);
}

/// Old snapshots and new ones, while slots are added and files become one.
#[test]
fn row_files_follow_a_dataset_that_grows() {
    let (runtime, store) = (runtime(), memory());
    let home = tempfile::tempdir().unwrap();
    let view = DatasetView::new(store.clone(), ViewLimits::default())
        .with_row_files(home.path().to_owned(), room_for(1 << 20));
    let mut dataset = runtime.block_on(Dataset::open(&store, &settings(16, 4))).unwrap();
    let view = Arc::new(view);
    let mut snapshots = Vec::new();
    for last in [31, 63, 64, 127, 200] {
        runtime.block_on(async {
            fill(&mut dataset, last).await.unwrap();
            view.refresh().await.unwrap();
        });
        snapshots.push(view.snapshot().unwrap());
        if last == 127 {
            runtime.block_on(dataset.token_transfers.compact(64, 9)).unwrap();
        }
        for snapshot in &snapshots {
            let last = snapshot.last().unwrap().0;
            let rows: Vec<_> = (START..=last).flat_map(made::events).collect();
            for account in [RARE, rows[40].to.unwrap_or(RARE), rows[rows.len() - 30].from.unwrap_or(RARE)] {
                let wanted = Wanted { accounts: vec![account.to_string()], ..Wanted::default() };
                for order in [Order::Ascending, Order::Descending] {
                    let question =
                        Question { wanted: wanted.clone(), span: Span::ALL, order, limit: Some(50) };
                    let found = runtime.block_on(events(&view, snapshot, question.request())).unwrap();
                    assert!(found == question.answer(&rows), "{account} up to {last}: {} rows", found.len());
                }
            }
        }
        runtime.block_on(view.make_row_files(&snapshots[snapshots.len() - 1])).unwrap();
        let live = snapshots[snapshots.len() - 1].files(TableKind::TokenTransfers).count();
        assert_eq!(row_files(home.path()).len(), live, "those that were compacted are gone");
    }
}

/// An account whose rows are spread: nothing of the data files is read, and few bytes of the row files.
#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_in_row_files_reads_little() {
    let store = memory();
    large(&store).await;
    let home = tempfile::tempdir().unwrap();
    let (view, snapshot) = view_with_row_files(&store, home.path(), room_for(1 << 20)).await;
    let check = async |account: Address, found: usize, bytes_max: u64| {
        let mut filter = EventFilter::default();
        filter.add("account", &account.to_string()).unwrap();
        let request = ScanRequest::events(filter).order(Order::Descending).limit(100);
        let (batches, counts) = scanned(&view, &snapshot, request).await.unwrap();
        assert_eq!(events_of(&batches).len(), found);
        assert_eq!((counts.files, counts.row_files), (0, 1), "{counts:?}");
        assert!(counts.bytes <= bytes_max, "{} bytes were read", counts.bytes);
    };
    let parts = (LEDGERS.count() as u64 * u64::from(EVENTS)).div_ceil((1 << 20) / 1536);
    check(Address::Account([0xcd; 32]), 0, parts * 300).await;
    check(RARE, 2, parts * 300 + 1000).await;
    let often = many_events(333).into_iter().find_map(|row| row.to).unwrap();
    check(often, 100, 100 * 400 + 300).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rare_account_is_found_by_reading_little() {
    let home = tempfile::tempdir().unwrap();
    let store = made::files(home.path());
    large(&store).await;
    let (view, snapshot) = view(&store).await;
    let files = fs::read_dir(home.path().join("token_transfers/data")).unwrap();
    let all: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    let filter = |account: Address| {
        let mut filter = EventFilter::default();
        filter.add("account", &account.to_string()).unwrap();
        filter
    };
    let check = async |filter: EventFilter, span: Span, found: usize, row_groups: u64, share_max: u64| {
        let (batches, counts) =
            scanned(&view, &snapshot, ScanRequest::events(filter).within(span)).await.unwrap();
        assert_eq!((events_of(&batches).len(), counts.row_groups_read), (found, row_groups), "{counts:?}");
        assert!(counts.bytes * 100 <= all * share_max, "{} of {all} bytes were read", counts.bytes);
    };
    // Bloom filters and footer, and nothing else.
    check(filter(Address::Account([0xcd; 32])), Span::ALL, 0, 0, 15).await;
    check(filter(RARE), Span::ledgers(LedgerSequence(1000)..=LedgerSequence(1023)), 1, 1, 15).await;
    // Both sides of every event are looked at, since each row group has one; the rest is read for two rows alone.
    check(filter(RARE), Span::ALL, 2, 2, 80).await;
    // A ledger: one page of each column, and dictionaries, which hold most of what these rows have.
    let one = Span::ledgers(LedgerSequence(333)..=LedgerSequence(333));
    check(EventFilter::default(), one, EVENTS as usize, 1, 60).await;
    // What is in the cache is not read again.
    check(filter(Address::Account([0xcd; 32])), Span::ALL, 0, 0, 0).await;
}

#[tokio::test]
async fn ledgers_are_read_by_number_and_from_either_end() {
    let store = memory();
    let mut dataset = Dataset::open(&store, &settings(16, 4)).await.unwrap();
    fill(&mut dataset, 100).await.unwrap();
    let (view, snapshot) = view(&store).await;
    let check = async |request: ScanRequest, expect: Vec<u32>| {
        let (batches, _) = scanned(&view, &snapshot, request).await.unwrap();
        let found: Vec<_> = batches.iter().flat_map(|batch| ledgers_from_batch(batch).unwrap()).collect();
        assert_eq!(found, expect.into_iter().map(ledger).collect::<Vec<_>>());
    };
    let span = |first, last| Span::ledgers(LedgerSequence(first)..=LedgerSequence(last));
    check(ScanRequest::ledgers(), (START..=100).collect()).await;
    check(ScanRequest::ledgers().within(span(50, 50)), vec![50]).await;
    check(ScanRequest::ledgers().order(Order::Descending).limit(20), (81..=100).rev().collect()).await;
    check(ScanRequest::ledgers().within(span(40, 70)).limit(10), (40..50).collect()).await;
    check(ScanRequest::ledgers().within(span(101, 900)), vec![]).await;
    let columns = ScanRequest::ledgers().columns(&["sequence", "closed_at"]).limit(1);
    let (batches, _) = scanned(&view, &snapshot, columns).await.unwrap();
    let names: Vec<_> = batches[0].schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["sequence", "closed_at"]);
    let passed = |order, limit| {
        let (view, snapshot) = (&view, &snapshot);
        async move {
            let mut scan = view.scan(snapshot, ScanRequest::ledgers().order(order).limit(limit));
            while scan.next().await.unwrap().is_some() {}
            scan.passed().map(|place| place.ledger.0)
        }
    };
    assert_eq!(passed(Order::Ascending, 1).await, None);
    assert_eq!(passed(Order::Ascending, 1000).await, Some(100));
    assert_eq!(passed(Order::Descending, 1000).await, Some(START));
}

#[tokio::test]
async fn a_view_waits_for_its_dataset_and_follows_it() {
    let store = memory();
    let view = DatasetView::new(store.clone(), ViewLimits::default());
    assert!(!view.refresh().await.unwrap() && view.snapshot().is_none());
    for kind in TableKind::ALL {
        assert_eq!(store.list(&format!("{kind}/_delta_log")).await.unwrap(), [], "nothing is created");
    }
    let mut dataset = Dataset::open(&store, &settings(16, 4)).await.unwrap();
    assert!(view.refresh().await.unwrap());
    let empty = view.snapshot().unwrap();
    assert_eq!((empty.first(), empty.last()), (LedgerSequence(START), None));
    assert!(empty.span().is_empty());
    assert_eq!(scanned(&view, &empty, ScanRequest::ledgers()).await.unwrap().0, []);
    // The tip is what both tables have.
    made::fill_table(&mut dataset.token_transfers, 60).await.unwrap();
    assert!(view.refresh().await.unwrap());
    assert_eq!(view.snapshot().unwrap().last(), None);
    made::fill_table(&mut dataset.ledgers, 31).await.unwrap();
    assert!(view.refresh().await.unwrap());
    let early = view.snapshot().unwrap();
    assert_eq!(early.last_ledger(), Some((LedgerSequence(31), hash(31), closed_at(31))));
    let rows: Vec<_> = (START..=31).flat_map(made::events).collect();
    let all = || ScanRequest::events(EventFilter::default());
    assert_eq!(events_of(&scanned(&view, &early, all()).await.unwrap().0), rows);
    assert!(!view.refresh().await.unwrap());
    // Files that were compacted away stay readable for whoever saw them.
    fill(&mut dataset, 200).await.unwrap();
    for kind in TableKind::ALL {
        dataset.table_mut(kind).compact(64, 9).await.unwrap();
    }
    assert!(view.refresh().await.unwrap());
    assert_eq!(view.snapshot().unwrap().last(), Some(LedgerSequence(200)));
    assert_eq!(events_of(&scanned(&view, &early, all()).await.unwrap().0), rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_an_error_that_names_it() {
    let home = tempfile::tempdir().unwrap();
    let store = made::files(home.path());
    let mut dataset = Dataset::open(&store, &settings(64, 4)).await.unwrap();
    fill(&mut dataset, 63).await.unwrap();
    let data = home.path().join("token_transfers/data");
    let path = fs::read_dir(data).unwrap().next().unwrap().unwrap().path();
    let name = path.file_name().unwrap().to_str().unwrap();
    let sound = fs::read(&path).unwrap();
    let read = async || {
        // Without what is kept of the file.
        let (view, snapshot) = view(&store).await;
        let mut filter = EventFilter::default();
        filter.add("account", &RARE.to_string()).unwrap();
        let rows = scanned(&view, &snapshot, ScanRequest::events(EventFilter::default())).await;
        let rare = scanned(&view, &snapshot, ScanRequest::events(filter)).await;
        rows.and(rare)
    };
    assert!(read().await.is_ok());
    let check = async |bytes: Option<&[u8]>| {
        match bytes {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        read().await.map(|_| ()).map_err(|error| {
            assert!(error.to_string().contains(name), "{error}");
        })
    };
    for length in [0, 3, 8, sound.len() / 2, sound.len() - 1] {
        assert!(check(Some(&sound[..length])).await.is_err(), "{length} bytes");
    }
    let mut found = 0;
    for at in (0..sound.len()).step_by(sound.len() / 150) {
        let mut bytes = sound.clone();
        bytes[at] ^= 0xff;
        // A flipped byte of a value may give another value: SHA-256 is there to find that.
        found += u32::from(check(Some(&bytes)).await.is_err());
    }
    assert!(found > 50, "only {found} of 150 flipped bytes were noticed");
    assert!(check(None).await.is_err());
}
