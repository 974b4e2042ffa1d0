use std::fs;
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{
    ClientOptions, Error, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    RetryConfig, UpdateVersion,
};
use orrery_supervisor::{Clock, SystemClock};

use super::*;

struct Home {
    folder: tempfile::TempDir,
    stub: S3Stub,
    client: AmazonS3,
}

fn home() -> Home {
    let folder = tempfile::tempdir().unwrap();
    let stub = S3Stub::start(folder.path(), "bucket").unwrap();
    let client = AmazonS3Builder::new()
        .with_bucket_name("bucket")
        .with_endpoint(stub.endpoint())
        .with_region("us-east-1")
        .with_access_key_id("key")
        .with_secret_access_key("secret")
        .with_client_options(ClientOptions::new().with_allow_http(true))
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
        .build()
        .unwrap();
    Home { folder, stub, client }
}

impl Home {
    async fn put(&self, key: &str, bytes: &'static str, mode: PutMode) -> Result<(), Error> {
        let (key, payload) = (Key::from(key), PutPayload::from(bytes));
        self.client.put_opts(&key, payload, PutOptions::from(mode)).await.map(drop)
    }

    async fn get(&self, key: &str) -> Result<Vec<u8>, Error> {
        Ok(self.client.get(&Key::from(key)).await?.bytes().await?.to_vec())
    }

    fn stored(&self, key: &str) -> Option<String> {
        fs::read_to_string(self.folder.path().join("bucket").join(key)).ok()
    }
}

/// Waits for what another thread does.
async fn until(holds: impl Fn() -> bool) {
    let clock = SystemClock::new();
    let begun = clock.now();
    while !holds() {
        assert!(clock.now().since(begun) < Duration::from_secs(60), "it does not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_client_finds_what_it_put_and_conditions_hold() {
    let home = home();
    home.put("set/a b", "one", PutMode::Create).await.unwrap();
    let taken = home.put("set/a b", "two", PutMode::Create).await.unwrap_err();
    assert!(matches!(taken, Error::AlreadyExists { .. }), "{taken}");
    assert_eq!(home.get("set/a b").await.unwrap(), b"one");
    let found = home.client.head(&Key::from("set/a b")).await.unwrap();
    assert_eq!(found.size, 3);
    let update = |e_tag| PutMode::Update(UpdateVersion { e_tag, version: None });
    home.put("set/a b", "three", update(found.e_tag.clone())).await.unwrap();
    let changed = home.put("set/a b", "four", update(found.e_tag)).await.unwrap_err();
    assert!(matches!(changed, Error::Precondition { .. }), "{changed}");
    let ranges = [1..3, 0..1];
    let parts = home.client.get_ranges(&Key::from("set/a b"), &ranges).await.unwrap();
    assert_eq!(parts, ["hr", "t"]);
    let end = object_store::GetOptions { range: Some(GetRange::Suffix(2)), ..Default::default() };
    let end = home.client.get_opts(&Key::from("set/a b"), end).await.unwrap().bytes().await.unwrap();
    assert_eq!(end, "ee");
    let missing = home.get("set/none").await.unwrap_err();
    assert!(matches!(missing, Error::NotFound { .. }), "{missing}");
    home.client.delete(&Key::from("set/a b")).await.unwrap();
    assert_eq!(home.stored("set/a b"), None);
    assert_eq!(home.stub.counts().befallen, 0);
}

#[tokio::test]
async fn lists_come_in_pages_and_many_are_deleted_at_once() {
    let home = home();
    let folder = home.stub.files("set/x");
    fs::create_dir_all(&folder).unwrap();
    (0..1203).for_each(|number| fs::write(folder.join(format!("{number:04}")), "").unwrap());
    fs::write(home.stub.files("set/top"), "").unwrap();
    let prefix = Key::from("set");
    let all: Vec<_> = home.client.list(Some(&prefix)).try_collect().await.unwrap();
    assert_eq!(all.len(), 1204);
    let level = home.client.list_with_delimiter(Some(&prefix)).await.unwrap();
    assert!(level.objects.len() == 1 && level.common_prefixes.len() == 1, "{level:?}");
    let names = futures::stream::iter(all.into_iter().map(|object| Ok(object.location)));
    let deleted: Vec<_> = home.client.delete_stream(Box::pin(names)).try_collect().await.unwrap();
    assert_eq!(deleted.len(), 1204);
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
}

#[tokio::test]
async fn an_upload_in_parts_appears_when_it_is_complete() {
    let home = home();
    let key = Key::from("set/large");
    let mut abandoned = home.client.put_multipart(&key).await.unwrap();
    abandoned.put_part("never".into()).await.unwrap();
    let mut upload = home.client.put_multipart(&key).await.unwrap();
    upload.put_part("first ".into()).await.unwrap();
    upload.put_part("second".into()).await.unwrap();
    assert_eq!((home.stored("set/large"), home.stub.uploads()), (None, 2));
    upload.complete().await.unwrap();
    assert_eq!(home.stored("set/large").unwrap(), "first second");
    abandoned.abort().await.unwrap();
    assert_eq!(home.stub.uploads(), 0);
}

/// What a put comes to while a fault is on: what the client is told, and what is then there.
#[tokio::test]
async fn puts_fail_as_the_fault_says() {
    let home = home();
    let check = async |fault, told: &str, there: bool| {
        home.stub.set(fault, 1);
        let error = home.put("x", "new", PutMode::Create).await.unwrap_err();
        assert!(format!("{error:?}").contains(told), "{fault:?}: {error:?}");
        assert_eq!(home.stored("x").is_some(), there, "{fault:?}");
        assert_eq!(home.stub.counts().befallen, 1, "{fault:?}");
        home.stub.heal();
        let _ = fs::remove_file(home.stub.files("x"));
    };
    check(StoreFault::Throttles, "503", false).await;
    check(StoreFault::SilentBefore(Duration::from_millis(1)), "", false).await;
    check(StoreFault::AnswerLost, "", true).await;
    check(StoreFault::Denies, "ExpiredToken", false).await;
    fs::write(home.stub.files("x"), "old").unwrap();
    check(StoreFault::Conflicts, "AlreadyExists", true).await;
}

#[tokio::test]
async fn a_put_that_comes_late_changes_nothing_that_is_there() {
    let home = home();
    home.stub.set(StoreFault::AppliesLate(Duration::from_millis(1)), 1);
    home.put("late", "first", PutMode::Create).await.unwrap_err();
    until(|| home.stub.counts().late == 1).await;
    assert_eq!(home.stored("late").unwrap(), "first");
    home.put("late", "second", PutMode::Create).await.unwrap_err();
    until(|| home.stub.counts().late == 2).await;
    assert_eq!(home.stored("late").unwrap(), "first");
}

#[tokio::test]
async fn a_store_that_ignores_conditions_replaces() {
    let home = home();
    home.stub.set(StoreFault::IgnoresConditions, 1);
    home.put("x", "one", PutMode::Create).await.unwrap();
    home.put("x", "two", PutMode::Create).await.unwrap();
    assert_eq!(home.stored("x").unwrap(), "two");
    assert_eq!(home.stub.counts().replaced, 1);
}

#[tokio::test]
async fn stale_lists_lack_what_came_later_and_half_of_the_rest() {
    let home = home();
    for name in ["a", "b", "c", "d"] {
        home.put(name, "", PutMode::Create).await.unwrap();
    }
    home.stub.set(StoreFault::StaleLists, 1);
    home.put("e", "", PutMode::Create).await.unwrap();
    let listed = async || home.client.list(None).try_collect::<Vec<_>>().await.unwrap().len();
    assert_eq!(listed().await, 2);
    home.stub.heal();
    assert_eq!(listed().await, 5);
}

#[tokio::test]
async fn bodies_are_cut_lengthened_shortened_and_changed() {
    let home = home();
    home.put("x", "0123456789", PutMode::Create).await.unwrap();
    home.stub.set(StoreFault::BadBodies, 1);
    let client = Arc::new(home.client.clone());
    for turn in ["cut", "announced as longer"] {
        assert!(client.get(&Key::from("x")).await.unwrap().bytes().await.is_err(), "{turn}");
    }
    assert_eq!(home.get("x").await.unwrap(), b"01234");
    assert_eq!(home.get("x").await.unwrap(), b"01234\x156789");
    assert_eq!(home.stub.counts().befallen, 4);
    home.stub.heal();
    assert_eq!(home.get("x").await.unwrap(), b"0123456789");
}
