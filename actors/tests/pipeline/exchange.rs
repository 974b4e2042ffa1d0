//! A pipeline whose fetcher and sinks are on another node writes what one on a single node writes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use orrery_actors::exchange::{Compression, ExchangeLimits, RemoteNode};
use orrery_actors::pipeline::supervised::SupervisedPipeline;
use orrery_actors::pipeline::{Place, Places};
use orrery_supervisor::SeededRandom;

use crate::made::{LAST, Source, check_rows, pipeline, start};
use crate::objects::Objects;
use crate::wire::{Wire, node_at, serve};

/// The pipeline of the node that only processes: it has no stores, and a dataset of its own that must stay empty.
fn processing(fetcher: Place, sinks: Place, width: u32, to: u32) -> (SupervisedPipeline, Arc<Objects>) {
    let none = Objects::sound();
    let mut pipeline = pipeline("main", &[], &none, width, to);
    pipeline.places = Places { fetcher, sinks };
    (pipeline, none)
}

fn there(node: &Arc<RemoteNode>) -> Place {
    Place::Node(node.clone())
}

async fn local(per_object: u32, width: u32) -> BTreeMap<String, Bytes> {
    let objects = Objects::sound();
    let running = start(vec![pipeline("main", &[Source::sound(per_object)], &objects, width, LAST)]).await;
    running.end_normally().await;
    objects.contents().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_over_two_nodes_writes_the_same_bytes() {
    for (per_object, width) in [(1, 16), (64, 7), (5, 64)] {
        let objects = Objects::sound();
        let limits = ExchangeLimits::default();
        let serving = serve(pipeline("main", &[Source::sound(per_object)], &objects, width, 1), limits).await;
        let node = node_at(serving.address, limits);
        let (hub, none) = processing(there(&node), there(&node), width, LAST);
        let metrics = hub.metrics.clone();
        let running = start(vec![hub]).await;
        running.end_normally().await;
        assert_eq!(running.restarts(), Vec::<String>::new());
        assert_eq!(objects.contents().await, local(per_object, width).await, "{per_object} {width}");
        check_rows(&objects, LAST).await;
        assert!(none.contents().await.is_empty());
        let counts = metrics.counts();
        assert_eq!((counts.fetched, counts.checkpoint), (LAST.into(), LAST.into()), "{counts:?}");
        let counts = node.meter.counts();
        assert_eq!(
            (counts.streams, counts.in_flight_bytes, counts.durable),
            (0, 0, LAST.into()),
            "{counts:?}"
        );
        assert!(counts.sent_bytes > 0 && counts.received_bytes > 0, "{counts:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_stage_may_be_elsewhere_alone_or_on_a_node_of_its_own() {
    let limits = ExchangeLimits::default();
    let expect = local(4, 16).await;
    let objects = Objects::sound();
    let fetching = serve(pipeline("main", &[Source::sound(4)], &Objects::sound(), 16, 1), limits).await;
    let writing = serve(pipeline("main", &[], &objects, 16, 1), limits).await;
    let (fetching, writing) = (node_at(fetching.address, limits), node_at(writing.address, limits));
    let (hub, _) = processing(there(&fetching), there(&writing), 16, LAST);
    let running = start(vec![hub]).await;
    running.end_normally().await;
    assert_eq!((running.restarts(), objects.contents().await), (Vec::new(), expect.clone()));

    let objects = Objects::sound();
    let mut hub = pipeline("main", &[], &objects, 16, LAST);
    hub.places.fetcher = there(&fetching);
    start(vec![hub]).await.end_normally().await;
    assert_eq!(objects.contents().await, expect);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compression_changes_no_byte_of_the_dataset() {
    let expect = local(7, 16).await;
    for compression in [Compression::Lz4, Compression::Zstd] {
        let mut limits = ExchangeLimits::default();
        limits.compression = compression;
        let objects = Objects::sound();
        let serving = serve(pipeline("main", &[Source::sound(7)], &objects, 16, 1), limits).await;
        let node = node_at(serving.address, limits);
        let (hub, _) = processing(there(&node), there(&node), 16, LAST);
        start(vec![hub]).await.end_normally().await;
        assert_eq!(objects.contents().await, expect, "{compression:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_away_is_waited_for_and_costs_no_restart() {
    let limits = ExchangeLimits::default();
    let objects = Objects::sound();
    let serving = serve(pipeline("main", &[Source::sound(3)], &objects, 8, 1), limits).await;
    // More connections that give nothing than a pipeline may restart.
    let wire = Wire::new(serving.address, vec![0; 15]).await;
    let node = node_at(wire.address, limits);
    let (hub, _) = processing(there(&node), there(&node), 8, LAST);
    let running = start(vec![hub]).await;
    running.end_normally().await;
    assert_eq!((running.restarts(), wire.cuts()), (Vec::new(), 15));
    assert_eq!(objects.contents().await, local(3, 8).await);

    // Who has patience for a moment gives up after it.
    let wire = Wire::new(serving.address, vec![0; 1000]).await;
    let (mut hub, _) = processing(there(&node_at(wire.address, limits)), Place::Here, 8, LAST);
    hub.patience = Some(Duration::ZERO);
    let reason = start(vec![hub]).await.end().await;
    assert!(reason.to_string().contains("exhausted"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_at_random_cost_no_row() {
    let limits = ExchangeLimits::default();
    let expect = local(3, 8).await;
    let (mut cuts, mut random) = (0, SeededRandom::new(11));
    while cuts < 20 {
        let objects = Objects::sound();
        let serving = serve(pipeline("main", &[Source::sound(3)], &objects, 8, 1), limits).await;
        // Fewer than a pipeline may restart; bytes of the first frames up to those of half a run.
        let budgets = (0..8).map(|_| 200 + random.draw() as usize % 200_000).collect();
        let wire = Wire::new(serving.address, budgets).await;
        let node = node_at(wire.address, limits);
        let (hub, _) = processing(there(&node), there(&node), 8, LAST);
        let running = start(vec![hub]).await;
        running.end_normally().await;
        assert_eq!(objects.contents().await, expect, "after {cuts} cuts: {:?}", running.restarts());
        assert!(wire.cuts() > 0 && !running.restarts().is_empty(), "no connection broke");
        let classes = running.restarts();
        assert!(classes.iter().all(|why| why.contains("unavailable")), "{classes:?}");
        cuts += wire.cuts();
    }
}
