//! TLS for browsers and tools: a certificate and its key from files, read again when they change, so that a renewal needs no
//! restart.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use orrery_supervisor::{Clock, MonotonicTime, SystemClock};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::exit::Failure;
use crate::telemetry::requests;

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Where certificate and key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Gives the acceptor of now.
pub(super) struct Tls {
    files: TlsFiles,
    clock: SystemClock,
    current: Mutex<Current>,
}

struct Current {
    acceptor: TlsAcceptor,
    changed: Changed,
    looked: MonotonicTime,
}

/// When the files were changed last, as far as the file system tells.
type Changed = [Option<SystemTime>; 2];

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// They are not there, or not what they should be.
    pub(super) fn new(files: TlsFiles) -> Result<Self, Failure> {
        let clock = SystemClock::new();
        let (changed, looked) = (changed(&files), clock.now());
        let acceptor = read(&files).map_err(Failure::Configuration)?;
        Ok(Self { files, clock, current: Mutex::new(Current { acceptor, changed, looked }) })
    }

    /// With the newest certificate that could be read.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        if now.since(current.looked) >= LOOK_EVERY {
            self.look(&mut current);
        }
        current.acceptor.clone()
    }

    /// Looks at the files now, for whoever has changed them and does not want to wait.
    pub(super) fn renew(&self) {
        self.look(&mut self.current.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn look(&self, current: &mut Current) {
        current.looked = self.clock.now();
        let found = changed(&self.files);
        if found != current.changed {
            match read(&self.files) {
                Ok(acceptor) => {
                    tracing::info!(certificate = %self.files.certificate.display(), "another certificate is served");
                    (current.acceptor, current.changed) = (acceptor, found);
                }
                // Perhaps only half of it is written: it is looked at again.
                Err(error) => tracing::warn!(error, "the certificate from before is served"),
            }
        }
    }
}

fn changed(files: &TlsFiles) -> Changed {
    let of = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    [of(&files.certificate), of(&files.key)]
}

fn read(files: &TlsFiles) -> Result<TlsAcceptor, String> {
    let at = |key: &str, path: &Path, problem: &dyn std::fmt::Display| {
        format!("{key}: {}: {problem}", path.display())
    };
    let TlsFiles { certificate, key } = files;
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| at("http.tls_certificate", certificate, &error))?;
    if chain.is_empty() {
        return Err(at("http.tls_certificate", certificate, &"holds no certificate in PEM form"));
    }
    let served = chain.clone();
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| at("http.tls_key", key, &error))?;
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS12, &TLS13])
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| at("http.tls_key", key, &format!("does not belong to the certificate: {error}")))?;
    requests::certificates(&served);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
