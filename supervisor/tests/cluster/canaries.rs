//! What ractor_cluster does by itself, past what is built around it. A failure here is news: the workaround may go.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use orrery_supervisor::cluster::certificates::Protocol;
use orrery_supervisor::cluster::transport::dial;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, pg, registry};
use ractor_cluster::node::NodeConnectionMode;
use ractor_cluster::{IncomingEncryptionMode, NodeServer, RactorClusterMessage};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::certificates::Cluster;
use crate::links::two;
use crate::process::Node;

const NAME: &str = "canary";

/// A remotable actor as ractor_cluster's documentation has them: named, derived, called without a timeout.
struct Canary;

#[derive(RactorClusterMessage)]
enum CanaryMessage {
    Bytes(Vec<u8>),
    #[rpc]
    Forget(u64, RpcReplyPort<u64>),
}

impl Actor for Canary {
    type Msg = CanaryMessage;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<CanaryMessage>, (): ()) -> Result<(), ActorProcessingErr> {
        pg::join(NAME.to_owned(), vec![myself.get_cell()]);
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<CanaryMessage>,
        message: CanaryMessage,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        match message {
            CanaryMessage::Bytes(bytes) => drop(bytes),
            CanaryMessage::Forget(_, reply) => drop(reply),
        }
        Ok(())
    }
}

/// Spawns this process's canary.
pub(crate) async fn start() {
    Actor::spawn(Some(NAME.to_owned()), Canary, ()).await.unwrap();
}

/// The part of a node's process that is about canaries.
pub(crate) async fn perform(what: &Value) -> Value {
    let remote = || {
        let members = pg::get_members(&NAME.to_owned());
        let cell = members.into_iter().find(|cell| !cell.get_id().is_local());
        ActorRef::<CanaryMessage>::from(cell.unwrap())
    };
    match what["do"].as_str().unwrap() {
        "cast" => {
            let bytes = usize::try_from(what["bytes"].as_u64().unwrap()).unwrap();
            let canary = remote();
            let casts = 0..what["casts"].as_u64().unwrap();
            let ok = casts.filter(|_| canary.cast(CanaryMessage::Bytes(vec![0; bytes])).is_ok()).count();
            // So that they leave the mailbox of the actor's stand-in.
            tokio::time::sleep(Duration::from_millis(500)).await;
            json!(ok)
        }
        "forget" => {
            let canary = remote();
            let called = canary.call(|reply| CanaryMessage::Forget(1, reply), None);
            json!(tokio::time::timeout(Duration::from_secs(3), called).await.is_err())
        }
        "stop_canary" => {
            let local = pg::get_local_members(&NAME.to_owned());
            let waits = local.iter().map(|cell| cell.stop_and_wait(None, None));
            futures::future::join_all(waits).await;
            json!(local.len())
        }
        "canary" => {
            let local = pg::get_local_members(&NAME.to_owned()).len();
            let remote = pg::get_members(&NAME.to_owned()).len() - local;
            json!({"found": registry::where_is(NAME).is_some(), "local": local, "remote": remote})
        }
        other => panic!("{other}"),
    }
}

/// Two linked nodes whose canaries know each other.
fn canaries(settings: &Value) -> (Node, Node) {
    let cluster = Cluster::new("moon");
    let mut settings = settings.clone();
    settings["canary"] = true.into();
    let (mut a, mut b) = two(&cluster, &settings);
    while a.ask(&json!({"do": "canary"}))["remote"] == 0 || b.ask(&json!({"do": "canary"}))["remote"] == 0 {}
    (a, b)
}

#[test]
fn fact_1_still_queues_for_a_stopped_peer_without_a_bound() {
    let (mut a, b) = canaries(&json!({}));
    let before = a.peak_mib();
    b.signal("STOP");
    assert_eq!(a.ask(&json!({"do": "cast", "bytes": 500_000, "casts": 400})), 400);
    let grown = a.peak_mib() - before;
    assert!(grown > 190, "200 MB were cast, and memory grew by {grown} MiB");
}

#[test]
fn fact_2_still_takes_no_notice_of_pings_that_nobody_answers() {
    let (mut a, b) = canaries(&json!({"idle_ms": 3_600_000}));
    b.signal("STOP");
    // Two of its longest intervals between pings.
    let call = a.call("b", "echo", "", 10_000);
    assert_eq!(call["kind"], "timed_out", "{call}");
    assert_eq!(a.status()["b"]["linked"], "b.1");
    assert_eq!(a.ask(&json!({"do": "cast", "bytes": 1, "casts": 1})), 1);
}

#[test]
fn fact_4_still_leaves_a_caller_waiting_for_a_dropped_reply() {
    let (mut a, _b) = canaries(&json!({}));
    assert_eq!(a.ask(&json!({"do": "forget"})), true);
}

#[test]
fn fact_5_still_takes_the_name_of_a_local_actor_when_a_remote_one_stops() {
    let (mut a, mut b) = canaries(&json!({}));
    assert_eq!(a.ask(&json!({"do": "canary"})), json!({"found": true, "local": 1, "remote": 1}));
    b.ask(&json!({"do": "stop_canary"}));
    while a.ask(&json!({"do": "canary"}))["remote"] == 1 {}
    assert_eq!(a.ask(&json!({"do": "canary"})), json!({"found": false, "local": 1, "remote": 0}));
}

#[test]
fn facts_3_and_9_still_end_the_link_at_one_large_frame_that_was_cast_without_an_error() {
    let (mut a, mut b) = canaries(&json!({}));
    b.want(&[]);
    a.want(&[]);
    assert_eq!(a.ask(&json!({"do": "cast", "bytes": 1_048_577, "casts": 1})), 1);
    a.until_gone("b");
    b.until_gone("a");
}

#[test]
fn facts_7_and_8_still_let_a_silent_client_stop_its_listener() {
    let cluster = Cluster::new("moon");
    let (server, good) = (cluster.credentials("server"), cluster.credentials("good"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let tls = IncomingEncryptionMode::Tls(TlsAcceptor::from(server.server_config()));
        let isolated = Some(NodeConnectionMode::Isolated);
        let raw =
            NodeServer::new(free.port(), "moon".into(), "server".into(), "h".into(), Some(tls), isolated);
        let raw = raw.with_listen_addr(Ipv4Addr::LOCALHOST.into());
        let (raw, ended) = Actor::spawn(None, raw, ()).await.unwrap();
        let address = free.to_string();
        let within = Duration::from_secs(3);
        let before = dial(&address, &good, Protocol::Control, None, within).await;
        assert_eq!(before.unwrap().peer.as_str(), "server");
        let mut silent = TcpStream::connect(free).await.unwrap();
        let beside = dial(&address, &good, Protocol::Control, None, within).await;
        assert_eq!(beside.unwrap_err().kind(), "timed_out");
        let held = tokio::time::timeout(within, silent.read(&mut [0; 1])).await;
        assert!(held.is_err(), "closed: there is a deadline now");
        drop(silent);
        let after = dial(&address, &good, Protocol::Control, None, within).await;
        assert_eq!(after.unwrap().peer.as_str(), "server");
        raw.stop(None);
        ended.await.unwrap();
    });
}
