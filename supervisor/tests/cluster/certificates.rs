//! Certificates good and bad, and TLS clients that use them without the checks of ours.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use orrery_supervisor::cluster::certificates::{Authority, Credentials, Purpose, Validity};
use rcgen::{CertificateParams, Issuer, KeyPair};
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// A cluster's authority in its own folder.
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    pub(crate) authority: Authority,
}

impl Cluster {
    pub(crate) fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(
            &folder.path().join("ca"),
            &name.parse().unwrap(),
            Validity::starting_now(DAY * 1000),
        );
        Self { authority: authority.unwrap(), folder }
    }

    /// The folder of a certificate for `name`, issued for this long.
    pub(crate) fn issue(&self, name: &str, purpose: Purpose, validity: Validity) -> PathBuf {
        let folder = self.folder.path().join(format!("{name}-{}-{}", purpose.as_str(), validity.until));
        if !folder.exists() {
            self.authority.issue(&name.parse().unwrap(), purpose, validity, &folder).unwrap();
        }
        folder
    }

    pub(crate) fn node(&self, name: &str) -> PathBuf {
        self.issue(
            name,
            Purpose::Node,
            Validity { from: seconds_from_now(-600), until: seconds_from_now(864_000) / 1000 * 1000 },
        )
    }

    pub(crate) fn credentials(&self, name: &str) -> Credentials {
        Credentials::load(&self.node(name)).unwrap()
    }

    /// A certificate of the authority whose names are not of our form.
    pub(crate) fn named(&self, names: &[&str]) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let read = |file| std::fs::read_to_string(self.authority.folder().join(file)).unwrap();
        let key = KeyPair::from_pem(&read("ca.key")).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&read("ca.pem"), key).unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }
}

pub(crate) fn seconds_from_now(seconds: i64) -> u64 {
    UnixTime::now().as_secs().saturating_add_signed(seconds)
}

pub(crate) fn read(folder: &Path) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let certificate = CertificateDer::from_pem_file(folder.join("node.pem")).unwrap();
    (certificate, PrivateKeyDer::from_pem_file(folder.join("node.key")).unwrap())
}

/// A client that believes the cluster's servers and shows whatever it is given.
pub(crate) fn client(
    cluster: &Cluster,
    shows: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    alpn: &[u8],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(cluster.authority.folder().join("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_webpki_verifier(verifier.build().unwrap());
    let mut config = match shows {
        Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = if alpn.is_empty() { Vec::new() } else { vec![alpn.to_vec()] };
    Arc::new(config)
}
