//! Families of keys, one file each. Values are JSON behind a checksum.

pub(super) mod checkpoints;
pub(super) mod objects;
pub(super) mod parked;
pub(super) mod quarantine;
pub(super) mod restarts;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::StateError;

/// Bytes of SHA-256 in front of each value: enough against accidents.
const CHECKSUM_BYTES: usize = 8;

/// A value as it is stored.
fn sealed(payload: &[u8]) -> Vec<u8> {
    let mut value = Sha256::digest(payload)[..CHECKSUM_BYTES].to_vec();
    value.extend(payload);
    value
}

/// The payload of a stored value; `None` if it was damaged.
fn opened(value: &[u8]) -> Option<&[u8]> {
    let (checksum, payload) = value.split_at_checked(CHECKSUM_BYTES)?;
    (Sha256::digest(payload)[..CHECKSUM_BYTES] == *checksum).then_some(payload)
}

fn put<T: Serialize>(tree: &sled::Tree, key: &[u8], value: &T) -> Result<(), StateError> {
    // The types here serialise: no maps with other keys than text.
    let payload = serde_json::to_vec(value).unwrap_or_default();
    tree.insert(key, sealed(&payload)).map(drop).map_err(written)
}

/// What is stored; absent and damaged are the same to the caller, and damage is logged.
fn get<T: DeserializeOwned>(tree: &sled::Tree, key: &[u8]) -> Result<Option<T>, StateError> {
    let value = tree.get(key).map_err(read)?;
    Ok(value.and_then(|value| decoded(tree, key, &value)))
}

/// Everything stored, by key.
fn all<T: DeserializeOwned>(tree: &sled::Tree) -> Result<Vec<(sled::IVec, T)>, StateError> {
    let mut all = Vec::new();
    for entry in tree {
        let (key, value) = entry.map_err(read)?;
        if let Some(value) = decoded(tree, &key, &value) {
            all.push((key, value));
        }
    }
    Ok(all)
}

fn decoded<T: DeserializeOwned>(tree: &sled::Tree, key: &[u8], value: &[u8]) -> Option<T> {
    let decoded = opened(value).and_then(|payload| serde_json::from_slice(payload).ok());
    if decoded.is_none() {
        let (table, key) = (String::from_utf8_lossy(&tree.name()).into_owned(), hex::encode(key));
        tracing::warn!(table, key, "a damaged entry of the node's state is left out");
    }
    decoded
}

fn read(source: sled::Error) -> StateError {
    StateError::Sled { action: "read", source }
}

fn written(source: sled::Error) -> StateError {
    StateError::Sled { action: "write", source }
}
