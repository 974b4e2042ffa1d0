//! A real S3 server as the dataset's store.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use orrery_actors::dataset::{Dataset, DatasetUrl, Put, Retry, Store, verify};
use orrery_supervisor::Backoff;

use crate::made::{self, fill, settings};
use crate::seaweed::{KEYS, Server, weed};

fn environment(variable: &str) -> Option<String> {
    let found = KEYS.iter().find(|(name, _)| *name == variable);
    found.map(|(_, value)| (*value).to_owned())
}

fn connect(server: &Server, prefix: &str, attempts_max: u32, pause: Duration) -> Store {
    let url: DatasetUrl =
        format!("s3://lake/{prefix}?endpoint=http://{}&region=us-east-1", server.s3).parse().unwrap();
    let retry = Retry::with(attempts_max, Backoff::new(pause, pause).unwrap(), 3);
    Store::connect(&url, &environment, retry).unwrap()
}

#[tokio::test]
async fn an_s3_server_keeps_a_dataset_and_one_of_racing_writers_wins() {
    let Some(weed) = weed() else { return };
    let server = Server::start(&weed);
    connect(&server, "race", 300, Duration::from_millis(400)).self_test().await.unwrap();
    let store = connect(&server, "race", 8, Duration::from_millis(20));

    let (keys, writers) = (20, 6);
    for key in 0..keys {
        let puts =
            (0..writers).map(|writer| {
                let store = store.clone();
                async move {
                    store.put_create(&format!("key-{key}"), Bytes::from(vec![writer; 100])).await.unwrap()
                }
            });
        let puts = join_all(puts).await;
        let created: Vec<_> =
            (0..writers).filter(|writer| puts[usize::from(*writer)] == Put::Created).collect();
        assert_eq!(created.len(), 1, "key {key}: {puts:?}");
        let found = store.read(&format!("key-{key}"), 1000).await.unwrap().unwrap();
        assert_eq!(found, vec![created[0]; 100]);
    }
    let too_large = store.read("key-0", 99).await.unwrap_err();
    assert!(too_large.to_string().contains("it has 100 bytes, at most 99 are expected"), "{too_large}");
    assert_eq!(store.head("key-0").await.unwrap(), Some(100));
    assert_eq!(store.head("key-99").await.unwrap(), None);

    // Two nodes write one dataset.
    let store = connect(&server, "set", 8, Duration::from_millis(20));
    let settings = settings(16, 4);
    let (mut one, mut two) =
        (Dataset::open(&store, &settings).await.unwrap(), Dataset::open(&store, &settings).await.unwrap());
    let (first, second) = futures::join!(fill(&mut one, 200), fill(&mut two, 200));
    first.unwrap();
    second.unwrap();
    one.ledgers.compact(64, 2).await.unwrap();
    fill(&mut two, 260).await.unwrap();
    let report = verify(&store, &mut |_| {}).await.unwrap();
    assert!(report.is_sound(), "{report:?}");
    for table in report.tables {
        assert_eq!((table.rows, table.digest), made::expected(table.kind, 260));
    }
}
