//! Stores that break their promises, and networks that lose answers.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use orrery_actors::dataset::{
    Dataset, DatasetError, DatasetErrorClass, Outcome, StoreError, Table, TableKind, verify,
};
use orrery_schemas::RowDigest;

use crate::made::{self, fill, over, settings};

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A create replaces what is there.
    IgnoresCreate,
    /// The same, for so many puts; then it is mended.
    IgnoredCreate(u64),
    /// Every third put is done without an answer, every seventh is not done; every fifth read breaks off.
    LosesAnswers,
}

#[derive(Debug)]
struct Faulty {
    inner: InMemory,
    fault: Fault,
    puts: AtomicU64,
    gets: AtomicU64,
}

impl Faulty {
    fn over(fault: Fault) -> Arc<dyn ObjectStore> {
        Arc::new(Self { inner: InMemory::new(), fault, puts: AtomicU64::new(0), gets: AtomicU64::new(0) })
    }

    async fn put(&self, path: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        let number = self.puts.fetch_add(1, Ordering::Relaxed);
        let timeout = || Error::Generic { store: "faulty", source: "timed out".into() };
        match self.fault {
            Fault::IgnoresCreate => options.mode = PutMode::Overwrite,
            Fault::IgnoredCreate(puts) if number < puts => options.mode = PutMode::Overwrite,
            Fault::LosesAnswers if number % 7 == 6 => return Err(timeout()),
            Fault::LosesAnswers if number % 3 == 2 => {
                self.inner.put_opts(path, payload, options).await?;
                return Err(timeout());
            }
            Fault::IgnoredCreate(_) | Fault::LosesAnswers => {}
        }
        self.inner.put_opts(path, payload, options).await
    }

    async fn get(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let number = self.gets.fetch_add(1, Ordering::Relaxed);
        if self.fault == Fault::LosesAnswers && number % 5 == 4 {
            return Err(Error::Generic { store: "faulty", source: "503 slow down".into() });
        }
        self.inner.get_opts(path, options).await
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty store")
    }
}

impl ObjectStore for Faulty {
    fn put_opts<'a, 'b, 'c>(
        &'a self,
        path: &'b Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> BoxFuture<'c, Result<PutResult>>
    where
        'a: 'c,
        'b: 'c,
    {
        Box::pin(self.put(path, payload, options))
    }

    fn put_multipart_opts<'a, 'b, 'c>(
        &'a self,
        path: &'b Path,
        options: PutMultipartOptions,
    ) -> BoxFuture<'c, Result<Box<dyn MultipartUpload>>>
    where
        'a: 'c,
        'b: 'c,
    {
        self.inner.put_multipart_opts(path, options)
    }

    fn get_opts<'a, 'b, 'c>(&'a self, path: &'b Path, options: GetOptions) -> BoxFuture<'c, Result<GetResult>>
    where
        'a: 'c,
        'b: 'c,
    {
        Box::pin(self.get(path, options))
    }

    fn get_ranges<'a, 'b, 'c, 'd>(
        &'a self,
        path: &'b Path,
        ranges: &'c [Range<u64>],
    ) -> BoxFuture<'d, Result<Vec<Bytes>>>
    where
        'a: 'd,
        'b: 'd,
        'c: 'd,
    {
        self.inner.get_ranges(path, ranges)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_delimiter<'a, 'b, 'c>(
        &'a self,
        prefix: Option<&'b Path>,
    ) -> BoxFuture<'c, Result<ListResult>>
    where
        'a: 'c,
        'b: 'c,
    {
        self.inner.list_with_delimiter(prefix)
    }

    fn copy_opts<'a, 'b, 'c, 'd>(
        &'a self,
        from: &'b Path,
        to: &'c Path,
        options: CopyOptions,
    ) -> BoxFuture<'d, Result<()>>
    where
        'a: 'd,
        'b: 'd,
        'c: 'd,
    {
        self.inner.copy_opts(from, to, options)
    }
}

#[tokio::test]
async fn a_store_that_ignores_put_if_absent_is_refused() {
    let store = over(Faulty::over(Fault::IgnoresCreate));
    let error = Dataset::open(&store, &settings(16, 4)).await.unwrap_err();
    assert!(matches!(error, DatasetError::Store(StoreError::IgnoresPutIfAbsent { .. })), "{error}");
    assert_eq!(error.class(), DatasetErrorClass::Usage);
    assert!(error.to_string().contains("faulty store/set/ does not honour put-if-absent"), "{error}");
}

#[tokio::test]
async fn a_store_that_is_mended_is_accepted_with_what_it_left_behind() {
    let store = over(Faulty::over(Fault::IgnoredCreate(4)));
    for _ in 0..2 {
        let error = store.self_test().await.unwrap_err();
        assert!(error.to_string().contains("object _orrery/put-if-absent"), "{error}");
        assert!(error.to_string().contains("nothing need be deleted"), "{error}");
    }
    for _ in 0..2 {
        store.self_test().await.unwrap();
    }
}

#[tokio::test]
async fn answers_that_are_lost_lose_no_rows() {
    let store = over(Faulty::over(Fault::LosesAnswers));
    for to in [47, 110, 260] {
        let mut dataset = Dataset::open(&store, &settings(16, 4)).await.unwrap();
        fill(&mut dataset, to).await.unwrap();
        dataset.ledgers.compact(64, 1).await.unwrap();
    }
    let report = verify(&store, &mut |_| {}).await.unwrap();
    assert!(report.is_sound(), "{report:?}");
    for table in report.tables {
        assert_eq!((table.rows, table.digest), made::expected(table.kind, 260));
    }
}

#[tokio::test]
async fn different_rows_for_the_same_ledgers_halt_and_both_sides_are_kept() {
    let home = tempfile::tempdir().unwrap();
    let store = made::files(home.path());
    let open = async || Table::open(&store, TableKind::TokenTransfers, &settings(16, 4)).await.unwrap();
    let (mut right, mut wrong) = (open().await, open().await);
    let range = right.next_range(None).unwrap();
    right.commit(made::slot(&right, range.clone())).await.unwrap();
    let mut rows = made::slot(&wrong, range);
    rows.file = None;
    rows.digest = RowDigest::default();
    let error = wrong.commit(rows).await.unwrap_err();
    assert_eq!(error.class(), DatasetErrorClass::Data);
    let DatasetError::Halted(halt) = &error else { panic!("{error}") };
    assert!(halt.reason.contains("rows with digest"), "{error}");
    let slot = home.path().join("token_transfers/_delta_log/00000000000000000001.json");
    assert_eq!(std::fs::read(&slot).unwrap(), halt.theirs);
    let mut kept: Vec<_> =
        std::fs::read_dir(&halt.kept).unwrap().map(|entry| entry.unwrap().path()).collect();
    kept.sort();
    assert_eq!(std::fs::read(&kept[0]).unwrap(), halt.ours);
    assert_eq!(std::fs::read(&kept[1]).unwrap(), halt.theirs);
    // The right writer is not disturbed.
    made::fill_table(&mut right, 100).await.unwrap();
}

#[tokio::test]
async fn a_bounded_run_beside_an_unbounded_one_supersedes_its_slot() {
    let store = made::memory();
    let open = async || Table::open(&store, TableKind::Ledgers, &settings(16, 4)).await.unwrap();
    let (mut bounded, mut unbounded) = (open().await, open().await);
    made::fill_table(&mut bounded, 9).await.unwrap();
    let range = unbounded.next_range(None).unwrap();
    assert_eq!(unbounded.commit(made::slot(&unbounded, range)).await.unwrap(), Outcome::Superseded);
    assert_eq!(unbounded.tip(), bounded.tip());
    made::fill_table(&mut unbounded, 100).await.unwrap();
    assert_eq!(
        (unbounded.tip().total_rows, unbounded.tip().total_digest),
        made::expected(TableKind::Ledgers, 100)
    );
}
