//! Who belongs to a cluster: a private certificate authority, and certificates of nodes and of operators, in files.
//!
//! | file | what | in the authority's folder | on a node | with an operator |
//! |---|---|---|---|---|
//! | `ca.pem` | the authority's certificate; its common name is the cluster's name | yes | yes | yes |
//! | `ca.key` | the authority's key: whoever has it can be any node; mode 0600 | yes | never | never |
//! | `cluster.key` | 32 random bytes in hex that authenticate membership datagrams; mode 0600 | yes | yes | never |
//! | `node.pem`, `node.key` | certificate and key of one node or operator; the key has mode 0600 | no | yes | yes |
//!
//! Files may be replaced under a running node: new connections use them from then on (`renewal.rs`).
//!
//! A certificate has exactly one DNS name, which is the node's name. Those of nodes may serve and call, those of operators
//! only call: a control link needs the former. Keys are P-256 in PKCS#8, made where the authority is; TLS is 1.3 alone.

mod authority;
mod contents;
mod credentials;
mod error;
mod files;
mod loopback;
mod regions;
mod renewal;
mod tls;
mod validity;
mod verifier;

#[cfg(test)]
mod tests;

pub use authority::{Authority, Issued};
pub use contents::Purpose;
pub use contents::expiry;
pub use credentials::{Credentials, GossipKey, Protocol};
pub use error::CertificateError;
pub use regions::RegionAuthority;
pub use renewal::{METRICS, keep_current};
pub use validity::Validity;

pub(crate) use contents::Contents;
