//! What a certificate says.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::cluster::{ClusterName, NodeName};

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A member of the cluster: serves and calls.
    Node,
    /// A person or program that asks: only calls.
    Operator,
    /// A node of a peer region, by that region's authority: may ask for what regions exchange, over Flight alone.
    Region,
}

impl Purpose {
    /// For results and logs: a word that stays the same.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Operator => "operator",
            Self::Region => "region",
        }
    }
}

/// The parts of a node's certificate that matter here. They are only to be believed of a certificate whose signature
/// was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) name: NodeName,
    pub(crate) purpose: Purpose,
    /// First and last second, since 1970.
    pub(crate) from: u64,
    pub(crate) until: u64,
}

impl Contents {
    /// Reads a certificate.
    ///
    /// # Errors
    ///
    /// Says what it is or has instead.
    pub(crate) fn read(der: &[u8]) -> Result<Self, String> {
        let certificate = parse(der)?;
        let names = certificate.subject_alternative_name().map_err(|error| error.to_string())?;
        let names = names.map_or(&[][..], |names| &names.value.general_names);
        let name = match names {
            [GeneralName::DNSName(name)] => name.parse::<NodeName>().map_err(|error| error.to_string())?,
            [] => return Err("the certificate has no name".to_owned()),
            [_] => return Err("the certificate's name is no DNS name".to_owned()),
            _ => return Err(format!("the certificate has {} names", names.len())),
        };
        let uses = certificate.extended_key_usage().map_err(|error| error.to_string())?;
        let serves = uses.is_some_and(|uses| uses.value.server_auth);
        let (from, until) = validity(&certificate);
        Ok(Self { name, purpose: if serves { Purpose::Node } else { Purpose::Operator }, from, until })
    }
}

/// The cluster that an authority's certificate is for, and its first and last second.
pub(super) fn of_authority(der: &[u8]) -> Result<(ClusterName, u64, u64), String> {
    let certificate = parse(der)?;
    if !certificate.is_ca() {
        return Err("the certificate is not an authority's".to_owned());
    }
    let name = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    let name = name.ok_or("the authority has no common name")?;
    let name = name.parse::<ClusterName>().map_err(|error| error.to_string())?;
    let (from, until) = validity(&certificate);
    Ok((name, from, until))
}

/// When a certificate of any kind runs out, in seconds since 1970; `None` if it is none.
pub fn expiry(der: &[u8]) -> Option<u64> {
    parse(der).ok().map(|certificate| validity(&certificate).1)
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err("something follows the certificate".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Dates before 1970 count as 1970.
fn validity(certificate: &X509Certificate<'_>) -> (u64, u64) {
    let validity = certificate.validity();
    let seconds = |seconds: i64| u64::try_from(seconds).unwrap_or(0);
    (seconds(validity.not_before.timestamp()), seconds(validity.not_after.timestamp()))
}
