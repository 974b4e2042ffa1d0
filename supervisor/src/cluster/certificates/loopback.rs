//! The authority of `--insecure-loopback`: anybody can derive its key from this file, so that it proves nothing. It exists
//! so that trying a cluster on one machine runs the same code as a real one.

use rcgen::{Issuer, KeyPair, PKCS_ED25519, SerialNumber};
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::authority::{authority_parameters, node_parameters};
use super::contents::Purpose;
use super::error::CertificateError;
use super::validity::Validity;
use crate::cluster::{ClusterName, NodeName};

/// What the keys are derived from. Changing it parts old processes from new ones.
const KEY_TEXT: &str = "orrery insecure loopback authority: this key is public";
const GOSSIP_TEXT: &str = "orrery insecure loopback gossip: this key is public";

/// The name of every such cluster.
pub(super) const CLUSTER: &str = "insecure-loopback";

/// 2020 to 2120, so that every process makes the same certificate.
const VALIDITY: Validity = Validity { from: 1_577_836_800, until: 4_733_510_400 };

/// PKCS#8 version 1 around an Ed25519 seed (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// A certificate for `name` that every process of this machine believes.
pub(super) struct Made {
    pub(super) authority: CertificateDer<'static>,
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: PrivatePkcs8KeyDer<'static>,
    pub(super) gossip_key: [u8; 32],
}

/// Makes it, with a key of its own.
pub(super) fn make(name: &NodeName, purpose: Purpose) -> Result<Made, CertificateError> {
    let seed = Sha256::digest(KEY_TEXT);
    let pkcs8 = PrivatePkcs8KeyDer::from([&PKCS8_PREFIX[..], &seed].concat());
    let authority_key = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &PKCS_ED25519)
        .map_err(CertificateError::cryptography("derive the loopback authority's key"))?;
    let cluster: ClusterName = CLUSTER.parse()?;
    let mut parameters = authority_parameters(&cluster, VALIDITY)?;
    parameters.serial_number = Some(SerialNumber::from_slice(&[1]));
    let authority = parameters
        .self_signed(&authority_key)
        .map_err(CertificateError::cryptography("sign the loopback authority's certificate"))?;
    let issuer = Issuer::new(parameters, authority_key);
    let key = KeyPair::generate().map_err(CertificateError::cryptography("make a key"))?;
    let certificate = node_parameters(name, purpose, VALIDITY)?
        .signed_by(&key, &issuer)
        .map_err(CertificateError::cryptography("sign a loopback certificate"))?;
    Ok(Made {
        authority: authority.der().clone(),
        certificate: certificate.der().clone(),
        key: PrivatePkcs8KeyDer::from(key.serialize_der()),
        gossip_key: Sha256::digest(GOSSIP_TEXT).into(),
    })
}
