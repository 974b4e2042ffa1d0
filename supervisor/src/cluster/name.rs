//! What nodes and clusters are called.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;
use tokio_rustls::rustls::pki_types::ServerName;

/// The longest name: that of one label of a DNS name.
const LENGTH_MAX: usize = 63;

/// A name that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// Names are DNS labels, since certificates hold them as such.
    #[error(
        "`{name}` cannot be the name of a {of}: give 1 to 63 of a-z, 0-9 and -, not only digits, with no - at either end"
    )]
    NotALabel {
        /// As given; shortened if it is very long.
        name: String,
        /// Node or cluster.
        of: &'static str,
    },
    /// The incarnation is missing or no number.
    #[error("`{text}` is no node with its incarnation: it looks like a-1.1764000000000")]
    NoIncarnation {
        /// As given; shortened if it is very long.
        text: String,
    },
}

/// Name of a node, which is the one DNS name of its certificate. Stays the same when the node restarts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Arc<str>);

/// Name of a cluster: nodes of different clusters refuse each other. It identifies, it does not authenticate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterName(Arc<str>);

/// One life of a node. Peers know it by this name, so that a node which restarts is never mistaken for what is left of
/// its former life. Later lives are greater.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIdentity {
    /// Of the node.
    pub name: NodeName,
    /// When the process started, in milliseconds since 1970: larger with every start.
    pub incarnation: u64,
}

impl NodeName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As TLS knows it.
    pub(crate) fn server_name(&self) -> Result<ServerName<'static>, NameError> {
        let name = ServerName::try_from(self.0.to_string());
        name.map_err(|_| NameError::NotALabel { name: shortened(&self.0), of: "node" })
    }
}

impl ClusterName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks a label.
fn label(text: &str, of: &'static str) -> Result<Arc<str>, NameError> {
    let bytes = text.as_bytes();
    let is_label = (1..=LENGTH_MAX).contains(&bytes.len())
        && bytes.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !bytes.iter().all(u8::is_ascii_digit)
        && bytes.first() != Some(&b'-')
        && bytes.last() != Some(&b'-');
    if is_label { Ok(text.into()) } else { Err(NameError::NotALabel { name: shortened(text), of }) }
}

/// For messages: what a peer sent may be long, and may hold control characters.
fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(LENGTH_MAX + 1).flat_map(char::escape_default).collect();
    if text.chars().count() > LENGTH_MAX + 1 {
        short.push_str("...");
    }
    short
}

impl FromStr for NodeName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        label(text, "node").map(Self)
    }
}

impl FromStr for ClusterName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        label(text, "cluster").map(Self)
    }
}

impl FromStr for NodeIdentity {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let no_incarnation = || NameError::NoIncarnation { text: shortened(text) };
        let (name, incarnation) = text.rsplit_once('.').ok_or_else(no_incarnation)?;
        // `parse` alone would take a sign.
        let is_number = !incarnation.is_empty() && incarnation.bytes().all(|byte| byte.is_ascii_digit());
        let incarnation = incarnation.parse().ok().filter(|_| is_number).ok_or_else(no_incarnation)?;
        Ok(Self { name: name.parse()?, incarnation })
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for NodeIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.name, self.incarnation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        let check = |text: &str, is_name: bool| {
            let name = text.parse::<NodeName>();
            assert_eq!(name.is_ok(), is_name, "{text}");
            assert_eq!(text.parse::<ClusterName>().is_ok(), is_name, "{text}");
            if let Ok(name) = name {
                assert_eq!(name.to_string(), text);
                name.server_name().unwrap();
            }
        };
        check("a", true);
        check("orrery-0", true);
        check("0a", true);
        check("9-9", true);
        check(&"x".repeat(63), true);
        check(&"x".repeat(64), false);
        for bad in ["", "-a", "a-", "A", "a.b", "a b", "é", "*", "17", "a\n", "a_b"] {
            check(bad, false);
        }
    }

    #[test]
    fn an_identity_is_a_name_and_a_number() {
        let identity: NodeIdentity = "orrery-0.1764000000000".parse().unwrap();
        assert_eq!((identity.name.as_str(), identity.incarnation), ("orrery-0", 1_764_000_000_000));
        assert_eq!(identity.to_string(), "orrery-0.1764000000000");
        for bad in ["a", "a.", ".1", "a.-1", "a.+1", "a.b", "a.b.1", "a.18446744073709551616", "a.1 "] {
            assert!(bad.parse::<NodeIdentity>().is_err(), "{bad}");
        }
    }

    #[test]
    fn messages_show_no_more_of_a_name_than_it_may_have() {
        let long = format!("\u{1b}[2J{}", "x".repeat(10_000));
        let message = long.parse::<NodeName>().unwrap_err().to_string();
        assert!(message.len() < 300 && !message.contains('\u{1b}'), "{message}");
    }
}
