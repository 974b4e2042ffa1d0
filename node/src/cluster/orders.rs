//! Whether this node does what a coordinator says: not if that is of another network, or of another dataset.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::message::Assignment;
use super::same_dataset::SameDataset;
use crate::readiness::Refused;

/// Coordinators that are remembered: more than one at a time is rare already.
const TOLD_MAX: usize = 16;

/// What a node goes by.
pub(super) struct Orders {
    /// The passphrase that its settings or its sources say; `None` if neither does, so that the coordinator's is taken.
    network: Option<String>,
    /// `None` for a node that touches no dataset.
    datasets: Option<Arc<SameDataset>>,
    /// Coordinators of another network that the log has: they speak several times a second.
    told: Mutex<BTreeSet<String>>,
}

impl Orders {
    /// Of a node whose ledgers are of the network `passphrase`; empty if it does not know.
    pub(super) fn new(passphrase: &str, datasets: Option<Arc<SameDataset>>) -> Self {
        let network = Some(passphrase).filter(|known| !known.is_empty()).map(str::to_owned);
        Self { network, datasets, told: Mutex::default() }
    }

    /// Why an assignment is not for this node; `None` if it is.
    ///
    /// # Errors
    ///
    /// It cannot be told now.
    pub(super) async fn refuses(&self, assignment: &Assignment) -> Result<Option<Refused>, String> {
        if let Some(detail) = self.other_network(assignment) {
            return Ok(Some(Refused { reason: "other_network", detail }));
        }
        let Some(datasets) = &self.datasets else { return Ok(None) };
        let detail = datasets.refuses(assignment).await?;
        Ok(detail.map(|detail| Refused { reason: "other_dataset", detail }))
    }

    fn other_network(&self, assignment: &Assignment) -> Option<String> {
        let Assignment { coordinator, network, .. } = assignment;
        let own = self.network.as_ref().filter(|own| *own != network)?;
        let reason = format!(
            "the network of the coordinator {coordinator} is `{network}`, this node's is `{own}`: give every node of a cluster \
             the same --network or --passphrase, and sources of it"
        );
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD_MAX {
            told.clear();
        }
        if told.insert(coordinator.clone()) {
            tracing::error!(
                reason,
                "the coordinator of another network is not heard: this node does nothing"
            );
        }
        Some(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_of_another_network_does_nothing_and_says_why() {
        let check = async |own: &str, told: &str, expect: Option<&str>| {
            let assignment = Assignment {
                epoch: 1,
                coordinator: "a.7".to_owned(),
                network: told.to_owned(),
                tasks: Vec::new(),
                next: None,
                to: None,
                is_complete: false,
                is_outvoted: false,
                regions: None,
            };
            let refused = Orders::new(own, None).refuses(&assignment).await.unwrap();
            assert_eq!(refused.as_ref().map(|refused| refused.reason), expect, "{own} {told}");
            assert!(
                refused.is_none_or(|refused| [own, told, "a.7"].iter().all(|it| refused.detail.contains(it)))
            );
        };
        check("one", "one", None).await;
        check("", "one", None).await;
        check("another", "one", Some("other_network")).await;
    }
}
