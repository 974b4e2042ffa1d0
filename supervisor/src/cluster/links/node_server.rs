//! ractor_cluster's server of sessions, with everything off that reaches the network by itself.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ractor_cluster::node::{NodeConnectionMode, NodeServerSessionInformation};
use ractor_cluster::{IncomingEncryptionMode, NodeEventSubscription, NodeServer};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{Error, ServerConfig};

use super::claim::HOST;
use crate::cluster::name::{ClusterName, NodeIdentity};

/// The most that one message may have, with ractor_cluster's own header. A larger one ends the whole link, so that
/// senders must not let one out: see the limits of calls.
pub const FRAME_BYTES_MAX: u64 = 1024 * 1024;

/// Makes it. It always binds a listener; ours takes connections from others, so that this one sits on a loopback port
/// and has no certificate, with which no handshake can end.
pub(super) fn node_server(identity: &NodeIdentity, cluster: &ClusterName) -> Result<NodeServer, Error> {
    let closed = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(NoCertificate));
    let server = NodeServer::new(
        0,
        cluster.to_string(),
        identity.to_string(),
        HOST.to_owned(),
        Some(IncomingEncryptionMode::Tls(TlsAcceptor::from(Arc::new(closed)))),
        Some(NodeConnectionMode::Isolated),
    );
    Ok(server.with_listen_addr(IpAddr::V4(Ipv4Addr::LOCALHOST)).with_max_inbound_frame_size(FRAME_BYTES_MAX))
}

#[derive(Debug)]
struct NoCertificate;

impl ResolvesServerCert for NoCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

/// Wakes the keeper whenever something happened; what it was does not matter.
pub(super) struct Wakes(pub(super) Arc<Notify>);

impl NodeEventSubscription for Wakes {
    fn node_session_opened(&self, _: NodeServerSessionInformation) {
        self.0.notify_one();
    }

    fn node_session_disconnected(&self, _: NodeServerSessionInformation) {
        self.0.notify_one();
    }

    fn node_session_authenticated(&self, _: NodeServerSessionInformation) {
        self.0.notify_one();
    }

    fn node_session_ready(&self, _: NodeServerSessionInformation) {
        self.0.notify_one();
    }
}
