//! Names that are locked out of a cluster at once, though their certificates hold.

use std::collections::BTreeSet;

use tokio::sync::watch;

use super::name::NodeName;

/// Names of nodes and operators with whom this node has nothing to do: new connections are closed, those that stand end,
/// and as nodes they are no members. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub struct DeniedNames(watch::Sender<BTreeSet<NodeName>>);

impl DeniedNames {
    /// These, for now.
    pub fn new(names: BTreeSet<NodeName>) -> Self {
        Self(watch::Sender::new(names))
    }

    /// These from now on, and no others; says whether that is another list.
    pub fn set(&self, names: BTreeSet<NodeName>) -> bool {
        self.0.send_if_modified(|present| {
            let is_new = *present != names;
            *present = names;
            is_new
        })
    }

    /// Whether a name is among them.
    pub fn contains(&self, name: &NodeName) -> bool {
        self.0.borrow().contains(name)
    }

    /// Wakes whenever the list is another.
    pub(crate) fn changes(&self) -> watch::Receiver<BTreeSet<NodeName>> {
        self.0.subscribe()
    }
}
