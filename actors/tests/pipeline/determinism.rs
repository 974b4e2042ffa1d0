//! The dataset is a function of the ledgers: not of threads, of the mode, of objects or of where they came from.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use orrery_actors::pipeline::supervised::{PipelineLimits, SupervisedPipeline};
use orrery_actors::processor::ttp::Mode;

use crate::made::{LAST, Source, check_rows, pipeline, start};
use crate::objects::Objects;

async fn contents(per_object: u32, change: impl FnOnce(&mut SupervisedPipeline)) -> BTreeMap<String, Bytes> {
    let objects = Objects::sound();
    let mut pipeline = pipeline("main", &[Source::sound(per_object)], &objects, 16, LAST);
    change(&mut pipeline);
    start(vec![pipeline]).await.end_normally().await;
    check_rows(&objects, LAST).await;
    objects.contents().await
}

fn workers(count: u32) -> impl FnOnce(&mut SupervisedPipeline) {
    move |pipeline| pipeline.limits = PipelineLimits::for_workers(NonZeroU32::new(count).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dataset_depends_on_its_ledgers_alone() {
    let first = contents(1, |_| ()).await;
    assert!(first.keys().any(|path| path.starts_with("token_transfers/data/")));
    let check =
        |what: &str, other: BTreeMap<String, Bytes>| assert!(first == other, "{what} changes the dataset");
    check("a second run", contents(1, |_| ()).await);
    check("one worker", contents(1, workers(1)).await);
    check("seven workers", contents(1, workers(7)).await);
    check("objects of 64 ledgers", contents(64, |_| ()).await);
    check("the derived mode", contents(4, |pipeline| pipeline.mode = Mode::Derived).await);
    check("the unified mode", contents(4, |pipeline| pipeline.mode = Mode::Unified).await);
    check("another seed of jitter", contents(4, |pipeline| pipeline.seed = 99).await);
    let another = contents(4, |pipeline| pipeline.stores = vec![Arc::clone(&Source::sound(3)) as _]).await;
    check("another source", another);
}
