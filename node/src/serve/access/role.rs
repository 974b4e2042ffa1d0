//! Roles, and who has one.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// What somebody may do. Each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Read events, ledgers and how the nodes are.
    Viewer,
    /// Park, resume and drain.
    Operator,
    /// Whatever a node can be told.
    Admin,
}

impl Role {
    const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let role = Self::ALL.into_iter().find(|role| role.as_str() == text);
        role.ok_or_else(|| "a role is viewer, operator or admin".to_owned())
    }
}

/// Who may call an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody, always: what probes and browsers ask before they can say who they are.
    Open,
    /// Whoever has this role.
    Of(Role),
}

/// Who makes a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principal {
    /// As audited and counted.
    pub(crate) name: String,
    /// `None` may do nothing.
    pub(crate) role: Option<Role>,
}

/// The name of whoever does not say one; no token may have it.
pub(crate) const ANONYMOUS: &str = "anonymous";

impl Principal {
    /// Who did not say who they are.
    pub(crate) fn anonymous(role: Option<Role>) -> Self {
        Self { name: ANONYMOUS.to_owned(), role }
    }

    /// Whom what they hold is counted for: the address (of IPv6, its network), and the name if they said one.
    pub(in crate::serve) fn names(&self, address: IpAddr) -> Vec<String> {
        let name = (!self.is_anonymous()).then(|| self.name.clone());
        [format!("address {}", super::network_of(address))].into_iter().chain(name).collect()
    }

    pub(super) fn is_anonymous(&self) -> bool {
        self.name == ANONYMOUS
    }
}
