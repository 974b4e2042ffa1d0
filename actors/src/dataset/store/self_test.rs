//! The proof, at every start, that a store honours put-if-absent: the first bytes under a name stay.
//!
//! One object is used again and again, so that a start leaves nothing behind, and two starts at once disturb nobody. What it
//! holds is of no account, only that it stays: a store that once replaced it, and was mended since, passes.

use bytes::Bytes;

use super::{Put, Store};
use crate::dataset::error::StoreError;
use crate::dataset::inventory::SELF_TEST_PATH as PATH;

/// What a store may have under the name, if nobody's bytes were damaged.
pub(in crate::dataset) const CONTENTS: [&[u8]; 2] = [FIRST, SECOND];

const FIRST: &[u8] = b"the first bytes under a name stay\n";
const SECOND: &[u8] = b"a second writer must not see its own bytes here\n";

/// More than either has, and somebody's who took the name.
const READ_BYTES_MAX: u64 = 4096;

pub(super) async fn run(store: &Store) -> Result<(), StoreError> {
    let refused = |finding: &str| StoreError::IgnoresPutIfAbsent {
        store: store.name(""),
        finding: format!("{finding}; object {PATH}"),
    };
    let first = put_first(store).await?;
    // Bytes that are told from those that are there.
    let second = if first == SECOND { FIRST } else { SECOND };
    for attempt in 1..=store.attempts_max() {
        match store.put_create(PATH, Bytes::from_static(second)).await? {
            Put::Created => return Err(refused("a second create of one name succeeded")),
            Put::Exists => {
                return match read(store).await? {
                    Some(bytes) if bytes == first => Ok(()),
                    Some(_) => Err(refused("the bytes under a name changed though it was taken")),
                    None => Err(refused("the name was taken, but nothing is there")),
                };
            }
            Put::Unknown => store.pause(attempt).await,
        }
    }
    Err(unavailable(store))
}

/// Gives the first bytes, or somebody's, when they are certainly there.
async fn put_first(store: &Store) -> Result<Bytes, StoreError> {
    for attempt in 1..=store.attempts_max() {
        // Whatever the answer: only what can be read is there.
        store.put_create(PATH, Bytes::from_static(FIRST)).await?;
        if let Some(found) = read(store).await? {
            return Ok(found);
        }
        store.pause(attempt).await;
    }
    Err(unavailable(store))
}

async fn read(store: &Store) -> Result<Option<Bytes>, StoreError> {
    store.read(PATH, READ_BYTES_MAX).await
}

fn unavailable(store: &Store) -> StoreError {
    StoreError::Unavailable {
        action: "create",
        path: store.name(PATH),
        reason: "no clear answer".to_owned(),
        attempts: store.attempts_max(),
    }
}
