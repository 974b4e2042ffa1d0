//! The authority of one cluster: makes itself, and certificates for nodes and operators.

use std::fmt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};

use super::contents::{self, Purpose};
use super::error::CertificateError;
use super::files::{self, Secrecy};
use super::validity::{Validity, date};
use crate::cluster::{ClusterName, NodeName};

const FIX: &str = "make an authority first: orrery certs init";

/// Issues certificates. Keep its folder away from the nodes.
pub struct Authority {
    folder: PathBuf,
    cluster: ClusterName,
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
    gossip_key: String,
    /// Last second, since 1970.
    until: u64,
}

/// A certificate that was issued, and its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Whose it is.
    pub name: NodeName,
    /// What it is for.
    pub purpose: Purpose,
    /// Last second at which it holds, in UTC.
    pub until: String,
    /// All that belongs on that node, and nowhere else.
    pub files: Vec<PathBuf>,
}

impl Authority {
    /// Makes an authority in a folder, which is made too.
    ///
    /// # Errors
    ///
    /// One of its files exists already, or cannot be written.
    pub fn create(
        folder: &Path,
        cluster: &ClusterName,
        validity: Validity,
    ) -> Result<Self, CertificateError> {
        let paths = [files::AUTHORITY, files::AUTHORITY_KEY, files::GOSSIP_KEY].map(|name| folder.join(name));
        files::absent(&paths)?;
        let key = KeyPair::generate().map_err(CertificateError::cryptography("make the authority's key"))?;
        let certificate = authority_parameters(cluster, validity)?
            .self_signed(&key)
            .map_err(CertificateError::cryptography("sign the authority's certificate"))?
            .pem();
        let mut gossip_key = [0; 32];
        aws_lc_rs::default_provider().secure_random.fill(&mut gossip_key).map_err(|_| {
            CertificateError::Cryptography {
                action: "make the cluster's key",
                detail: "the system gave no random bytes".to_owned(),
            }
        })?;
        files::folder(folder)?;
        files::write(&paths[1], key.serialize_pem().as_bytes(), Secrecy::Secret)?;
        files::write(&paths[2], (hex::encode(gossip_key) + "\n").as_bytes(), Secrecy::Secret)?;
        // Last: a folder without it is none that `open` takes.
        files::write(&paths[0], certificate.as_bytes(), Secrecy::Open)?;
        Self::open(folder)
    }

    /// Opens what [`Self::create`] made.
    ///
    /// # Errors
    ///
    /// A file is missing, readable by others, or not what it should be; or the authority ran out.
    pub fn open(folder: &Path) -> Result<Self, CertificateError> {
        let path = folder.join(files::AUTHORITY);
        let unreadable = |what, path: &Path, detail: String| CertificateError::Unreadable {
            path: path.to_owned(),
            what,
            detail,
        };
        let pem = files::read(&path, "certificate", FIX)?;
        let der = CertificateDer::from_pem_slice(&pem)
            .map_err(|error| unreadable("certificate", &path, error.to_string()))?;
        let (cluster, _, until) =
            contents::of_authority(&der).map_err(|detail| unreadable("authority", &path, detail))?;
        let key_path = folder.join(files::AUTHORITY_KEY);
        let key = files::read(&key_path, "key", FIX)?;
        files::secrecy(&key_path)?;
        let key = String::from_utf8(key).map_err(|error| unreadable("key", &key_path, error.to_string()))?;
        let key = KeyPair::from_pem(&key).map_err(|error| unreadable("key", &key_path, error.to_string()))?;
        let issuer = Issuer::from_ca_cert_der(&der, key)
            .map_err(|error| unreadable("authority", &path, error.to_string()))?;
        let gossip_path = folder.join(files::GOSSIP_KEY);
        let gossip_key = String::from_utf8(files::read(&gossip_path, "key", FIX)?)
            .map_err(|error| unreadable("key", &gossip_path, error.to_string()))?;
        let certificate = String::from_utf8_lossy(&pem).into_owned();
        Ok(Self { folder: folder.to_owned(), cluster, certificate, issuer, gossip_key, until })
    }

    /// The cluster it is for.
    pub const fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// Its last second, in UTC.
    pub fn until(&self) -> String {
        date(self.until)
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Issues a certificate and writes what belongs on that node into a folder, which is made.
    ///
    /// # Errors
    ///
    /// A file exists already or cannot be written, or the certificate would outlive the authority.
    pub fn issue(
        &self,
        name: &NodeName,
        purpose: Purpose,
        validity: Validity,
        folder: &Path,
    ) -> Result<Issued, CertificateError> {
        if validity.until > self.until {
            let reason = format!("its authority runs out on {}; give fewer days", date(self.until));
            return Err(CertificateError::Validity { until: date(validity.until), reason });
        }
        let mut names = vec![files::AUTHORITY, files::CERTIFICATE, files::KEY];
        names.extend((purpose == Purpose::Node).then_some(files::GOSSIP_KEY));
        let paths: Vec<_> = names.iter().map(|name| folder.join(name)).collect();
        files::absent(&paths)?;
        let key = KeyPair::generate().map_err(CertificateError::cryptography("make a key"))?;
        let certificate = node_parameters(name, purpose, validity)?
            .signed_by(&key, &self.issuer)
            .map_err(CertificateError::cryptography("sign a certificate"))?;
        files::folder(folder)?;
        files::write(&paths[0], self.certificate.as_bytes(), Secrecy::Open)?;
        files::write(&paths[1], certificate.pem().as_bytes(), Secrecy::Open)?;
        files::write(&paths[2], key.serialize_pem().as_bytes(), Secrecy::Secret)?;
        if let Some(path) = paths.get(3) {
            files::write(path, self.gossip_key.as_bytes(), Secrecy::Secret)?;
        }
        Ok(Issued { name: name.clone(), purpose, until: date(validity.until), files: paths })
    }

    /// Whether it still issues certificates that hold.
    pub fn is_valid_at(&self, now: UnixTime) -> bool {
        now.as_secs() <= self.until
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Authority");
        debug.field("folder", &self.folder).field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

/// What an authority's certificate says.
pub(super) fn authority_parameters(
    cluster: &ClusterName,
    validity: Validity,
) -> Result<CertificateParams, CertificateError> {
    let mut parameters = CertificateParams::default();
    validity.apply(&mut parameters)?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::OrganizationName, "Orrery cluster");
    parameters.distinguished_name.push(DnType::CommonName, cluster.as_str());
    // It signs nodes and no further authorities.
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(parameters)
}

/// What the certificate of a node or an operator says.
pub(super) fn node_parameters(
    name: &NodeName,
    purpose: Purpose,
    validity: Validity,
) -> Result<CertificateParams, CertificateError> {
    let mut parameters = CertificateParams::new(vec![name.as_str().to_owned()])
        .map_err(CertificateError::cryptography("put the name into a certificate"))?;
    validity.apply(&mut parameters)?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name.as_str());
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.use_authority_key_identifier_extension = true;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = match purpose {
        Purpose::Node => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        // What a peer region's node is, its own authority says.
        Purpose::Operator | Purpose::Region => vec![ExtendedKeyUsagePurpose::ClientAuth],
    };
    Ok(parameters)
}
