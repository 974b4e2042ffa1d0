//! The proof, at every start, that a store honours put-if-absent: the first bytes under a name stay.
//!
//! One object is used again and again, so that a start leaves nothing behind, and two starts at once disturb nobody.

use bytes::Bytes;

use super::{Put, Store};
use crate::dataset::error::StoreError;

const PATH: &str = "_orrery/put-if-absent";
const FIRST: &[u8] = b"the first bytes under a name stay\n";
const SECOND: &[u8] = b"a second writer must not see its own bytes here\n";

pub(super) async fn run(store: &Store) -> Result<(), StoreError> {
    let refused = |finding: &str| StoreError::IgnoresPutIfAbsent {
        store: store.name(""),
        finding: format!("{finding}; object {PATH}"),
    };
    put_first(store).await?;
    for attempt in 1..=store.attempts_max() {
        match store.put_create(PATH, Bytes::from_static(SECOND)).await? {
            Put::Created => return Err(refused("a second create of one name succeeded")),
            Put::Exists => {
                return match read(store).await?.as_deref() {
                    Some(bytes) if bytes == FIRST => Ok(()),
                    Some(_) => Err(refused("the name holds other bytes than the first ones")),
                    None => Err(refused("the name was taken, but nothing is there")),
                };
            }
            Put::Unknown => store.pause(attempt).await,
        }
    }
    Err(unavailable(store))
}

/// Returns when the first bytes, or somebody's, are certainly there.
async fn put_first(store: &Store) -> Result<(), StoreError> {
    for attempt in 1..=store.attempts_max() {
        // Whatever the answer: only what can be read is there.
        store.put_create(PATH, Bytes::from_static(FIRST)).await?;
        if read(store).await?.is_some() {
            return Ok(());
        }
        store.pause(attempt).await;
    }
    Err(unavailable(store))
}

async fn read(store: &Store) -> Result<Option<Bytes>, StoreError> {
    store.read(PATH, 4096).await
}

fn unavailable(store: &Store) -> StoreError {
    StoreError::Unavailable {
        action: "create",
        path: store.name(PATH),
        reason: "no clear answer".to_owned(),
        attempts: store.attempts_max(),
    }
}
