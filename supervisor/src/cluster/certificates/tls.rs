//! Configurations of TLS: 1.3 alone, certificates on both sides, nothing resumed.

use std::sync::Arc;

use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::time_provider::TimeProvider;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::contents::Purpose;
use super::credentials::Protocol;
use super::error::CertificateError;

/// Whether an authority has signed a certificate for this purpose.
pub(super) fn is_signed(
    der: &CertificateDer<'static>,
    authority: &CertificateDer<'static>,
    purpose: Purpose,
    provider: &Arc<CryptoProvider>,
    now: UnixTime,
) -> Result<(), tokio_rustls::rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone())?;
    let roots = Arc::new(roots);
    if purpose != Purpose::Operator {
        let parsed = ParsedCertificate::try_from(der)?;
        let algorithms = provider.signature_verification_algorithms.all;
        return verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], now, algorithms);
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
        .build()
        .map_err(|error| tokio_rustls::rustls::Error::General(error.to_string()))?;
    verifier.verify_client_cert(der, &[], now).map(|_| ())
}

pub(super) fn server_config(
    provider: &Arc<CryptoProvider>,
    time: &Arc<dyn TimeProvider>,
    roots: &Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, CertificateError> {
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider))
        .build()
        .map_err(|error| CertificateError::Cryptography {
            action: "verify clients",
            detail: error.to_string(),
        })?;
    let mut config = ServerConfig::builder_with_details(Arc::clone(provider), Arc::clone(time))
        .with_protocol_versions(&[&TLS13])
        .map_err(CertificateError::tls("use TLS 1.3"))?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)
        .map_err(CertificateError::tls("serve with the certificate"))?;
    config.alpn_protocols = Protocol::ALL.map(|protocol| protocol.alpn().to_vec()).to_vec();
    // Every connection proves itself anew: a resumed one would outlive its certificate.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

pub(super) fn client_config(
    provider: &Arc<CryptoProvider>,
    time: &Arc<dyn TimeProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, CertificateError> {
    let mut config = ClientConfig::builder_with_details(Arc::clone(provider), Arc::clone(time))
        .with_protocol_versions(&[&TLS13])
        .map_err(CertificateError::tls("use TLS 1.3"))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(chain, key)
        .map_err(CertificateError::tls("dial with the certificate"))?;
    config.resumption = Resumption::disabled();
    // One certificate a node: the name would only tell an observer who is called.
    config.enable_sni = false;
    Ok(config)
}
