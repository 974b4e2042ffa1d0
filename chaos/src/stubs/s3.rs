//! An S3 server of our own, which keeps objects as files in a folder: what of S3 a dataset and a lake need, and every way in
//! which a store may fail ([`StoreFault`]). It can be told to misbehave, and to stop, while it runs.
//!
//! Signatures are not looked at; credentials are refused when [`StoreFault::Denies`] says so.

mod fault;
mod listing;
mod objects;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

pub use fault::StoreFault;
use fault::{Kind, Schedule, Wrong};
use listing::{LAST_MODIFIED, Query};
use objects::{Condition, Objects, Written, tag_of};

use super::http::{Outcome, Reply, Request, Server, Stop, locked, request};

/// What S3 gives in one page at most.
const KEYS_MAX: usize = 1000;

/// Names of which one is left out of a stale list.
const ONE_IN_STALE: usize = 2;

/// What the server has done since it started; `befallen` since its fault was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounts {
    /// Requests.
    pub requests: u64,
    /// Of these, that the present fault befell: the witness of most faults.
    pub befallen: u64,
    /// Objects read.
    pub gets: u64,
    /// Lists.
    pub lists: u64,
    /// Puts that were done at once.
    pub puts: u64,
    /// Puts that a condition refused.
    pub refused: u64,
    /// Puts that came after their client had given up, whether or not they then changed anything.
    pub late: u64,
    /// Objects that were replaced though a condition forbade it.
    pub replaced: u64,
}

#[derive(Debug)]
struct State {
    objects: Objects,
    schedule: Schedule,
    counts: StoreCounts,
    /// Names of all objects when lists became stale.
    listed: Vec<(String, u64)>,
    late: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    bucket: String,
    state: Mutex<State>,
    stop: Arc<Stop>,
}

/// The server. Dropped, it ends, and what would come late never does.
#[derive(Debug)]
pub struct S3Stub {
    server: Option<Server>,
    shared: Arc<Shared>,
    folder: PathBuf,
    address: String,
}

impl S3Stub {
    /// One with a bucket, whose objects are below `folder`/`bucket`.
    ///
    /// # Errors
    ///
    /// The file system refuses, or the system gives no port or thread.
    pub fn start(folder: &Path, bucket: &str) -> io::Result<Self> {
        std::fs::create_dir_all(folder.join(bucket))?;
        let state = State {
            objects: Objects::new(folder)?,
            schedule: Schedule::default(),
            counts: StoreCounts::default(),
            listed: Vec::new(),
            late: Vec::new(),
        };
        let stop = Arc::<Stop>::default();
        let shared =
            Arc::new(Shared { bucket: bucket.to_owned(), state: Mutex::new(state), stop: stop.clone() });
        let serves = shared.clone();
        let server = Server::start(move |request| Shared::answer(&serves, request), stop)?;
        let address = server.address().to_string();
        Ok(Self { server: Some(server), shared, folder: folder.to_owned(), address })
    }

    /// Where it listens.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// URL of a folder of the bucket.
    pub fn url(&self, prefix: &str) -> String {
        format!("s3://{}/{prefix}?endpoint={}&region=us-east-1", self.shared.bucket, self.endpoint())
    }

    /// The files of a folder of the bucket. Changed, they are changed behind the server's back (O8, O12).
    pub fn files(&self, prefix: &str) -> PathBuf {
        self.folder.join(&self.shared.bucket).join(prefix)
    }

    /// From now on every `every`-th request that the fault can befall goes wrong.
    pub fn set(&self, fault: StoreFault, every: u64) {
        let mut state = locked(&self.shared.state);
        state.schedule = Schedule::new(fault, every);
        state.listed = match fault {
            StoreFault::StaleLists => {
                let listed = state.objects.keys(&self.shared.bucket, "");
                listed.into_iter().step_by(ONE_IN_STALE).collect()
            }
            _ => Vec::new(),
        };
    }

    /// From now on it does what it should. What is to come late still does.
    pub fn heal(&self) {
        let counts = self.counts();
        let mut state = locked(&self.shared.state);
        state.counts.befallen = counts.befallen;
        state.schedule = Schedule::default();
    }

    /// What it has done.
    pub fn counts(&self) -> StoreCounts {
        let state = locked(&self.shared.state);
        StoreCounts { befallen: state.counts.befallen.max(state.schedule.befallen), ..state.counts }
    }

    /// Asks it as somebody else than the node would: status and body of its answer, if it gives one.
    pub fn ask(&self, method: &str, target: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
        request(self.server.as_ref()?.address(), method, target, body)
    }

    /// Uploads that were begun and neither completed nor given up.
    pub fn uploads(&self) -> usize {
        locked(&self.shared.state).objects.uploads()
    }
}

impl Drop for S3Stub {
    fn drop(&mut self) {
        drop(self.server.take());
        let late = std::mem::take(&mut locked(&self.shared.state).late);
        for thread in late {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn answer(this: &Arc<Self>, request: &Request) -> Outcome {
        let Some(asked) = Asked::of(request, &this.bucket) else {
            return failure(400, "InvalidRequest").into();
        };
        let mut state = locked(&this.state);
        state.counts.requests += 1;
        let wrong = state.schedule.next(asked.kind());
        let refused = match wrong {
            Some(Wrong::Refused(status, code)) => Some(failure(status, code).into()),
            Some(Wrong::Silent(time)) => Some(Outcome::SilenceThenReset(time)),
            Some(Wrong::Late(time)) => {
                this.do_later(&mut state, asked.clone(), request.body.clone(), time);
                Some(Outcome::SilenceThenReset(Duration::ZERO))
            }
            _ => None,
        };
        if let Some(refused) = refused {
            return refused;
        }
        let asked = match wrong {
            Some(Wrong::Unconditional) => asked.without_condition(&mut state),
            _ => asked,
        };
        let reply = state.reply(&asked, &request.body, wrong == Some(Wrong::Stale), &this.bucket);
        match wrong {
            Some(Wrong::LostByReset) => Outcome::SilenceThenReset(Duration::ZERO),
            Some(Wrong::LostByError) => failure(500, "InternalError").into(),
            Some(Wrong::OtherRefusal) if reply.status == 412 => {
                failure(409, "ConditionalRequestConflict").into()
            }
            Some(wrong) if reply.status < 300 => damaged(reply, wrong).into(),
            _ => reply.into(),
        }
    }

    fn do_later(self: &Arc<Self>, state: &mut State, asked: Asked, body: Vec<u8>, time: Duration) {
        let this = self.clone();
        let later = move || {
            if !this.stop.wait(time) {
                let mut state = locked(&this.state);
                state.reply(&asked, &body, false, &this.bucket);
                state.counts.late += 1;
            }
        };
        state.late.retain(|thread| !thread.is_finished());
        // Without a thread the request is lost, which is a fault too.
        state.late.extend(Builder::new().name("late put".to_owned()).spawn(later));
    }
}

/// Bodies that were read go wrong on their way.
fn damaged(mut reply: Reply, wrong: Wrong) -> Reply {
    let length = reply.body.len();
    match wrong {
        Wrong::Cut => reply.cut_after = Some(length / 2),
        Wrong::TooLong => reply.announced = Some(length + 7),
        Wrong::TooShort => reply.announced = Some(length / 2),
        Wrong::OtherBytes => {
            if let Some(byte) = reply.body.get_mut(length / 2) {
                *byte ^= 0x20;
            }
        }
        _ => {}
    }
    reply
}

/// What a request wants.
#[derive(Clone, Debug)]
enum Asked {
    Get { key: String, range: Option<String>, is_head: bool },
    List { prefix: String, delimiter: String, after: String, keys_max: usize },
    Put { key: String, condition: Condition },
    Delete { key: String },
    DeleteMany,
    BeginUpload { key: String },
    Part { upload: u64, number: u32 },
    Complete { upload: u64, condition: Condition },
    Abort { upload: u64 },
}

impl Asked {
    fn of(request: &Request, bucket: &str) -> Option<Self> {
        let key = request.path.trim_start_matches('/').to_owned();
        let is_bucket = key.trim_end_matches('/') == bucket;
        if !is_bucket && !key.starts_with(&format!("{bucket}/")) {
            return None;
        }
        let parameter = |name| request.parameter(name).unwrap_or_default().to_owned();
        let upload = || parameter("uploadId").parse().ok();
        let condition = || match (request.header("if-none-match"), request.header("if-match")) {
            (Some("*"), _) => Condition::Absent,
            (_, Some(tag)) => Condition::Unchanged(tag.to_owned()),
            _ => Condition::Always,
        };
        let has = |name| request.parameter(name).is_some();
        Some(match request.method.as_str() {
            "GET" | "HEAD" if is_bucket => Self::List {
                prefix: parameter("prefix"),
                delimiter: parameter("delimiter"),
                after: Some(parameter("continuation-token"))
                    .filter(|token| !token.is_empty())
                    .unwrap_or_else(|| parameter("start-after")),
                keys_max: parameter("max-keys").parse().unwrap_or(KEYS_MAX).min(KEYS_MAX),
            },
            method @ ("GET" | "HEAD") => Self::Get {
                key,
                range: request.header("range").map(ToOwned::to_owned),
                is_head: method == "HEAD",
            },
            "PUT" if has("uploadId") => {
                Self::Part { upload: upload()?, number: parameter("partNumber").parse().ok()? }
            }
            "PUT" if !is_bucket => Self::Put { key, condition: condition() },
            "POST" if has("delete") => Self::DeleteMany,
            "POST" if has("uploads") => Self::BeginUpload { key },
            "POST" if has("uploadId") => Self::Complete { upload: upload()?, condition: condition() },
            "DELETE" if has("uploadId") => Self::Abort { upload: upload()? },
            "DELETE" if !is_bucket => Self::Delete { key },
            _ => return None,
        })
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Get { is_head: false, .. } => Kind::Get,
            Self::List { .. } => Kind::List,
            Self::Put { condition, .. } | Self::Complete { condition, .. } => {
                Kind::Put { is_conditional: *condition == Condition::Absent }
            }
            _ => Kind::Other,
        }
    }

    /// Counted as a replacement if the condition would have refused it.
    fn without_condition(self, state: &mut State) -> Self {
        match self {
            Self::Put { key, .. } => {
                state.counts.replaced += u64::from(state.objects.read(&key).is_some());
                Self::Put { key, condition: Condition::Always }
            }
            other => other,
        }
    }
}

impl State {
    fn reply(&mut self, asked: &Asked, body: &[u8], is_stale: bool, bucket: &str) -> Reply {
        match asked {
            Asked::Get { key, range, .. } => {
                self.counts.gets += 1;
                self.objects
                    .read(key)
                    .map_or_else(|| failure(404, "NoSuchKey"), |bytes| content(bytes, range.as_deref()))
            }
            Asked::List { prefix, delimiter, after, keys_max } => {
                self.counts.lists += 1;
                let keys = match is_stale {
                    true => self.listed.iter().filter(|(key, _)| key.starts_with(prefix)).cloned().collect(),
                    false => self.objects.keys(bucket, prefix),
                };
                let query = Query { bucket, prefix, delimiter, after, keys_max: *keys_max };
                xml(listing::page(&query, &keys))
            }
            Asked::Put { key, condition } => {
                let written = self.objects.write(key, body, condition);
                self.written(written)
            }
            Asked::Delete { key } => {
                self.objects.remove(key);
                Reply::new(204, "")
            }
            Asked::DeleteMany => {
                let names = listing::deleted(&String::from_utf8_lossy(body));
                names.iter().for_each(|name| self.objects.remove(&format!("{bucket}/{name}")));
                xml(listing::deletion(&names))
            }
            Asked::BeginUpload { key } => {
                let upload = self.objects.begin_upload(key);
                xml(format!(
                    "<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
                ))
            }
            Asked::Part { upload, number } => self
                .objects
                .part(*upload, *number, body)
                .map_or_else(|| failure(404, "NoSuchUpload"), |tag| Reply::new(200, "").with("ETag", tag)),
            Asked::Complete { upload, condition } => match self.objects.complete(*upload, condition) {
                Ok(None) => failure(404, "NoSuchUpload"),
                Ok(Some(written)) => self.completed(written),
                Err(error) => self.written(Err(error)),
            },
            Asked::Abort { upload } => match self.objects.abort(*upload) {
                true => Reply::new(204, ""),
                false => failure(404, "NoSuchUpload"),
            },
        }
    }

    fn written(&mut self, written: io::Result<Written>) -> Reply {
        match written {
            Ok(Written::Done(tag)) => {
                self.counts.puts += 1;
                Reply::new(200, "").with("ETag", tag)
            }
            Ok(Written::Refused) => {
                self.counts.refused += 1;
                failure(412, "PreconditionFailed")
            }
            Ok(Written::Missing) => failure(404, "NoSuchKey"),
            Err(_) => failure(500, "InternalError"),
        }
    }

    fn completed(&mut self, written: Written) -> Reply {
        let Written::Done(tag) = &written else { return self.written(Ok(written)) };
        let tag = listing::escaped(tag);
        let text =
            format!("<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>");
        let reply = self.written(Ok(written));
        Reply { body: text.into_bytes(), ..reply }
    }
}

/// All of an object, or the part that is asked for.
fn content(bytes: Vec<u8>, range: Option<&str>) -> Reply {
    let tag = tag_of(&bytes);
    let length = bytes.len();
    let reply = match range.and_then(|range| range.strip_prefix("bytes=")) {
        None => Reply::new(200, bytes),
        Some(range) => match span(range, length) {
            Some((first, end)) => Reply::new(206, bytes.get(first..end).unwrap_or_default())
                .with("Content-Range", format!("bytes {first}-{}/{length}", end - 1)),
            None => failure(416, "InvalidRange"),
        },
    };
    reply.with("ETag", tag).with("Last-Modified", LAST_MODIFIED).with("Accept-Ranges", "bytes")
}

/// First byte and end of a range of an object; `None` if nothing of it is there.
fn span(range: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = range.split_once('-')?;
    let (first, end) = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) => (first, last.saturating_add(1).min(length)),
        (Ok(first), Err(_)) => (first, length),
        (Err(_), Ok(count)) => (length.saturating_sub(count), length),
        (Err(_), Err(_)) => return None,
    };
    (first < end).then_some((first, end))
}

fn xml(text: String) -> Reply {
    Reply::new(200, text).with("Content-Type", "application/xml")
}

fn failure(status: u16, code: &str) -> Reply {
    Reply::new(status, listing::error(code, "as a fault")).with("Content-Type", "application/xml")
}

#[cfg(test)]
mod tests;
