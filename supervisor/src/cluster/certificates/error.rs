//! What can be wrong with certificates and their files.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::cluster::NameError;

/// Names the file, what is wrong with it and what to do.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// Nothing is overwritten: a lost key cannot be had back.
    #[error("{}: exists already; give another folder, or move it away if nothing uses it", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file is not there.
    #[error("{}: no such file; {fix}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// Where it comes from.
        fix: &'static str,
    },
    /// The system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// Read, write or create.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is much larger than what belongs there.
    #[error("{}: larger than {max} bytes, so it is no {what}; copy it from the authority's folder again", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What belongs there.
        what: &'static str,
        /// The limit.
        max: u64,
    },
    /// A file holds something else.
    #[error("{}: holds no {what}: {detail}; copy it from the authority's folder again", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What belongs there.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// Anybody on the machine can read a key.
    #[error("{}: its mode is {mode:04o}, so that others can read this key; chmod 600 it", path.display())]
    KeyReadable {
        /// The file.
        path: PathBuf,
        /// Permission bits.
        mode: u32,
    },
    /// A certificate ran out.
    #[error("{}: the certificate of `{name}` ran out on {at}; issue a new one: orrery certs issue", path.display())]
    Expired {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        name: String,
        /// When, in UTC.
        at: String,
    },
    /// A certificate begins later, or the clock is wrong.
    #[error("{}: the certificate of `{name}` holds from {at} only; check this machine's clock", path.display())]
    NotYetValid {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        name: String,
        /// When, in UTC.
        at: String,
    },
    /// Two files of different clusters.
    #[error(
        "{}: the certificate of `{name}` was not issued by the authority in {}: {detail}; copy both from one `orrery certs issue`",
        path.display(), authority.display()
    )]
    WrongAuthority {
        /// The certificate.
        path: PathBuf,
        /// Whose it is.
        name: String,
        /// `ca.pem`.
        authority: PathBuf,
        /// What did not hold.
        detail: String,
    },
    /// Two files of different nodes.
    #[error("{}: is not the key of the certificate in {}; copy both from one `orrery certs issue`", path.display(), certificate.display())]
    KeyMismatch {
        /// The key.
        path: PathBuf,
        /// Its certificate.
        certificate: PathBuf,
    },
    /// New files under a running node are those of another one, or of another cluster.
    #[error(
        "{}: holds another {what} than this process began with, and is not used; copy the files of a certificate of the same name \
         from the same authority, or restart it",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What must stay the same.
        what: &'static str,
    },
    /// A certificate names its node in a way that none of ours does.
    #[error("{}: {detail}; a certificate has one DNS name, which is the node's name", path.display())]
    BadName {
        /// The certificate.
        path: PathBuf,
        /// What it has instead.
        detail: String,
    },
    /// A name that cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A certificate would hold for no time, or for longer than its authority.
    #[error("a certificate cannot hold until {until}: {reason}")]
    Validity {
        /// Its last second, in UTC.
        until: String,
        /// Why not, and what to give instead.
        reason: String,
    },
    /// A cryptographic operation failed, which is not the files' fault.
    #[error("cannot {action}: {detail}")]
    Cryptography {
        /// What failed.
        action: &'static str,
        /// Why.
        detail: String,
    },
}

impl CertificateError {
    pub(super) fn cryptography(action: &'static str) -> impl FnOnce(rcgen::Error) -> Self {
        move |error| Self::Cryptography { action, detail: error.to_string() }
    }

    pub(super) fn tls(action: &'static str) -> impl FnOnce(tokio_rustls::rustls::Error) -> Self {
        move |error| Self::Cryptography { action, detail: error.to_string() }
    }
}
