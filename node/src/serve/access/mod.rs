//! Who may do what.

use super::problem::Problem;
use super::request::Request;

/// Who may call a route. Each includes those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    /// Anybody, always: what probes and browsers ask before they can say who they are.
    Open,
    /// Readers.
    Viewer,
}

/// Decides.
#[derive(Debug, Default)]
pub(crate) struct Gatekeeper {}

impl Gatekeeper {
    /// Lets a request pass, or says why not.
    pub(crate) fn admit(&self, access: Access, _: &Request) -> Result<(), Problem> {
        match access {
            Access::Open | Access::Viewer => Ok(()),
        }
    }
}
