//! A store of the dataset that stops, fails, or loses answers as a test says.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::watch;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Done,
    /// Not done, and answered so that it may be tried again.
    Fails,
    /// Done, and the answer is lost.
    AnswerLost,
    /// Done when the gate opens.
    Waits,
    /// Done even if there is something that must not be replaced.
    Replaces,
}

/// A request: whether it is a put, and of which object.
type Rule = dyn Fn(bool, &str) -> Fate + Send + Sync;

pub(crate) struct Objects {
    inner: InMemory,
    rule: Box<Rule>,
    gate: watch::Sender<bool>,
}

impl Objects {
    pub(crate) fn new(rule: impl Fn(bool, &str) -> Fate + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { inner: InMemory::new(), rule: Box::new(rule), gate: watch::Sender::new(false) })
    }

    /// A store without a fault.
    pub(crate) fn sound() -> Arc<Self> {
        Self::new(|_, _| Fate::Done)
    }

    pub(crate) fn open_gate(&self) {
        self.gate.send_replace(true);
    }

    /// Everything in it but the object of the self-test.
    pub(crate) async fn contents(&self) -> BTreeMap<String, Bytes> {
        let found: Vec<_> = self.inner.list(None).try_collect().await.unwrap();
        let mut contents = BTreeMap::new();
        for object in found {
            let bytes = self.inner.get(&object.location).await.unwrap().bytes().await.unwrap();
            contents.insert(object.location.to_string(), bytes);
        }
        contents.retain(|path, _| !path.starts_with("_orrery/"));
        contents
    }

    async fn put(&self, path: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        let fate = (self.rule)(true, path.as_ref());
        self.await_fate(fate).await?;
        if fate == Fate::Replaces {
            options.mode = PutMode::Overwrite;
        }
        let done = self.inner.put_opts(path, payload, options).await;
        if fate == Fate::AnswerLost { Err(failure()) } else { done }
    }

    async fn get(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.await_fate((self.rule)(false, path.as_ref())).await?;
        self.inner.get_opts(path, options).await
    }

    async fn await_fate(&self, fate: Fate) -> Result<()> {
        match fate {
            Fate::Done | Fate::AnswerLost | Fate::Replaces => {}
            Fate::Fails => return Err(failure()),
            Fate::Waits => drop(self.gate.subscribe().wait_for(|open| *open).await.unwrap()),
        }
        Ok(())
    }
}

fn failure() -> Error {
    Error::Generic { store: "objects", source: "503 slow down".into() }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Objects")
    }
}

impl fmt::Display for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("objects of a test")
    }
}

impl ObjectStore for Objects {
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
