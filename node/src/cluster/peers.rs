//! Other nodes, as the parts of this one ask them.

use std::time::Duration;

use orrery_supervisor::cluster::NodeName;
use orrery_supervisor::cluster::control::{CallError, ControlPlane};
use orrery_supervisor::cluster::membership::Members;
use tokio::sync::watch;

use super::message::{Ask, Told};

/// What the messages of `message.rs` are called on the control plane.
pub(crate) const KIND: &str = "node";

/// Who is there, and a way to ask each.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    control: ControlPlane,
    members: watch::Receiver<Members>,
}

impl Peers {
    pub(crate) fn new(control: ControlPlane, members: watch::Receiver<Members>) -> Self {
        Self { control, members }
    }

    /// As this node sees it now.
    pub(crate) fn members(&self) -> Members {
        self.members.borrow().clone()
    }

    /// Asks a node, this one included.
    pub(crate) async fn ask(&self, node: &NodeName, ask: &Ask, within: Duration) -> Result<Told, CallError> {
        self.control.call_json(node, KIND, ask, within).await
    }
}
