//! Twelve kinds of bad peer: each is refused, and none delays a good one.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use orrery_supervisor::cluster::DeniedNames;
use orrery_supervisor::cluster::certificates::{Credentials, Protocol, Purpose, Validity};
use orrery_supervisor::cluster::transport::{Connection, Counters, DialError, Limits, Listener, dial};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::{ServerName, UnixTime};
use tokio_rustls::rustls::time_provider::TimeProvider;

use crate::certificates::{Cluster, client, read, seconds_from_now};
use crate::process::Node;

const CONTROL: &[u8] = b"orrery-control/1";

/// A listener in work, and what it proved.
struct Server {
    address: SocketAddr,
    proven: mpsc::Receiver<Connection>,
    counters: Arc<Counters>,
}

fn limits() -> Limits {
    Limits { handshake_deadline: Duration::from_secs(20), ..Limits::default() }
}

/// Runs `test` beside a listener.
fn with_listener<F: Future<Output = ()>>(
    credentials: &Credentials,
    limits: Limits,
    test: impl FnOnce(Server) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        let listener = Listener::bind(address, credentials, limits).await.unwrap();
        let (sender, proven) = mpsc::channel(64);
        let server = Server { address: listener.local_address(), proven, counters: listener.counters() };
        tokio::select! {
            () = listener.run(sender) => panic!("the listener ended"),
            () = test(server) => {}
        }
    });
}

impl Server {
    /// A good peer connects, and how long that takes.
    async fn good(&mut self, credentials: &Credentials) -> Duration {
        let began = Instant::now();
        let address = self.address.to_string();
        let expected = "server".parse().unwrap();
        let dialled =
            dial(&address, credentials, Protocol::Control, Some(&expected), Duration::from_secs(10)).await;
        assert_eq!(dialled.unwrap().peer.as_str(), "server");
        let accepted = self.proven.recv().await.unwrap();
        assert_eq!(accepted.peer.as_str(), "good");
        began.elapsed()
    }

    /// Nothing was let in, and something was refused.
    fn refused(&mut self, before: u64, what: &str) {
        assert!(self.proven.try_recv().is_err(), "{what} was let in");
        assert!(self.counters.refused() > before, "{what} was not refused");
    }
}

/// Connects from one of the loopback addresses, for those that are counted by address.
async fn socket_from(last: u8, server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into()).unwrap();
    socket.connect(server).await.unwrap()
}

/// Tries TLS and reads until the other side closes.
async fn tls(server: SocketAddr, config: Arc<ClientConfig>) -> io::Result<usize> {
    let socket = TcpStream::connect(server).await?;
    let mut tls = TlsConnector::from(config).connect(ServerName::try_from("server").unwrap(), socket).await?;
    tls.read(&mut [0; 100]).await
}

/// Sends bytes as they are and gives what comes back until the other side closes.
async fn raw(server: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(server).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset is a refusal too.
    let _ = socket.read_to_end(&mut answer).await;
    answer
}

/// A ClientHello of TLS 1.2: as 1.3's, without the extension that names 1.3.
fn hello_of_tls_1_2() -> Vec<u8> {
    let extensions = [
        &[0x00, 0x0a, 0x00, 0x04, 0x00, 0x02, 0x00, 0x17][..], // supported_groups: secp256r1
        &[0x00, 0x0d, 0x00, 0x04, 0x00, 0x02, 0x04, 0x03],     // signature_algorithms: ecdsa_secp256r1_sha256
    ]
    .concat();
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_be_bytes();
    let ciphers = [0xc0, 0x2b, 0xc0, 0x2f];
    let body = [
        &[0x03, 0x03][..],
        &[7; 32],
        &[0],
        &length(&ciphers),
        &ciphers,
        &[1, 0],
        &length(&extensions),
        &extensions,
    ]
    .concat();
    let message = [&[1, 0][..], &length(&body), &body].concat();
    [&[0x16, 0x03, 0x01][..], &length(&message), &message].concat()
}

#[test]
fn bad_peers_are_refused_and_do_not_delay_a_good_one() {
    let (cluster, other) = (Cluster::new("moon"), Cluster::new("moon"));
    let good = cluster.credentials("good");
    with_listener(&cluster.credentials("server"), limits(), |mut server| async move {
        let address = server.address;
        let calm = server.good(&good).await;
        // Stalled: sixty that say nothing, and some that stop in the middle of a hello.
        let mut stalled = Vec::new();
        for index in 0..60 {
            let mut socket = socket_from(10 + index % 10, address).await;
            if index % 3 == 0 {
                socket.write_all(&hello_of_tls_1_2()[..20]).await.unwrap();
            }
            stalled.push(socket);
        }
        let mut slowest = Duration::ZERO;
        for round in 0..10 {
            slowest = slowest.max(server.good(&good).await);
            let before = server.counters.refused();
            let issue = |from, until| {
                let validity = Validity { from: seconds_from_now(from), until: seconds_from_now(until) };
                Some(read(&cluster.issue("good", Purpose::Node, validity)))
            };
            let node = || Some(read(&cluster.node("good")));
            let what = match round {
                0 => ("without a certificate", tls(address, client(&cluster, None, CONTROL)).await.is_err()),
                1 => {
                    let shows = Some(read(&other.node("good")));
                    ("of another authority", tls(address, client(&cluster, shows, CONTROL)).await.is_err())
                }
                2 => ("expired", tls(address, client(&cluster, issue(-900, -300), CONTROL)).await.is_err()),
                3 => {
                    ("not yet valid", tls(address, client(&cluster, issue(300, 900), CONTROL)).await.is_err())
                }
                4 => {
                    let shows = Some(cluster.named(&["good", "server"]));
                    ("of two names", !matches!(tls(address, client(&cluster, shows, CONTROL)).await, Ok(1..)))
                }
                5 => {
                    let shows = Some(cluster.named(&["*.moon"]));
                    (
                        "of a wildcard",
                        !matches!(tls(address, client(&cluster, shows, CONTROL)).await, Ok(1..)),
                    )
                }
                6 => ("of TLS 1.2", raw(address, &hello_of_tls_1_2()).await.ends_with(&[2, 70])),
                7 => ("without TLS", !raw(address, b"GET / HTTP/1.1\r\n\r\n").await.starts_with(b"HTTP")),
                8 => (
                    "of another protocol",
                    tls(address, client(&cluster, node(), b"http/1.1")).await.is_err(),
                ),
                _ => {
                    ("of no protocol", !matches!(tls(address, client(&cluster, node(), b"")).await, Ok(1..)))
                }
            };
            assert!(what.1, "a peer {} got an answer", what.0);
            server.refused(before, what.0);
        }
        println!("a good peer: {calm:?} alone, at most {slowest:?} beside 60 stalled and 10 bad ones");
        assert!(slowest < Duration::from_secs(5), "{slowest:?}");
        assert_eq!((server.counters.timed_out(), server.counters.evicted()), (0, 0));
        drop(stalled);
    });
}

#[test]
fn stalled_peers_are_closed_at_the_deadline_and_one_address_holds_few() {
    let cluster = Cluster::new("moon");
    let good = cluster.credentials("good");
    let limits = Limits { handshake_deadline: Duration::from_millis(500), ..Limits::default() };
    with_listener(&cluster.credentials("server"), limits, |mut server| async move {
        let mut stalled = Vec::new();
        for _ in 0..30 {
            stalled.push(socket_from(10, server.address).await);
        }
        server.good(&good).await;
        for socket in &mut stalled {
            // Closed, by an end or a reset.
            assert!(!matches!(socket.read(&mut [0; 10]).await, Ok(1..)));
        }
        assert_eq!((server.counters.timed_out(), server.counters.refused()), (16, 14));
    });
}

#[test]
fn a_flood_of_stalled_peers_from_everywhere_gives_way_to_a_good_one() {
    let cluster = Cluster::new("moon");
    let good = cluster.credentials("good");
    with_listener(&cluster.credentials("server"), limits(), |mut server| async move {
        let mut stalled = Vec::new();
        for index in 0..200 {
            stalled.push(socket_from(10 + index % 20, server.address).await);
        }
        let took = server.good(&good).await;
        assert!(took < Duration::from_secs(5), "{took:?}");
        assert_eq!(server.counters.evicted(), 200 + 1 - 64);
    });
}

#[test]
fn operators_get_no_control_link_and_names_can_be_locked_out() {
    let cluster = Cluster::new("moon");
    let operator = cluster.issue("anna", Purpose::Operator, Validity::starting_now(crate::certificates::DAY));
    let operator = Credentials::load(&operator).unwrap();
    let denied = DeniedNames::new(["eve".parse().unwrap()].into());
    let limits = Limits { denied: denied.clone(), ..limits() };
    let (good, locked_out) = (cluster.credentials("good"), cluster.credentials("eve"));
    with_listener(&cluster.credentials("server"), limits, |mut server| async move {
        let address = server.address.to_string();
        let dial = async |credentials, protocol| {
            let mut connection =
                dial(&address, credentials, protocol, None, Duration::from_secs(10)).await.unwrap();
            connection.stream.read(&mut [0; 10]).await
        };
        assert!(!matches!(dial(&operator, Protocol::Control).await, Ok(1..)));
        server.refused(0, "an operator's control link");
        assert!(!matches!(dial(&locked_out, Protocol::Flight).await, Ok(1..)));
        server.refused(1, "a name that is denied");
        server.good(&good).await;
        let connected = dial_flight(&address, &operator).await;
        assert_eq!((connected.peer.as_str(), connected.purpose), ("server", Purpose::Node));
        let accepted = server.proven.recv().await.unwrap();
        assert_eq!((accepted.peer.as_str(), accepted.purpose), ("anna", Purpose::Operator));
        // What stands ends too.
        let mut standing = accepted.stream;
        denied.set(["anna".parse().unwrap()].into());
        let error = standing.read(&mut [0; 10]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
        let mut standing = dial_flight(&address, &locked_out).await;
        let mut accepted = server.proven.recv().await.unwrap();
        standing.stream.write_all(b"let in again").await.unwrap();
        accepted.stream.read_exact(&mut [0; 12]).await.unwrap();
    });
}

#[test]
fn an_operator_that_opens_many_connections_leaves_places_for_nodes() {
    let cluster = Cluster::new("moon");
    let operator = cluster.issue("anna", Purpose::Operator, Validity::starting_now(crate::certificates::DAY));
    let (operator, good) = (Credentials::load(&operator).unwrap(), cluster.credentials("good"));
    let limits = Limits { connections_max: 4, operators_max: 3, connections_per_operator_max: 2, ..limits() };
    with_listener(&cluster.credentials("server"), limits, |mut server| async move {
        let address = server.address.to_string();
        let mut held = Vec::new();
        for _ in 0..2 {
            held.push((dial_flight(&address, &operator).await, server.proven.recv().await.unwrap()));
        }
        let mut third = dial_flight(&address, &operator).await;
        assert!(!matches!(third.stream.read(&mut [0; 10]).await, Ok(1..)));
        server.refused(0, "a third connection of one operator");
        server.good(&good).await;
        drop(held.pop());
        held.push((dial_flight(&address, &operator).await, server.proven.recv().await.unwrap()));
    });
}

#[test]
fn a_proven_peer_that_says_nothing_does_not_keep_its_place() {
    let cluster = Cluster::new("moon");
    let limits = Limits { speaks_within: Duration::from_millis(100), ..limits() };
    with_listener(&cluster.credentials("server"), limits, |mut server| async move {
        let _silent = dial_flight(&server.address.to_string(), &cluster.credentials("eve")).await;
        let mut accepted = server.proven.recv().await.unwrap();
        let error = accepted.stream.read(&mut [0; 10]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
    });
}

async fn dial_flight(address: &str, credentials: &Credentials) -> Connection {
    dial(address, credentials, Protocol::Flight, None, Duration::from_secs(10)).await.unwrap()
}

/// A clock that is set.
#[derive(Debug)]
struct SetClock(AtomicU64);

impl TimeProvider for SetClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::Relaxed))))
    }
}

#[test]
fn a_short_lived_certificate_ends_when_it_runs_out() {
    let cluster = Cluster::new("moon");
    let now = seconds_from_now(0);
    let clock = Arc::new(SetClock(AtomicU64::new(now)));
    let server = Credentials::load_with(&cluster.node("server"), clock.clone()).unwrap();
    let hour = Validity { from: now - 60, until: now + 3600 };
    let good = Credentials::load(&cluster.issue("good", Purpose::Node, hour)).unwrap();
    let fresh = cluster.credentials("good");
    with_listener(&server, limits(), |mut server| async move {
        server.good(&good).await;
        clock.0.store(now + 3601, Ordering::Relaxed);
        let mut refused = dial_flight(&server.address.to_string(), &good).await;
        let error = refused.stream.read(&mut [0; 10]).await.unwrap_err();
        assert!(error.to_string().contains("CertificateExpired"), "{error}");
        server.refused(0, "a certificate that ran out");
        server.good(&fresh).await;
    });
}

#[test]
fn a_renewed_certificate_is_shown_to_new_peers_and_standing_connections_go_on() {
    let cluster = Cluster::new("moon");
    let now = seconds_from_now(0);
    let clock = Arc::new(SetClock(AtomicU64::new(now)));
    let hour = Validity { from: now - 60, until: now + 3600 };
    let folder = cluster.issue("server", Purpose::Node, hour);
    let server = Credentials::load(&folder).unwrap();
    let peer = Credentials::load_with(&cluster.node("peer"), clock.clone()).unwrap();
    let renewed = cluster.node("server");
    with_listener(&server.clone(), limits(), |mut listening| async move {
        let address = listening.address.to_string();
        let mut standing = dial_flight(&address, &peer).await;
        let mut accepted = listening.proven.recv().await.unwrap();
        clock.0.store(now + 3601, Ordering::Relaxed);
        let deadline = Duration::from_secs(10);
        let late = dial(&address, &peer, Protocol::Flight, None, deadline).await.unwrap_err();
        assert!(matches!(late, DialError::Tls { .. }), "{late}");
        for file in ["node.pem", "node.key"] {
            std::fs::copy(renewed.join(file), folder.join(file)).unwrap();
        }
        assert!(server.reload().unwrap());
        dial_flight(&address, &peer).await;
        accepted.stream.write_all(b"still here").await.unwrap();
        let mut read = [0; 10];
        standing.stream.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"still here");
    });
}

#[test]
fn a_connection_that_ends_in_the_middle_says_so_in_plain_words() {
    let cluster = Cluster::new("moon");
    let (server, peer) = (cluster.credentials("server"), cluster.credentials("peer"));
    with_listener(&server, limits(), |mut listening| async move {
        let standing = dial_flight(&listening.address.to_string(), &peer).await;
        let mut accepted = listening.proven.recv().await.unwrap();
        // Dropped without a farewell, as when its process is killed.
        drop(standing);
        let error = accepted.stream.read(&mut [0; 10]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(error.to_string().starts_with("the other side is gone"), "{error}");
    });
}

/// Passes bytes on between two sockets, and keeps what the first one sent.
async fn relay(listener: &TcpListener, to: SocketAddr) -> Vec<u8> {
    let (mut from, _) = listener.accept().await.unwrap();
    let mut to = TcpStream::connect(to).await.unwrap();
    let mut sent = Vec::new();
    let (mut forth, mut back) = (vec![0; 4096], vec![0; 4096]);
    loop {
        tokio::select! {
            count = from.read(&mut forth) => match count {
                Ok(count @ 1..) => {
                    sent.extend_from_slice(&forth[..count]);
                    to.write_all(&forth[..count]).await.unwrap();
                }
                _ => return sent,
            },
            count = to.read(&mut back) => match count {
                Ok(count @ 1..) => from.write_all(&back[..count]).await.unwrap(),
                _ => return sent,
            },
        }
    }
}

#[test]
fn replayed_and_relayed_handshakes_are_refused() {
    let cluster = Cluster::new("moon");
    let good = cluster.credentials("good");
    with_listener(&cluster.credentials("server"), limits(), |mut server| async move {
        let middle = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = middle.local_addr().unwrap().to_string();
        // Whoever passes on a handshake as it is gets an encrypted stream between two that know each other.
        let dialled = async {
            drop(dial_flight(&address, &good).await);
        };
        let (sent, ()) = tokio::join!(relay(&middle, server.address), dialled);
        assert_eq!(server.proven.recv().await.unwrap().peer.as_str(), "good");
        assert!(sent.len() > 500, "a hello, a certificate and its proof: {} bytes", sent.len());
        let before = server.counters.refused();
        raw(server.address, &sent).await;
        server.refused(before, "a replay of a good peer's bytes");
        // Relayed to another than whom it was meant for.
        let meant = "elsewhere".parse().unwrap();
        let dialled = dial(&address, &good, Protocol::Control, Some(&meant), Duration::from_secs(10));
        let (_, dialled) = tokio::join!(relay(&middle, server.address), dialled);
        assert!(matches!(dialled, Err(DialError::WrongPeer { .. })), "{dialled:?}");
        // The refusal comes by way of the relay; behind a good peer it has come.
        server.good(&good).await;
        server.refused(before + 1, "a relayed handshake");
    });
}

#[test]
fn dialling_says_what_is_wrong() {
    let (cluster, other) = (Cluster::new("moon"), Cluster::new("sun"));
    let good = cluster.credentials("good");
    let stranger = other.credentials("good");
    with_listener(&cluster.credentials("server"), limits(), |server| async move {
        let Server { address, proven: _proven, .. } = server;
        let check = async |address: &str, credentials: &Credentials, kind: &str, says: &str| {
            let after = Duration::from_millis(1500);
            let error = dial(address, credentials, Protocol::Control, None, after).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().starts_with(address) && error.to_string().contains(says), "{error}");
        };
        let address = address.to_string();
        check(&address, &stranger, "tls", "of one authority").await;
        check("127.0.0.1", &good, "resolve", "HOST:PORT").await;
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        check(&silent.local_addr().unwrap().to_string(), &good, "timed_out", "1.5s").await;
        let nobody = silent.local_addr().unwrap().to_string();
        drop(silent);
        check(&nobody, &good, "connect", "cannot connect").await;
        let insecure = Credentials::insecure_loopback(&"a".parse().unwrap(), Purpose::Node).unwrap();
        check("192.0.2.1:1", &insecure, "insecure", "loopback addresses alone").await;
        let everywhere = (Ipv4Addr::UNSPECIFIED, 0).into();
        let error = Listener::bind(everywhere, &insecure, limits()).await.unwrap_err().to_string();
        assert!(error.contains("0.0.0.0:0") && error.contains("loopback"), "{error}");
    });
}

#[test]
fn insecure_loopback_is_the_same_code_with_an_authority_of_its_own() {
    let cluster = Cluster::new("moon");
    let insecure =
        |name: &str| Credentials::insecure_loopback(&name.parse().unwrap(), Purpose::Node).unwrap();
    let (good, real) = (insecure("good"), cluster.credentials("good"));
    with_listener(&insecure("server"), limits(), |mut server| async move {
        server.good(&good).await;
        let address = server.address.to_string();
        let dialled = dial(&address, &real, Protocol::Control, None, Duration::from_secs(10)).await;
        assert_eq!(dialled.unwrap_err().kind(), "tls");
        // The client hangs up; behind a good peer that has come.
        server.good(&good).await;
        server.refused(0, "a certificate of a real cluster");
    });
}

#[test]
fn a_node_without_file_descriptors_waits_and_does_not_spin() {
    let cluster = Cluster::new("moon");
    let a = Node::start("a", 1, &cluster.node("a"));
    let mut b = Node::start("b", 1, &cluster.node("b"));
    a.limit_files(None);
    let before = a.ticks();
    b.want(&[&a]);
    // A dial gives up after 5 s.
    let gave_up =
        |status: &Value| status["a"]["error"].as_str().is_some_and(|error| error.contains("within 5s"));
    while !gave_up(&b.status()) {}
    let used = a.ticks() - before;
    assert!(used < 100, "{used} hundredths of a second in 5 seconds");
    assert_eq!(b.call("a", "echo", "x", 500)["kind"], "not_linked");
    a.limit_files(Some(1024));
    b.until_linked("a", Some(1));
    assert_eq!(b.call("a", "echo", "x", 5000)["answer"], "x");
}

#[test]
fn a_wrong_cookie_makes_no_link() {
    let cluster = Cluster::new("moon");
    let mut a = Node::start("a", 1, &cluster.node("a"));
    let mut b = Node::start_with("b", 1, &cluster.node("b"), json!({"cluster": "sun"}));
    let mut c = Node::start("c", 1, &cluster.node("c"));
    b.want(&[&a]);
    c.want(&[&a]);
    a.until_linked("c", Some(1));
    // By now b has tried as well, and goes on trying.
    while b.status()["a"]["attempts"].as_u64().unwrap_or(0) < 2 {}
    assert_eq!(a.call("b", "echo", "x", 500)["kind"], "not_linked");
    assert_eq!(b.call("a", "echo", "x", 500)["kind"], "not_linked");
    assert_eq!(a.call("c", "echo", "x", 5000)["answer"], "x");
}

#[test]
fn a_peer_that_claims_another_name_is_refused_before_it_is_heard() {
    let cluster = Cluster::new("moon");
    let mut a = Node::start("a", 1, &cluster.node("a"));
    let mut b = Node::start("b", 1, &cluster.node("b"));
    b.want(&[&a]);
    a.until_linked("b", Some(1));
    let eve = cluster.credentials("eve");
    let field = |number: u8, content: &[u8]| {
        [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let says = |frame: Vec<u8>, length: u64| {
        let (address, eve) = (a.address.clone(), &eve);
        runtime.block_on(async move {
            let dialled = dial(&address, eve, Protocol::Control, None, Duration::from_secs(10)).await;
            let mut stream = dialled.unwrap().stream;
            stream.write_all(&[&length.to_be_bytes()[..], &frame].concat()).await.unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            answer
        })
    };
    let named = |name: &[u8]| field(1, &field(1, &[field(1, name), vec![0x20, 1]].concat()));
    for frame in [named(b"b.9@orrery"), named(b"b.1@orrery"), named(b"eve@orrery"), field(2, b"x")] {
        let length = frame.len() as u64;
        assert_eq!(says(frame, length), b"", "ractor_cluster would answer a name with a status");
    }
    // A length alone, as large as ractor_cluster would take and wait for.
    assert_eq!(says(Vec::new(), 1024 * 1024), b"");
    assert_eq!(a.call("b", "echo", "x", 5000)["answer"], "x");
    assert_eq!(a.status()["b"], json!({"linked": "b.1", "attempts": 0, "error": null}));
}

#[test]
fn ractor_clusters_own_listener_lets_nobody_in() {
    let cluster = Cluster::new("moon");
    let a = Node::start("a", 1, &cluster.node("a"));
    let good = cluster.credentials("good");
    let ours: SocketAddr = a.address.parse().unwrap();
    // It says where it listens before its links have started.
    let mut ports = a.ports();
    while ports.len() < 2 {
        ports = a.ports();
    }
    let others: Vec<_> = ports.iter().filter(|port| **port != ours.port()).collect();
    assert_eq!((ports.len(), others.len()), (2, 1), "ours and ractor_cluster's");
    let address: SocketAddr = (Ipv4Addr::LOCALHOST, *others[0]).into();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let dialled =
            dial(&address.to_string(), &good, Protocol::Control, None, Duration::from_secs(10)).await;
        assert_eq!(dialled.unwrap_err().kind(), "tls");
        // Its first message without TLS, as it would take it from anybody by default.
        let name = b"\x00\x00\x00\x00\x00\x00\x00\x10\x0a\x0e\x0a\x0c\x0a\x0ab.1@orrery";
        let answer = raw(address, name).await;
        assert!(answer.is_empty() || answer[0] == 0x15, "an alert of TLS at most: {answer:?}");
    });
}

#[test]
fn connections_are_as_many_as_they_may_be() {
    let cluster = Cluster::new("moon");
    let good = cluster.credentials("good");
    let limits = Limits { connections_max: 2, ..limits() };
    with_listener(&cluster.credentials("server"), limits, |mut server| async move {
        let address = server.address.to_string();
        let mut held = Vec::new();
        for _ in 0..2 {
            dial_flight(&address, &good).await;
            held.push(server.proven.recv().await.unwrap());
        }
        let mut refused = dial_flight(&address, &good).await;
        assert!(!matches!(refused.stream.read(&mut [0; 1]).await, Ok(1..)));
        server.refused(0, "a third of two");
        held.pop();
        server.good(&good).await;
    });
}
