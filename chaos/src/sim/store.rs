//! A simulated object store: requests take time, and faults of the catalogue (O1 to O12) are done to them.
//!
//! A request that changes something arrives at the store whatever becomes of its sender: of a writer that was killed, or
//! that gave up, the put may still be applied, minutes later.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use sha2::{Digest, Sha256};

use super::world::{Micros, World};
use crate::history::Op;

/// How often each fault is done, in a thousand requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StoreFaults {
    /// O1, O2: an error, and nothing was done.
    pub(super) refused: u32,
    /// O3: done, and the answer is lost.
    pub(super) answer_lost: u32,
    /// O4: a conflict (409), whether or not something is there.
    pub(super) conflict: u32,
    /// O5: the sender gives up, and the put is applied later.
    pub(super) late: u32,
    /// O6: a listing lacks what was written lately.
    pub(super) stale_list: u32,
    /// O7: fewer bytes come than were promised.
    pub(super) truncated: u32,
    /// O10: 403, as of credentials that have expired.
    pub(super) denied: u32,
    /// O11: put-if-absent replaces what is there.
    pub(super) replaces: bool,
}

/// Longest time after which a put that was given up is applied.
pub(super) const LATE_MAX: Micros = 600_000_000;

/// When a client gives up.
const GIVES_UP: Micros = 3_000_000;

/// One store, which several clients reach.
#[derive(Clone)]
pub(super) struct SimStore {
    world: World,
    name: Arc<str>,
    objects: Arc<InMemory>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    faults: StoreFaults,
    cut_off: std::collections::BTreeSet<String>,
    /// How often each fault was done: its witness.
    done: std::collections::BTreeMap<&'static str, u64>,
    /// Somebody has changed what never changes: that readers see it is no news.
    is_tampered: bool,
    /// Objects that stale listings lack.
    recent: Vec<(Micros, Path)>,
}

/// The store as one process reaches it.
#[derive(Clone)]
pub(super) struct StoreClient {
    store: SimStore,
    who: Arc<str>,
}

impl SimStore {
    /// An empty one.
    pub(super) fn new(world: &World, name: &str) -> Self {
        Self {
            world: world.clone(),
            name: name.into(),
            objects: Arc::new(InMemory::new()),
            state: Arc::new(Mutex::new(State::default())),
        }
    }

    /// As `who` reaches it.
    pub(super) fn client(&self, who: &str) -> Arc<dyn ObjectStore> {
        Arc::new(StoreClient { store: self.clone(), who: who.into() })
    }

    /// Which faults are done from now on.
    pub(super) fn set_faults(&self, faults: StoreFaults) {
        self.with(|state| state.faults = faults);
    }

    /// Cuts a client off, or joins it again.
    pub(super) fn cut(&self, who: &str, is_cut: bool) {
        self.world.trace(format_args!("{who} cut off from {}: {is_cut}", self.name));
        self.with(
            |state| if is_cut { state.cut_off.insert(who.to_owned()) } else { state.cut_off.remove(who) },
        );
    }

    /// How often each fault was done.
    pub(super) fn faults_done(&self) -> Vec<(&'static str, u64)> {
        self.with(|state| state.done.iter().map(|(fault, count)| (*fault, *count)).collect())
    }

    /// All objects by name, as they are.
    pub(super) fn dump(&self) -> Vec<(String, Bytes)> {
        let listed = self.objects.list(None).try_collect::<Vec<_>>().now_or_never();
        let mut found: Vec<_> = listed.and_then(Result::ok).unwrap_or_default();
        found.sort_by(|a, b| a.location.cmp(&b.location));
        found
            .iter()
            .filter_map(|meta| Some((meta.location.to_string(), self.peek(&meta.location)?)))
            .collect()
    }

    fn peek(&self, path: &Path) -> Option<Bytes> {
        let got = self.objects.get(path).now_or_never()?.ok()?;
        got.bytes().now_or_never()?.ok()
    }

    /// O8, O12: changes what is there behind everybody's back. `None` deletes.
    pub(super) fn overwrite(&self, path: &str, bytes: Option<Bytes>) {
        let path = Path::from(path);
        self.world.trace(format_args!("{} {path} overwritten", self.name));
        let _ = match bytes {
            Some(bytes) => self.objects.put(&path, bytes.into()).now_or_never().map(|done| done.map(|_| ())),
            None => self.objects.delete(&path).now_or_never(),
        };
        self.with(|state| state.is_tampered = true);
        self.done("O12");
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn done(&self, fault: &'static str) {
        self.with(|state| *state.done.entry(fault).or_default() += 1);
    }

    fn failed(&self, reason: &'static str) -> Error {
        Error::Generic { store: "sim", source: reason.into() }
    }

    fn apply(&self, who: &str, path: &Path, bytes: Bytes, options: PutOptions) -> Result<PutResult> {
        let replaces = self.with(|state| state.faults.replaces);
        let mode = match options.mode {
            PutMode::Create if replaces => PutMode::Overwrite,
            other => other,
        };
        let options = PutOptions { mode, ..options };
        let digest = short_hash(&bytes);
        let applied = self.objects.put_opts(path, bytes.into(), options).now_or_never();
        let applied = applied.unwrap_or_else(|| Err(self.failed("the memory waits")));
        self.world.trace(format_args!("{} {who} put {path} {digest} {}", self.name, is_ok(&applied)));
        if applied.is_ok() {
            let now = self.world.now();
            self.with(|state| state.recent.push((now, path.clone())));
        }
        applied
    }
}

fn is_ok<T>(result: &Result<T>) -> &'static str {
    match result {
        Ok(_) => "done",
        Err(Error::AlreadyExists { .. }) => "exists",
        Err(_) => "failed",
    }
}

/// The first 16 hexadecimal digits of the SHA-256.
pub(super) fn short_hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Done,
    Refused,
    AnswerLost,
    Conflict,
    Late,
    Denied,
}

impl StoreClient {
    fn fate(&self, changes: bool) -> Fate {
        let (faults, is_cut) = self.store.with(|state| (state.faults, state.cut_off.contains(&*self.who)));
        let draw = u32::try_from(self.store.world.below(1000)).unwrap_or(0);
        if is_cut {
            // A cut may fall between a request and its answer.
            return if changes && draw < 300 { Fate::Late } else { Fate::Refused };
        }
        let kinds = [
            (faults.refused, Fate::Refused),
            (faults.denied, Fate::Denied),
            (if changes { faults.answer_lost } else { 0 }, Fate::AnswerLost),
            (if changes { faults.conflict } else { 0 }, Fate::Conflict),
            (if changes { faults.late } else { 0 }, Fate::Late),
        ];
        let mut bound = 0;
        for (per_mille, fate) in kinds {
            bound += per_mille;
            if draw < bound {
                return fate;
            }
        }
        Fate::Done
    }

    async fn put(&self, path: &Path, bytes: Bytes, options: PutOptions) -> Result<PutResult> {
        let store = self.store.clone();
        let world = &store.world;
        let (there, back) = (world.micros(500, 20_000), world.micros(500, 20_000));
        let fate = self.fate(true);
        let send = |after: Micros| {
            let answer = Arc::new(Mutex::new(None));
            let (to, store, who, path) = (Arc::clone(&answer), store.clone(), self.who.clone(), path.clone());
            let (bytes, options) = (bytes.clone(), options.clone());
            world.later(after, move || {
                let applied = store.apply(&who, &path, bytes, options);
                *to.lock().unwrap_or_else(PoisonError::into_inner) = Some(applied);
            });
            answer
        };
        match fate {
            Fate::Done => {
                let answer = send(there);
                world.sleep(there + back).await;
                let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
                answer.unwrap_or_else(|| Err(store.failed("no answer")))
            }
            Fate::Refused => {
                store.done("O1");
                world.sleep(there + back).await;
                Err(store.failed("503 slow down"))
            }
            Fate::Denied => {
                store.done("O10");
                world.sleep(there + back).await;
                Err(Error::PermissionDenied {
                    path: path.to_string(),
                    source: "credentials have expired".into(),
                })
            }
            Fate::AnswerLost => {
                store.done("O3");
                send(there);
                world.sleep(GIVES_UP).await;
                Err(store.failed("no answer in time"))
            }
            Fate::Conflict => {
                store.done("O4");
                if world.chance(500) {
                    send(there);
                }
                world.sleep(there + back).await;
                Err(Error::AlreadyExists { path: path.to_string(), source: "409 conflict".into() })
            }
            Fate::Late => {
                store.done("O5");
                let late = if world.chance(300) { LATE_MAX } else { 5 * GIVES_UP };
                send(world.micros(there, late));
                world.sleep(GIVES_UP).await;
                Err(store.failed("no answer in time"))
            }
        }
    }

    /// Before a request that changes nothing.
    async fn ask(&self, path: &str) -> Result<()> {
        let store = &self.store;
        let fate = self.fate(false);
        store.world.sleep(store.world.micros(500, 20_000)).await;
        match fate {
            Fate::Refused => {
                store.done("O1");
                Err(store.failed("503 slow down"))
            }
            Fate::Denied => {
                store.done("O10");
                let path = path.to_owned();
                Err(Error::PermissionDenied { path, source: "credentials have expired".into() })
            }
            Fate::Done | Fate::AnswerLost | Fate::Conflict | Fate::Late => Ok(()),
        }
    }

    async fn answer(&self) {
        self.store.world.sleep(self.store.world.micros(500, 20_000)).await;
    }

    /// What this client saw of a slot: no two may ever see different bytes.
    fn saw(&self, path: &Path, bytes: &[u8]) {
        if self.store.with(|state| state.is_tampered) {
            return;
        }
        if path.as_ref().contains("_delta_log/") && path.as_ref().ends_with(".json") {
            let object = format!("{}/{path}", self.store.name);
            self.store.world.saw(&self.who, Op::Saw { object, hash: short_hash(bytes) });
        }
    }

    /// Objects that a stale listing lacks.
    fn hidden(&self) -> Vec<Path> {
        let faults = self.store.with(|state| state.faults);
        if !self.store.world.chance(faults.stale_list) {
            return Vec::new();
        }
        self.store.done("O6");
        let since = self.store.world.now().saturating_sub(10_000_000);
        self.store.with(|state| {
            state.recent.iter().filter(|(at, _)| *at >= since).map(|(_, path)| path.clone()).collect()
        })
    }

    async fn listed(&self, prefix: Option<Path>) -> Result<Vec<ObjectMeta>> {
        self.ask("a folder").await?;
        let hidden = self.hidden();
        let found: Vec<ObjectMeta> = self.store.objects.list(prefix.as_ref()).try_collect().await?;
        self.answer().await;
        Ok(found.into_iter().filter(|meta| !hidden.contains(&meta.location)).collect())
    }
}

impl fmt::Debug for StoreClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for StoreClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sim:{}", self.store.name)
    }
}

#[async_trait]
impl ObjectStore for StoreClient {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.put(location, payload.into(), options).await
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(Error::NotImplemented { operation: "uploads in parts".to_owned(), implementer: "sim".to_owned() })
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.ask(location.as_ref()).await?;
        let is_whole = options.range.is_none() && !options.head;
        let got = self.store.objects.get_opts(location, options).await;
        self.answer().await;
        let mut got = got?;
        if !is_whole {
            return Ok(got);
        }
        let payload = std::mem::replace(&mut got.payload, GetResultPayload::Stream(stream::empty().boxed()));
        let GetResultPayload::Stream(parts) = payload else { return Ok(got) };
        let bytes: Vec<Bytes> = parts.try_collect().await?;
        let bytes = Bytes::from(bytes.concat());
        let truncated = self.store.with(|state| state.faults.truncated);
        let came = if self.store.world.chance(truncated) {
            self.store.done("O7");
            bytes.slice(..self.store.world.below(bytes.len()))
        } else {
            self.saw(location, &bytes);
            bytes
        };
        got.payload = GetResultPayload::Stream(stream::once(async move { Ok(came) }).boxed());
        Ok(got)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.ask(location.as_ref()).await?;
        let got = self.store.objects.get_ranges(location, ranges).await;
        self.answer().await;
        got
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let client = self.clone();
        locations
            .then(move |location| {
                let client = client.clone();
                async move {
                    let location = location?;
                    client.ask(location.as_ref()).await?;
                    client
                        .store
                        .world
                        .trace(format_args!("{} {} delete {location}", client.store.name, client.who));
                    client.store.objects.delete(&location).await?;
                    client.answer().await;
                    Ok(location)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (client, prefix) = (self.clone(), prefix.cloned());
        stream::once(async move { client.listed(prefix).await })
            .map_ok(|found| stream::iter(found.into_iter().map(Ok)))
            .try_flatten()
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.ask("a folder").await?;
        let hidden = self.hidden();
        let mut found = self.store.objects.list_with_delimiter(prefix).await?;
        self.answer().await;
        found.objects.retain(|meta| !hidden.contains(&meta.location));
        Ok(found)
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(Error::NotImplemented { operation: "copies".to_owned(), implementer: "sim".to_owned() })
    }
}
