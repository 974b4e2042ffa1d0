//! Who told the node what, and what came of it: a file of lines, each of which has the hash of the one before. A line that is
//! changed, taken out, put in or moved shows: [`chain::verify`]. Lines cut off at the end show only to whoever noted the last
//! hash, which is why the node's log has it too.

pub(crate) mod chain;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chain::{Link, Note};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::telemetry::contract::AUDITED;
use crate::wall_clock;

/// Refusals a second that are noted: a flood of them must not fill the disk.
const REFUSALS_PER_SECOND: std::num::NonZeroU32 = std::num::NonZeroU32::MIN.saturating_add(9);

/// Name of the file in the node's data directory.
const FILE: &str = "audit.jsonl";

/// Where it is.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}

/// Notes what operators do.
pub(crate) struct Audit {
    path: PathBuf,
    open: Mutex<Option<Open>>,
    refusals: DefaultDirectRateLimiter,
}

/// The file, and the hash that the next line will have.
struct Open {
    file: File,
    last: Link,
}

impl Audit {
    /// In the node's data directory; the file is there from the first note on.
    pub(crate) fn new(data_dir: &Path) -> Arc<Self> {
        let refusals = RateLimiter::direct(Quota::per_second(REFUSALS_PER_SECOND));
        Arc::new(Self { path: path(data_dir), open: Mutex::new(None), refusals })
    }

    /// Notes what somebody did, or was not let do. What cannot be noted is told in the log and hinders nobody: whoever may
    /// stop a pipeline that does harm must be able to also when the disk is full.
    pub(crate) async fn note(self: &Arc<Self>, note: Note) {
        if note.is_refusal && self.refusals.check().is_err() {
            return;
        }
        let (audit, is_refusal) = (self.clone(), note.is_refusal);
        let noted = tokio::task::spawn_blocking(move || audit.append(&note)).await;
        let outcome = match (&noted, is_refusal) {
            (Ok(Ok(_)), true) => "refused",
            (Ok(Ok(_)), false) => "noted",
            _ => "lost",
        };
        metrics::counter!(AUDITED, "outcome" => outcome).increment(1);
        match noted {
            Ok(Ok(last)) => tracing::info!(number = last.number, hash = last.hash_hex(), "audited"),
            Ok(Err(error)) => {
                tracing::error!(%error, path = %self.path.display(), "an operator's action is not audited")
            }
            Err(error) => tracing::error!(%error, "an operator's action is not audited"),
        }
    }

    fn append(&self, note: &Note) -> io::Result<Link> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut current = match open.take() {
            Some(current) => current,
            None => self.open()?,
        };
        let (line, link) = current.last.next(wall_clock::milliseconds(), note);
        current.file.write_all(line.as_bytes())?;
        current.file.sync_data()?;
        // Only now: after a failure the file is read anew, whatever is in it.
        *open = Some(Open { last: link.clone(), ..current });
        Ok(link)
    }

    fn open(&self) -> io::Result<Open> {
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.path)?;
        let last = chain::last(&mut file)?;
        if last.is_torn {
            file.write_all(b"\n")?;
        }
        Ok(Open { file, last })
    }
}
