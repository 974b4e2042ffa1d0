//! Nodes of peer regions: let in by their own authority over Flight, and for nothing else.

use std::net::Ipv4Addr;
use std::time::Duration;

use orrery_supervisor::cluster::DeniedNames;
use orrery_supervisor::cluster::certificates::{Credentials, Protocol, Purpose, RegionAuthority, Validity};
use orrery_supervisor::cluster::transport::{Connection, DialError, Limits, Listener, dial, dial_region};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use crate::certificates::{Cluster, DAY};

const WITHIN: Duration = Duration::from_secs(60);

/// Credentials of a node that knows these regions.
fn knows(cluster: &Cluster, name: &str, regions: &[(&str, &Cluster)]) -> Credentials {
    let load = |(region, peer): &(&str, &Cluster)| {
        RegionAuthority::load(region, &peer.authority.folder().join("ca.pem")).unwrap()
    };
    Credentials::load_with_regions(&cluster.node(name), regions.iter().map(load).collect()).unwrap()
}

/// Runs `test` beside a listener; gives it the address, and what is proven.
fn beside<F: Future<Output = ()>>(
    server: &Credentials,
    limits: Limits,
    test: impl FnOnce(String, mpsc::Receiver<Connection>) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into(), server, limits).await.unwrap();
        let address = listener.local_address().to_string();
        let (sender, proven) = mpsc::channel(16);
        tokio::select! {
            () = listener.run(sender) => panic!("the listener ended"),
            () = test(address, proven) => {}
        }
    });
}

/// Whoever was refused sees its connection end, and nothing was proven before.
async fn refused(
    dialled: Result<Connection, DialError>,
    proven: &mut mpsc::Receiver<Connection>,
    what: &str,
) {
    if let Ok(mut connection) = dialled {
        let read = connection.stream.read(&mut [0; 1]).await;
        assert!(!matches!(read, Ok(1..)), "{what}: {read:?}");
    }
    assert!(proven.try_recv().is_err(), "{what} was let in");
}

#[test]
fn a_node_of_a_peer_region_is_let_in_over_flight_alone() {
    let (eu, us, stranger) = (Cluster::new("eu"), Cluster::new("us"), Cluster::new("stranger"));
    let server = knows(&eu, "eu-1", &[("us", &us)]);
    let limits = Limits { denied: DeniedNames::new(["lost".parse().unwrap()].into()), ..Limits::default() };
    let of_us = |name: &str| knows(&us, name, &[("eu", &eu)]);
    let operator = us.issue("anna", Purpose::Operator, Validity::starting_now(DAY));
    let eu_authority = RegionAuthority::load("eu", &eu.authority.folder().join("ca.pem")).unwrap();
    let operator = Credentials::load_with_regions(&operator, vec![eu_authority]).unwrap();
    beside(&server, limits, async |address, mut proven| {
        let region = async |credentials: &Credentials| dial_region(&address, credentials, "eu", WITHIN).await;
        let held = region(&of_us("us-1")).await.unwrap();
        assert_eq!((held.peer.as_str(), held.protocol), ("eu-1", Protocol::Flight));
        let accepted = proven.recv().await.unwrap();
        assert_eq!((accepted.peer.as_str(), accepted.purpose), ("us-1", Purpose::Region));
        assert_eq!(accepted.region.as_deref(), Some("us"));
        // As one of this cluster it is what it was.
        let own = dial(&address, &eu.credentials("eu-2"), Protocol::Control, None, WITHIN).await.unwrap();
        let accepted = proven.recv().await.unwrap();
        assert_eq!((accepted.purpose, accepted.region), (Purpose::Node, None));
        drop(own);

        refused(region(&operator).await, &mut proven, "an operator of the peer").await;
        refused(region(&of_us("lost")).await, &mut proven, "a denied name").await;
        refused(region(&knows(&stranger, "x", &[("eu", &eu)])).await, &mut proven, "a stranger").await;
        // What is believed when a server is dialled is another matter than what it believes.
        let wrong = region(&us.credentials("us-1")).await;
        assert!(matches!(wrong, Err(DialError::Tls { .. })), "{wrong:?}");
    });
}

#[test]
fn a_node_of_a_peer_region_gets_no_control_link() {
    let (eu, us) = (Cluster::new("eu"), Cluster::new("us"));
    let server = knows(&eu, "eu-1", &[("us", &us)]);
    // It believes this cluster's servers, and asks for the control plane.
    let client = crate::certificates::client(
        &eu,
        Some(crate::certificates::read(&us.node("us-1"))),
        Protocol::Control.alpn(),
    );
    beside(&server, Limits::default(), async |address, mut proven| {
        let socket = tokio::net::TcpStream::connect(&address).await.unwrap();
        let name = tokio_rustls::rustls::pki_types::ServerName::try_from("eu-1").unwrap();
        let connected = tokio_rustls::TlsConnector::from(client.clone()).connect(name, socket).await;
        if let Ok(mut stream) = connected {
            let read = stream.read(&mut [0; 1]).await;
            assert!(!matches!(read, Ok(1..)), "{read:?}");
        }
        assert!(proven.try_recv().is_err());
    });
}

#[test]
fn an_authority_of_a_region_that_cannot_be_one_is_named() {
    let (eu, us) = (Cluster::new("eu"), Cluster::new("us"));
    let check = |path: std::path::PathBuf, expect: &str| {
        let loaded = RegionAuthority::load("us", &path);
        let error = loaded
            .and_then(|region| Credentials::load_with_regions(&eu.node("eu-1"), vec![region]))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expect) && error.contains(path.to_str().unwrap()), "`{expect}`: {error}");
    };
    check(us.authority.folder().join("no.pem"), "no such file");
    check(us.node("us-1").join("node.pem"), "not an authority's");
    check(us.node("us-1").join("node.key"), "give 1 to 4 certificates");
    check(eu.authority.folder().join("ca.pem"), "it is this cluster's own");
}

/// The peer makes its authority anew: its file holds the old one and the new one for a while.
#[test]
fn a_region_s_new_authority_is_believed_when_files_are_read_again() {
    let (eu, us, new) = (Cluster::new("eu"), Cluster::new("us"), Cluster::new("us"));
    let file = us.authority.folder().join("ca.pem");
    let server = knows(&eu, "eu-1", &[("us", &us)]);
    let of_new = knows(&new, "us-1", &[("eu", &eu)]);
    beside(&server, Limits::default(), async |address, mut proven| {
        let dialled = dial_region(&address, &of_new, "eu", WITHIN).await;
        refused(dialled, &mut proven, "a node of an authority that is not known").await;
        assert!(!server.reload().unwrap());
        let both = [&file, &new.authority.folder().join("ca.pem")].map(|path| std::fs::read(path).unwrap());
        std::fs::write(&file, both.concat()).unwrap();
        assert!(server.reload().unwrap());
        for credentials in [&of_new, &knows(&us, "us-2", &[("eu", &eu)])] {
            dial_region(&address, credentials, "eu", WITHIN).await.unwrap();
            assert_eq!(proven.recv().await.unwrap().region.as_deref(), Some("us"));
        }
        std::fs::write(&file, "no certificate").unwrap();
        server.reload().unwrap_err();
        dial_region(&address, &of_new, "eu", WITHIN).await.unwrap();
    });
}
