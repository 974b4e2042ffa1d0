//! Authorities of other clusters whose nodes are let in as peer regions: over Flight alone, and never as members.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;

use super::error::CertificateError;
use super::{contents, files};

/// Most certificates of one authority's file: an old one and a new one, while it is replaced.
const AUTHORITIES_MAX: usize = 4;

const FIX: &str = "copy ca.pem of that region's cluster";

/// The authority of a peer region's certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionAuthority {
    region: Arc<str>,
    path: PathBuf,
    certificates: Vec<CertificateDer<'static>>,
}

impl RegionAuthority {
    /// Reads `ca.pem` of the region's cluster; one file may hold an old and a new authority.
    ///
    /// # Errors
    ///
    /// It is missing, or holds something else than authorities' certificates.
    pub fn load(region: &str, path: &Path) -> Result<Self, CertificateError> {
        let pem = files::read(path, "certificate", FIX)?;
        let unreadable = |detail: String| CertificateError::Unreadable {
            path: path.to_owned(),
            what: "authority of a region",
            detail,
        };
        let certificates = CertificateDer::pem_slice_iter(&pem)
            .take(AUTHORITIES_MAX + 1)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unreadable(error.to_string()))?;
        if certificates.is_empty() || certificates.len() > AUTHORITIES_MAX {
            return Err(unreadable(format!("give 1 to {AUTHORITIES_MAX} certificates")));
        }
        for certificate in &certificates {
            contents::of_authority(certificate).map_err(unreadable)?;
        }
        Ok(Self { region: region.into(), path: path.to_owned(), certificates })
    }

    /// What its file holds now.
    pub(super) fn reload(&self) -> Result<Self, CertificateError> {
        Self::load(&self.region, &self.path)
    }

    /// The region.
    pub(super) const fn region(&self) -> &Arc<str> {
        &self.region
    }

    /// A region whose nodes no certificate would tell from this cluster's own.
    pub(super) fn check(&self, own: &CertificateDer<'static>) -> Result<(), CertificateError> {
        if !self.certificates.contains(own) {
            return Ok(());
        }
        Err(CertificateError::Unreadable {
            path: self.path.clone(),
            what: "authority of another cluster",
            detail: "it is this cluster's own; leave it out, or give the region an authority of its own"
                .to_owned(),
        })
    }

    /// What to believe when its nodes are dialled.
    pub(super) fn roots(&self) -> Result<RootCertStore, CertificateError> {
        let mut roots = RootCertStore::empty();
        for certificate in &self.certificates {
            roots.add(certificate.clone()).map_err(CertificateError::tls("trust a region's authority"))?;
        }
        Ok(roots)
    }
}

/// Whose a certificate is that was verified against all authorities together: `None` for this cluster's own.
///
/// # Errors
///
/// It is no node's of any of them.
pub(super) fn whose(
    der: &CertificateDer<'_>,
    regions: &[RegionAuthority],
    provider: &CryptoProvider,
    now: UnixTime,
) -> Result<Option<Arc<str>>, String> {
    let parsed = ParsedCertificate::try_from(der).map_err(|error| error.to_string())?;
    let algorithms = provider.signature_verification_algorithms.all;
    for region in regions {
        let roots = region.roots().map_err(|error| error.to_string())?;
        // Only certificates of nodes hold as servers: an operator of another region is nobody here.
        if verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], now, algorithms).is_ok() {
            return Ok(Some(region.region.clone()));
        }
    }
    Err("its certificate is no node's of a peer region".to_owned())
}
