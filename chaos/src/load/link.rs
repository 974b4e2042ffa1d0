//! A connection to a server that never waits, in clear or over TLS.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore};

/// What a server over TLS is trusted by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// PEM file of the authority's certificates.
    pub authority: PathBuf,
    /// The name that its certificate has to be for.
    pub name: String,
}

/// How connections are made.
#[derive(Clone, Debug)]
pub(super) enum Maker {
    Clear,
    Secure(Arc<ClientConfig>, ServerName<'static>),
}

/// One connection.
#[derive(Debug)]
pub(super) enum Link<S> {
    Clear(S),
    /// Large, and few runs have it.
    Secure(Box<ClientConnection>, S),
}

impl Maker {
    /// Of connections in clear, or of such that trust this.
    ///
    /// # Errors
    ///
    /// There are no certificates in the file, or the name is none.
    pub(super) fn new(trust: Option<&Trust>) -> io::Result<Self> {
        let Some(Trust { authority, name }) = trust else { return Ok(Self::Clear) };
        let name = ServerName::try_from(name.clone()).map_err(io::Error::other)?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(authority)? {
            roots.add(certificate).map_err(io::Error::other)?;
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self::Secure(Arc::new(config), name))
    }

    /// Over a stream that is connected or will be.
    pub(super) fn link<S>(&self, stream: S) -> io::Result<Link<S>> {
        Ok(match self {
            Self::Clear => Link::Clear(stream),
            Self::Secure(config, name) => {
                let begun = ClientConnection::new(config.clone(), name.clone()).map_err(io::Error::other)?;
                Link::Secure(Box::new(begun), stream)
            }
        })
    }
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let named = |problem: String| io::Error::other(format!("{}: {problem}", path.display()));
    let text = fs::read(path).map_err(|error| named(error.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found.map_err(|error| named(error.to_string()))? {
        none if none.is_empty() => Err(named("has no certificate".to_owned())),
        found => Ok(found),
    }
}

impl<S> Link<S> {
    pub(super) fn stream(&self) -> &S {
        match self {
            Self::Clear(stream) | Self::Secure(_, stream) => stream,
        }
    }

    /// Whether a read that gives less than was asked for has taken all there is.
    pub(super) fn reads_all_there_is(&self) -> bool {
        matches!(self, Self::Clear(_))
    }
}

impl<S: Read + Write> Link<S> {
    /// Reads what is there; a handshake goes on with it.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (connection, stream) = match self {
            Self::Clear(stream) => return stream.read(buffer),
            Self::Secure(connection, stream) => (connection, stream),
        };
        loop {
            push(connection, stream)?;
            match connection.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
            if connection.read_tls(stream)? == 0 {
                return Ok(0);
            }
            connection.process_new_packets().map_err(io::Error::other)?;
        }
    }

    /// Writes what is so short that a socket takes it at once. Over TLS it waits for the handshake here.
    pub(super) fn write_whole(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Clear(stream) => match stream.write(bytes) {
                Ok(count) if count == bytes.len() => Ok(()),
                Ok(_) => Err(ErrorKind::WriteZero.into()),
                Err(error) => Err(error),
            },
            Self::Secure(connection, stream) => {
                connection.writer().write_all(bytes)?;
                push(connection, stream)
            }
        }
    }
}

/// Sends what is to be sent, as far as that goes now.
fn push(connection: &mut ClientConnection, stream: &mut impl Write) -> io::Result<()> {
    while connection.wants_write() {
        match connection.write_tls(stream) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_trusted_must_be_there_and_have_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let authority = folder.path().join("ca.pem");
        let check = |name: &str, fragment: &str| {
            let trust = Trust { authority: authority.clone(), name: name.to_owned() };
            let text = Maker::new(Some(&trust)).unwrap_err().to_string();
            assert!(text.contains(fragment), "{text}");
        };
        check("a b", "invalid");
        check("localhost", "ca.pem");
        fs::write(&authority, "nothing").unwrap();
        check("localhost", "has no certificate");
    }
}
