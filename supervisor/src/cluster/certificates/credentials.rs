//! What a process proves itself with, and what it believes of others.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::contents::{self, Contents, Purpose};
use super::error::CertificateError;
use super::regions::{self, RegionAuthority};
use super::tls::{client_config, is_signed, server_config};
use super::validity::{Validity, date};
use super::verifier::AnyNameVerifier;
use super::{files, loopback};
use crate::cluster::{ClusterName, NodeName};

const FIX: &str = "issue a certificate and copy its whole folder: orrery certs issue";

/// What a connection carries, told by ALPN when it opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Messages between actors, by ractor_cluster; between nodes alone.
    Control,
    /// HTTP/2: batches between nodes, questions of operators.
    Flight,
}

impl Protocol {
    pub(crate) const ALL: [Self; 2] = [Self::Control, Self::Flight];

    /// Its name in ALPN.
    pub const fn alpn(self) -> &'static [u8] {
        match self {
            Self::Control => b"orrery-control/1",
            Self::Flight => b"h2",
        }
    }

    pub(crate) fn of_alpn(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.alpn() == name)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Control => "control",
            Self::Flight => "flight",
        })
    }
}

/// Authenticates membership datagrams: a secret of all nodes of a cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct GossipKey([u8; 32]);

impl GossipKey {
    /// The secret itself.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for GossipKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("GossipKey(..)")
    }
}

/// Certificate, key and authority of one process; cheap to clone. Clones share what [`Self::reload`] finds.
#[derive(Clone)]
pub struct Credentials(Arc<Inner>);

struct Inner {
    name: NodeName,
    purpose: Purpose,
    cluster: ClusterName,
    authority: CertificateDer<'static>,
    gossip_key: Option<GossipKey>,
    is_insecure: bool,
    warnings: Vec<String>,
    /// Where they were read, and when it is; none of `--insecure-loopback`.
    source: Option<(PathBuf, Arc<dyn TimeProvider>)>,
    current: RwLock<Arc<Current>>,
}

/// What changes with a new certificate.
struct Current {
    certificate: CertificateDer<'static>,
    validity: Validity,
    server: Arc<ServerConfig>,
    /// For servers whose name is known.
    named: ClientConfig,
    /// For servers whose name is read from their certificate.
    unnamed: ClientConfig,
    /// Whose nodes are let in as peer regions.
    authorities: Arc<[RegionAuthority]>,
    /// For nodes of these, in their order.
    regions: Vec<ClientConfig>,
}

/// What credentials are made of; the paths are for messages.
struct Parts {
    authority: (CertificateDer<'static>, PathBuf),
    certificate: (CertificateDer<'static>, PathBuf),
    key: (PrivateKeyDer<'static>, PathBuf),
    gossip_key: Option<GossipKey>,
    source: Option<PathBuf>,
    warnings: Vec<String>,
    regions: Arc<[RegionAuthority]>,
}

impl Credentials {
    /// Reads what `orrery certs issue` wrote.
    ///
    /// # Errors
    ///
    /// A file is missing, readable by others, holds something else or belongs to another node or cluster; or the
    /// certificate does not hold now.
    pub fn load(folder: &Path) -> Result<Self, CertificateError> {
        Self::load_with(folder, Arc::new(DefaultTimeProvider))
    }

    /// As [`Self::load`], with another reading of the time at which certificates must hold.
    ///
    /// # Errors
    ///
    /// As [`Self::load`].
    pub fn load_with(folder: &Path, time: Arc<dyn TimeProvider>) -> Result<Self, CertificateError> {
        Self::load_all(folder, time, [].into())
    }

    /// As [`Self::load`]; nodes of these regions are let in as [`Purpose::Region`], and can be dialled.
    ///
    /// # Errors
    ///
    /// As [`Self::load`]; or a region's authority is this cluster's own.
    pub fn load_with_regions(folder: &Path, regions: Vec<RegionAuthority>) -> Result<Self, CertificateError> {
        Self::load_all(folder, Arc::new(DefaultTimeProvider), regions.into())
    }

    fn load_all(
        folder: &Path,
        time: Arc<dyn TimeProvider>,
        regions: Arc<[RegionAuthority]>,
    ) -> Result<Self, CertificateError> {
        let authority_path = folder.join(files::AUTHORITY);
        let authority = certificate(&authority_path)?;
        let certificate_path = folder.join(files::CERTIFICATE);
        let certificate = certificate(&certificate_path)?;
        let key_path = folder.join(files::KEY);
        let key = files::read(&key_path, "key", FIX)?;
        let mut warnings: Vec<_> = files::secrecy(&key_path)?.into_iter().collect();
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| CertificateError::Unreadable {
            path: key_path.clone(),
            what: "key",
            detail: error.to_string(),
        })?;
        let gossip_path = folder.join(files::GOSSIP_KEY);
        let is_node =
            matches!(Contents::read(&certificate), Ok(contents) if contents.purpose == Purpose::Node);
        let gossip_key = if is_node {
            warnings
                .extend(gossip_path.exists().then(|| files::secrecy(&gossip_path)).transpose()?.flatten());
            Some(gossip_key(&gossip_path)?)
        } else {
            None
        };
        let parts = Parts {
            authority: (authority, authority_path),
            certificate: (certificate, certificate_path),
            key: (key, key_path),
            gossip_key,
            source: Some(folder.to_owned()),
            warnings,
            regions,
        };
        Self::of(parts, time)
    }

    /// Those of `--insecure-loopback`: anybody can make them, so that they are good for loopback addresses alone.
    ///
    /// # Errors
    ///
    /// The system gave no random bytes.
    pub fn insecure_loopback(name: &NodeName, purpose: Purpose) -> Result<Self, CertificateError> {
        let made = loopback::make(name, purpose)?;
        let nowhere = || PathBuf::from("--insecure-loopback");
        let parts = Parts {
            authority: (made.authority, nowhere()),
            certificate: (made.certificate, nowhere()),
            key: (made.key.into(), nowhere()),
            gossip_key: (purpose == Purpose::Node).then_some(GossipKey(made.gossip_key)),
            source: None,
            warnings: Vec::new(),
            regions: [].into(),
        };
        Self::of(parts, Arc::new(DefaultTimeProvider))
    }

    fn of(parts: Parts, time: Arc<dyn TimeProvider>) -> Result<Self, CertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let (cluster, contents) = check(&parts, &provider, time.current_time())?;
        let mut roots = RootCertStore::empty();
        roots.add(parts.authority.0.clone()).map_err(CertificateError::tls("trust the authority"))?;
        let roots = Arc::new(roots);
        let chain = vec![parts.certificate.0.clone()];
        // Who connects may be a peer region's; whose a certificate is, is found out afterwards.
        let mut clients = RootCertStore::clone(&roots);
        for region in parts.regions.iter() {
            region.check(&parts.authority.0)?;
            clients.roots.extend(region.roots()?.roots);
        }
        let clients = Arc::new(clients);
        let server = server_config(&provider, &time, &clients, chain.clone(), parts.key.0.clone_key())?;
        let by_name = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .map_err(|error| CertificateError::Cryptography {
                action: "verify servers",
                detail: error.to_string(),
            })?;
        let algorithms = provider.signature_verification_algorithms;
        let any_name = AnyNameVerifier::new(roots, algorithms, Arc::clone(&by_name));
        let client = |verifier: Arc<dyn ServerCertVerifier>| {
            let key = parts.key.0.clone_key();
            client_config(&provider, &time, verifier, chain.clone(), key)
        };
        let of_region = |region: &RegionAuthority| {
            let roots = Arc::new(region.roots()?);
            client(Arc::new(AnyNameVerifier::new(roots, algorithms, Arc::clone(&by_name))))
        };
        let regions = parts.regions.iter().map(of_region).collect::<Result<_, _>>()?;
        let current = Current {
            authorities: parts.regions,
            regions,
            certificate: parts.certificate.0,
            validity: Validity { from: contents.from, until: contents.until },
            server: Arc::new(server),
            named: client(Arc::clone(&by_name) as Arc<dyn ServerCertVerifier>)?,
            unnamed: client(Arc::new(any_name))?,
        };
        Ok(Self(Arc::new(Inner {
            name: contents.name,
            purpose: contents.purpose,
            cluster,
            authority: parts.authority.0,
            gossip_key: parts.gossip_key,
            is_insecure: parts.source.is_none(),
            warnings: parts.warnings,
            source: parts.source.map(|source| (source, time)),
            current: RwLock::new(Arc::new(current)),
        })))
    }

    /// Reads the files again. If they hold another certificate for the same node, or other authorities of peer regions, new
    /// connections are opened and accepted with these; those that stand go on. It gives whether that is so.
    ///
    /// # Errors
    ///
    /// As [`Self::load`], or they are another node's or cluster's. What was there before stays.
    pub fn reload(&self) -> Result<bool, CertificateError> {
        let Some((folder, time)) = &self.0.source else { return Ok(false) };
        let (path, authority_path) = (folder.join(files::CERTIFICATE), folder.join(files::AUTHORITY));
        let current = self.current();
        let regions =
            current.authorities.iter().map(RegionAuthority::reload).collect::<Result<Arc<[_]>, _>>()?;
        let is_same = certificate(&path)? == current.certificate && regions == current.authorities;
        if is_same && certificate(&authority_path)? == self.0.authority {
            return Ok(false);
        }
        let new = Self::load_all(folder, Arc::clone(time), regions)?;
        let (old, new) = (&self.0, &new.0);
        let changed = [
            (&path, "name", old.name != new.name || old.purpose != new.purpose),
            (&authority_path, "authority", old.authority != new.authority),
            (&folder.join(files::GOSSIP_KEY), "cluster.key", old.gossip_key != new.gossip_key),
        ];
        if let Some((path, what, _)) = changed.into_iter().find(|(_, _, is_changed)| *is_changed) {
            return Err(CertificateError::Foreign { path: path.clone(), what });
        }
        let current = Arc::clone(&new.current.read().unwrap_or_else(PoisonError::into_inner));
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = current;
        Ok(true)
    }

    fn current(&self) -> Arc<Current> {
        Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether there are files that may change.
    pub fn are_of_files(&self) -> bool {
        self.0.source.is_some()
    }

    /// What the certificate's dates are compared with, in seconds since 1970; `None` without files.
    pub(super) fn wall_seconds(&self) -> Option<u64> {
        let (_, time) = self.0.source.as_ref()?;
        time.current_time().map(|now| now.as_secs())
    }

    /// The node or operator that these prove to be.
    pub fn name(&self) -> &NodeName {
        &self.0.name
    }

    /// What they are for.
    pub fn purpose(&self) -> Purpose {
        self.0.purpose
    }

    /// The cluster they are good for.
    pub fn cluster(&self) -> &ClusterName {
        &self.0.cluster
    }

    /// The secret of membership datagrams; operators have none.
    pub fn gossip_key(&self) -> Option<&GossipKey> {
        self.0.gossip_key.as_ref()
    }

    /// From when until when the certificate holds.
    pub fn validity(&self) -> Validity {
        self.current().validity
    }

    /// Whether anybody can make these, so that they must not leave this machine.
    pub fn is_insecure(&self) -> bool {
        self.0.is_insecure
    }

    /// What is doubtful about their files and stops nothing.
    pub fn warnings(&self) -> &[String] {
        &self.0.warnings
    }

    /// For accepting: TLS 1.3, a client certificate of the authority, one of [`Protocol`] by ALPN, no resumption.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current().server)
    }

    /// For dialling: TLS 1.3, our certificate, the protocol by ALPN, no resumption. `is_named` says whether the server's
    /// name is known and to be checked; otherwise read it from its certificate.
    pub(crate) fn client_config(&self, protocol: Protocol, is_named: bool) -> Arc<ClientConfig> {
        let current = self.current();
        let mut config = if is_named { current.named.clone() } else { current.unnamed.clone() };
        config.alpn_protocols = vec![protocol.alpn().to_vec()];
        Arc::new(config)
    }

    /// As [`Self::client_config`] over Flight, for any node of a peer region; `None` if it has no authority of its own.
    pub(crate) fn region_config(&self, region: &str) -> Option<Arc<ClientConfig>> {
        let current = self.current();
        let place = current.authorities.iter().position(|authority| **authority.region() == *region)?;
        let mut config = current.regions.get(place)?.clone();
        config.alpn_protocols = vec![Protocol::Flight.alpn().to_vec()];
        Some(Arc::new(config))
    }

    /// Whose a certificate is that our server's handshake has verified: a peer region's, or `None` for this cluster's own.
    pub(crate) fn region_of(&self, der: &CertificateDer<'_>) -> Result<Option<Arc<str>>, String> {
        let provider = aws_lc_rs::default_provider();
        let time = self.0.source.as_ref().and_then(|(_, time)| time.current_time());
        let current = self.current();
        let (Some(now), false) = (time, current.authorities.is_empty()) else { return Ok(None) };
        let own = |purpose| {
            is_signed(
                &der.clone().into_owned(),
                &self.0.authority,
                purpose,
                &Arc::new(aws_lc_rs::default_provider()),
                now,
            )
            .is_ok()
        };
        match own(Purpose::Node) || own(Purpose::Operator) {
            true => Ok(None),
            false => regions::whose(der, &current.authorities, &provider, now),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Credentials");
        debug.field("name", &self.0.name).field("cluster", &self.0.cluster);
        debug.field("validity", &self.validity()).finish_non_exhaustive()
    }
}

fn certificate(path: &Path) -> Result<CertificateDer<'static>, CertificateError> {
    let pem = files::read(path, "certificate", FIX)?;
    CertificateDer::from_pem_slice(&pem).map_err(|error| CertificateError::Unreadable {
        path: path.to_owned(),
        what: "certificate",
        detail: error.to_string(),
    })
}

fn gossip_key(path: &Path) -> Result<GossipKey, CertificateError> {
    let text = files::read(path, "key", FIX)?;
    let unreadable = |detail: &str| CertificateError::Unreadable {
        path: path.to_owned(),
        what: "key of 64 hex digits",
        detail: detail.to_owned(),
    };
    let text = std::str::from_utf8(&text).map_err(|_| unreadable("it is no text"))?;
    let bytes = hex::decode(text.trim()).map_err(|error| unreadable(&error.to_string()))?;
    Ok(GossipKey(bytes.try_into().map_err(|_| unreadable("it has another length"))?))
}

/// Whether the parts belong together and hold now, so that a wrong file is named before the first peer refuses it.
fn check(
    parts: &Parts,
    provider: &Arc<CryptoProvider>,
    now: Option<UnixTime>,
) -> Result<(ClusterName, Contents), CertificateError> {
    let (authority, authority_path) = &parts.authority;
    let (der, path) = &parts.certificate;
    let (cluster, from, until) = contents::of_authority(authority).map_err(|detail| {
        CertificateError::Unreadable { path: authority_path.clone(), what: "authority", detail }
    })?;
    let contents =
        Contents::read(der).map_err(|detail| CertificateError::BadName { path: path.clone(), detail })?;
    let now = now.ok_or_else(|| CertificateError::Cryptography {
        action: "check certificates",
        detail: "the system has no time".to_owned(),
    })?;
    holds(now, authority_path, cluster.as_str(), from, until)?;
    holds(now, path, contents.name.as_str(), contents.from, contents.until)?;
    let wrong_authority = |detail: String| CertificateError::WrongAuthority {
        path: path.clone(),
        name: contents.name.to_string(),
        authority: authority_path.clone(),
        detail,
    };
    is_signed(der, authority, contents.purpose, provider, now)
        .map_err(|error| wrong_authority(error.to_string()))?;
    let (key, key_path) = &parts.key;
    let signing = provider.key_provider.load_private_key(key.clone_key()).map_err(|error| {
        CertificateError::Unreadable { path: key_path.clone(), what: "key", detail: error.to_string() }
    })?;
    CertifiedKey::new(vec![der.clone()], signing)
        .keys_match()
        .map_err(|_| CertificateError::KeyMismatch { path: key_path.clone(), certificate: path.clone() })?;
    Ok((cluster, contents))
}

fn holds(now: UnixTime, path: &Path, name: &str, from: u64, until: u64) -> Result<(), CertificateError> {
    let (path, name) = (path.to_owned(), name.to_owned());
    match now.as_secs() {
        now if now < from => Err(CertificateError::NotYetValid { path, name, at: date(from) }),
        now if now > until => Err(CertificateError::Expired { path, name, at: date(until) }),
        _ => Ok(()),
    }
}
