//! What nodes keep for themselves in a dataset: leases, and decisions where traffic belongs. No hash of them is kept: what has
//! not their form is not what was written.

use bytes::Bytes;
use serde_json::Value;

use super::{Fault, Scrub};
use crate::dataset::inventory::ObjectKind;
use crate::dataset::slot::sha256;
use crate::dataset::{DatasetError, StoreError};

/// They have some hundred bytes.
const OWN_BYTES_MAX: u64 = 4096;

const FIX_LEASE: &str =
    "delete it while no node of this cluster runs: the first that starts takes another one";
const FIX_DECISION: &str =
    "scrub with --repair-from another region, or decide anew with `orrery failover` and delete it";

impl Scrub<'_> {
    /// Leases and decisions. What is gone since it was listed was deleted by a node.
    pub(super) async fn own(&mut self) -> Result<(), DatasetError> {
        let own = |path: &String| {
            let kind = ObjectKind::of(path);
            matches!(kind, ObjectKind::Lease | ObjectKind::Decision(_)).then(|| (path.clone(), kind))
        };
        let all: Vec<_> = self.listed.keys().filter_map(own).collect();
        for (path, kind) in all {
            let found = match self.dataset.read(&path, OWN_BYTES_MAX).await {
                Ok(None) => continue,
                Ok(Some(bytes)) => {
                    self.count(bytes.len() as u64).await;
                    if has_form(&bytes, &kind) {
                        continue;
                    }
                    Some(sha256(&bytes))
                }
                Err(StoreError::TooLarge { .. }) => self.hash(&path).await?,
                Err(error) => return Err(error.into()),
            };
            let (good, what, fix) = match kind {
                ObjectKind::Decision(number) => {
                    let is_good = |bytes: &Bytes| has_form(bytes, &kind);
                    let good = self.ask_other(&path, OWN_BYTES_MAX, is_good).await?;
                    (good, format!("it is no decision of generation {number}"), FIX_DECISION)
                }
                // It is of this dataset's cluster alone: nobody else has it.
                _ => (None, "it is no lease".to_owned(), FIX_LEASE),
            };
            self.settle(Fault { path, found, what }, good, fix).await?;
        }
        Ok(())
    }
}

fn has_form(bytes: &[u8], kind: &ObjectKind) -> bool {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return false };
    match kind {
        ObjectKind::Decision(number) => {
            value["generation"].as_u64() == Some(*number)
                && (value["to"].is_string() || value["to"].is_null())
        }
        _ => value["holder"].is_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_and_a_decision_are_known_by_their_form() {
        let check = |kind: ObjectKind, bytes: &str, expect: bool| {
            assert_eq!(has_form(bytes.as_bytes(), &kind), expect, "{kind:?} {bytes}");
        };
        check(ObjectKind::Lease, r#"{"holder":"a.17"}"#, true);
        check(ObjectKind::Lease, r#"{"holdes":"a.17"}"#, false);
        check(ObjectKind::Lease, "", false);
        check(ObjectKind::Decision(3), r#"{"generation":3,"to":"us","forced":false}"#, true);
        check(ObjectKind::Decision(3), r#"{"generation":3,"to":null}"#, true);
        check(ObjectKind::Decision(3), r#"{"generation":2,"to":"us"}"#, false);
        check(ObjectKind::Decision(3), r#"{"generation":3,"to":7}"#, false);
    }
}
