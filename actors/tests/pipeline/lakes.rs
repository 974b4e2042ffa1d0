//! The same ledgers from lakes of any packing, and from the generator itself, are the same dataset.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

use bytes::Bytes;
use orrery_actors::dataset::verify;
use orrery_actors::ledger::Network;
use orrery_actors::pipeline::Proof;
use orrery_actors::pipeline::supervised::{PipelineLimits, SupervisedPipeline};
use orrery_actors::processor::ttp::Mode;
use orrery_actors::source::{
    LakeLayout, LakeWriter, LedgerRange, ObjectExtension, RawLedger, SourceUrl, open, open_stores,
};
use orrery_schemas::LedgerSequence;

use crate::fixtures::fixtures;
use crate::made::{over, pipeline, settings, start};
use crate::objects::Objects;

/// On a thread of its own: reading lakes one ledger after another blocks.
fn read(url: &str) -> (Vec<RawLedger>, String) {
    std::thread::scope(|scope| scope.spawn(|| read_blocking(url)).join().unwrap())
}

fn read_blocking(url: &str) -> (Vec<RawLedger>, String) {
    let url: SourceUrl = url.parse().unwrap();
    let mut source = open(&[url], LedgerRange::default()).unwrap();
    let network = source.network_passphrase().unwrap().to_owned();
    (std::iter::from_fn(|| source.next_ledger()).map(Result::unwrap).collect(), network)
}

/// Writes ledgers as a lake of `per_object` ledgers an object.
fn pack(root: &Path, network: &str, ledgers: &[RawLedger], per_object: u32) {
    let count = |count| NonZeroU32::new(count).unwrap();
    let layout = LakeLayout::new(count(per_object), count(10));
    let config = serde_json::json!({
        "networkPassphrase": network, "version": "1.0", "compression": "zstd",
        "ledgersPerBatch": per_object, "batchesPerPartition": 10,
    });
    fs::create_dir_all(root).unwrap();
    fs::write(root.join(".config.json"), config.to_string()).unwrap();
    for part in ledgers.chunk_by(|one, other| one.sequence.0 / per_object == other.sequence.0 / per_object) {
        let (first, last) = (part[0].sequence, part[part.len() - 1].sequence);
        let head = [first.0, last.0, part.len() as u32].map(u32::to_be_bytes).concat();
        let all: Vec<_> = [&head[..]].into_iter().chain(part.iter().map(|ledger| &ledger.xdr[..])).collect();
        let path = root.join(layout.object_key(first, ObjectExtension::Zst));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, zstd::encode_all(&all.concat()[..], 1).unwrap()).unwrap();
    }
}

struct Run<'a> {
    url: &'a str,
    network: &'a str,
    range: (u32, u32),
}

impl Run<'_> {
    async fn contents(&self, change: impl FnOnce(&mut SupervisedPipeline)) -> BTreeMap<String, Bytes> {
        let objects = Objects::sound();
        let (first, last) = self.range;
        let mut pipeline = pipeline("main", &[], &objects, 4, last);
        pipeline.stores = open_stores(&[self.url.parse().unwrap()], &|_| None).await.unwrap();
        pipeline.network = Network::new(self.network);
        pipeline.settings.start_ledger = Some(LedgerSequence(first));
        pipeline.settings.network_passphrase = Some(self.network.to_owned());
        change(&mut pipeline);
        let running = start(vec![pipeline]).await;
        running.end_normally().await;
        assert_eq!(running.restarts(), Vec::<String>::new());
        let report = verify(&over(&objects), &mut |_| {}).await.unwrap();
        assert!(report.is_sound(), "{report:?}");
        objects.contents().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_ledgers_give_one_dataset_whatever_the_packing_the_mode_and_the_threads() {
    let Some(fixtures) = fixtures() else { return };
    let url = format!("file://{}", fixtures.join("lake/ledgers/pubnet").display());
    let (ledgers, network) = read(&url);
    let range = (ledgers[0].sequence.0, ledgers[ledgers.len() - 1].sequence.0);
    let run = Run { url: &url, network: &network, range };
    let first = run.contents(|_| ()).await;
    let same = |what: &str, other| assert!(first == other, "{what} changes the dataset");
    same("a second run", run.contents(|_| ()).await);
    same("one worker", run.contents(|it| it.limits = PipelineLimits::for_workers(NonZeroU32::MIN)).await);
    same("the derived mode", run.contents(|it| it.mode = Mode::Derived).await);
    same("the unified mode", run.contents(|it| it.mode = Mode::Unified).await);
    same("every proof", run.contents(|it| it.proof = Proof::Everything).await);
    for per_object in [1, 64] {
        let folder = tempfile::tempdir().unwrap();
        pack(folder.path(), &network, &ledgers, per_object);
        let url = format!("file://{}", folder.path().display());
        let packed = Run { url: &url, network: &network, range }.contents(|_| ()).await;
        same(&format!("a lake of {per_object} ledgers an object"), packed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generated_network_and_the_lake_written_from_it_give_one_dataset() {
    let url = "synthetic:?seed=3&ledgers=30&density=sparse";
    let (ledgers, network) = read(url);
    let run = Run { url, network: &network, range: (2, 31) };
    let first = run.contents(|_| ()).await;
    let folder = tempfile::tempdir().unwrap();
    let mut lake = LakeWriter::create(folder.path(), &network).unwrap();
    ledgers.iter().for_each(|ledger| lake.write(ledger.sequence, &ledger.xdr).unwrap());
    let url = format!("file://{}", folder.path().display());
    let of_lake = Run { url: &url, ..run }.contents(|_| ()).await;
    assert!(first == of_lake);
    let narrower = Run { url: &url, network: &network, range: (2, 31) };
    assert!(first != narrower.contents(|it| it.settings = settings(8)).await, "slots of another width");
}
