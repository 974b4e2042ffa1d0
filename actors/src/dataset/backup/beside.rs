//! What is beside the log and goes with it: announcements of epochs, without which the log would go on otherwise than elsewhere, and
//! evidence, which may be all that tells what happened.

use crate::dataset::inventory::{ObjectKind, QUARANTINE};
use crate::dataset::slot::sha256;
use crate::dataset::store::Store;
use crate::dataset::table::content;
use crate::dataset::{DatasetError, Pace};

use super::table::{MENDS, put};
use crate::dataset::announced::{ANNOUNCEMENT_BYTES_MAX, AnnouncedEpoch, path};
use crate::dataset::file::FILE_BYTES_MAX;

/// What was copied.
#[derive(Default)]
pub(super) struct Copied {
    pub(super) objects: u64,
    pub(super) bytes: u64,
    pub(super) notes: Vec<String>,
}

/// Copies what a table's quarantine has and its copy lacks. What is damaged stays behind, and is told.
pub(super) async fn copy(
    from: &Store,
    to: &Store,
    pace: &Pace,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<Copied, DatasetError> {
    let mut copied = Copied::default();
    for listed in from.walk(QUARANTINE).await? {
        let path = format!("{QUARANTINE}/{}", listed.name);
        let ObjectKind::Evidence(digits) = ObjectKind::of(&path) else { continue };
        if to.head(&path).await?.is_some() {
            continue;
        }
        pace.take(listed.bytes).await;
        let Some(bytes) = from.read(&path, FILE_BYTES_MAX).await? else { continue };
        if !sha256(&bytes).to_string().starts_with(&digits) {
            copied.notes.push(format!("{}: damaged evidence was not copied", from.name(&path)));
            continue;
        }
        copied.objects += 1;
        copied.bytes += bytes.len() as u64;
        put(to, &path, bytes).await?;
        progress(listed.bytes);
    }
    Ok(copied)
}

/// Copies what announces epochs, before any slot: they count from their own ledgers on. Gives the last one.
pub(super) async fn announcements(from: &Store, to: &Store) -> Result<Option<AnnouncedEpoch>, DatasetError> {
    let mut last = None;
    // The first epoch is in slot 0.
    for epoch in 2.. {
        let path = path(epoch);
        let Some(bytes) = from.read(&path, ANNOUNCEMENT_BYTES_MAX).await? else { break };
        last = AnnouncedEpoch::parse(epoch, &bytes);
        if last.is_none() {
            let problem = format!("it is not as epoch {epoch} was announced; {MENDS}");
            return Err(content(from, &path, problem));
        }
        put(to, &path, bytes.clone()).await?;
        if to.read(&path, ANNOUNCEMENT_BYTES_MAX).await? != Some(bytes) {
            return Err(content(
                to,
                &path,
                format!("another epoch {epoch} is announced than in {}", from.name("")),
            ));
        }
    }
    Ok(last)
}
