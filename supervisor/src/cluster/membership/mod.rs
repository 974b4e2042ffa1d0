//! Membership: who is in the cluster, as far as this node can tell.
//!
//! What comes in are datagrams of other nodes and what this node tells of itself. What goes out is [`Members`], a value
//! that changes when a node joins, is suspected, is out, returns, leaves, drains, or changes its load.
//!
//! - **A hint.** Nodes may see different members at the same time, and may be wrong. It says whom to call and who gets work;
//!   nothing is safe because of it.
//! - **Gossip** is chitchat's; nobody outside of this folder names it. Its datagrams are authenticated here
//!   (`datagram.rs`), and who is dead is decided here (`detector.rs`), within bounds that hold on a busy machine too.
//! - **Lives.** A node that restarts has a later incarnation: it replaces its former life at once. One that was out and is
//!   heard again is back without anybody's help.
//! - **Joining.** A node that is told whom to join tells nothing of itself until it has heard of the others, so that one whose
//!   name is in use ends before anybody counts it (`arrival.rs`). While it has met nobody it says so again and again
//!   (`company.rs`), and [`Members::is_joining`].
//! - **Tasks.** One of ours, started in [`Membership::start`] and ended with its handle, and chitchat's own.

mod settings;
mod error;
mod members;
mod record_wire;
mod detector;
mod view;
mod arrival;
mod company;
mod datagram;
mod counts;
mod sealed_socket;
mod gossip;

use std::net::SocketAddr;
use std::sync::Arc;

use chitchat::{ChitchatConfig, ChitchatId, FailureDetectorConfig, ProtocolVersion, spawn_chitchat};
use tokio::net::UdpSocket;
use tokio::sync::watch;

pub use counts::{GossipCounts, METRICS};
pub use detector::{Detector, Standing};
pub use error::MembershipError;
pub use members::{Member, MemberState, Members, Profile};
pub use settings::{MembershipSettings, SEEDS_MAX, Timings};

use crate::clock::Clock;
use arrival::Arrival;
use datagram::Envelope;
use gossip::{Beginning, Gossip, Wanted};
use record_wire::Record;
use sealed_socket::SealedTransport;

/// A load is told when it differs this much from what was told last: else every node would gossip about noise.
pub const LOAD_STEP: f32 = 0.1;

/// Phi at which chitchat asks a node less often. It decides nothing else, since who is out is decided here.
const CHITCHAT_PHI: f64 = 20.0;

/// Intervals that chitchat remembers of a node.
const CHITCHAT_WINDOW: usize = 100;

/// This node's part in the gossip. When it is dropped, the node leaves as if it had been told to, if time allows.
pub struct Membership {
    members: watch::Receiver<Members>,
    wanted: watch::Sender<Wanted>,
    gossip_address: SocketAddr,
    counts: Arc<GossipCounts>,
    ended: watch::Receiver<Option<Result<(), Arc<MembershipError>>>>,
}

impl Membership {
    /// Binds the socket, and begins to gossip. It does not wait for anybody: a node that is alone calls its seeds until one
    /// answers. That its name is in use is found out later: see [`Self::ended`].
    ///
    /// # Errors
    ///
    /// A setting that cannot work, or an address that cannot be bound.
    pub async fn start(settings: MembershipSettings, clock: Arc<dyn Clock>) -> Result<Self, MembershipError> {
        settings.check()?;
        let bind = |error| MembershipError::Bind { address: settings.listen, error };
        let socket = UdpSocket::bind(settings.listen).await.map_err(bind)?;
        let mut advertise = settings.advertise;
        if advertise.port() == 0 {
            advertise.set_port(socket.local_addr().map_err(bind)?.port());
        }
        let me = settings.identity.clone();
        let envelope = Envelope::new(&settings.gossip_key, settings.cluster.clone(), me.clone());
        let counts = Arc::new(GossipCounts::new(Arc::clone(&clock)));
        let namesake = envelope.namesake();
        let transport = SealedTransport::new(socket, advertise, envelope, Arc::clone(&counts));
        let first_values = record_wire::first_values(&settings.profile);
        let is_joining = !settings.seeds.is_empty();
        let (told, kept) = if is_joining { (Vec::new(), first_values) } else { (first_values, Vec::new()) };
        let arrival = is_joining.then(|| Arrival::new(me.clone(), advertise));
        let chitchat = spawn_chitchat(chitchat_config(&settings, advertise), told, &transport).await;
        let chitchat = chitchat.map_err(|error| MembershipError::Start(format!("{error:#}")))?;

        let record = Record { profile: settings.profile, load: 0.0, draining: false, left: false };
        let alone = view::members(&me, [(me.clone(), record, detector::Standing::Unproven)]);
        let alone = alone.joining(is_joining);
        let (members_sender, members) = watch::channel(alone);
        let (wanted, wanted_receiver) = watch::channel(Wanted::default());
        let (ended_sender, ended) = watch::channel(None);
        let gossip = Gossip::new(Beginning {
            me,
            timings: settings.timings,
            seeds: settings.seeds,
            denied: settings.denied,
            chitchat,
            clock,
            wanted: wanted_receiver,
            members: members_sender,
            arrival,
            first_values: kept,
            namesake,
            counts: Arc::clone(&counts),
        });
        #[expect(
            clippy::disallowed_methods,
            reason = "the one task of the membership; it ends when the handle is dropped"
        )]
        tokio::spawn(async move { ended_sender.send(Some(gossip.run().await.map_err(Arc::new))) });
        Ok(Self { members, wanted, gossip_address: advertise, counts, ended })
    }

    /// Who is there now, and a word whenever that changes. Its sender is gone when the membership has ended.
    pub fn members(&self) -> watch::Receiver<Members> {
        self.members.clone()
    }

    /// Where others send their datagrams.
    pub const fn gossip_address(&self) -> SocketAddr {
        self.gossip_address
    }

    /// Datagrams that came to nothing.
    pub const fn counts(&self) -> &Arc<GossipCounts> {
        &self.counts
    }

    /// Tells how busy this node is: 0 idle, 1 as busy as it can be. Changes below [`LOAD_STEP`] are kept back.
    pub fn set_load(&self, load: f32) {
        self.wanted.send_if_modified(|wanted| {
            let load = if load.is_nan() { 0.0 } else { load.clamp(0.0, 1.0) };
            let changed = (load - wanted.load).abs() >= LOAD_STEP;
            if changed {
                wanted.load = load;
            }
            changed
        });
    }

    /// Tells that this node is about to leave, or no longer is. The others are told at once.
    pub fn set_draining(&self, draining: bool) {
        self.wanted.send_if_modified(|wanted| std::mem::replace(&mut wanted.draining, draining) != draining);
    }

    /// Tells the others that this node is gone, and stops. They need not wait until it has been silent for long enough.
    ///
    /// # Errors
    ///
    /// The gossip had ended before, or did not end in order.
    pub async fn leave(&self) -> Result<(), Arc<MembershipError>> {
        self.wanted.send_modify(|wanted| wanted.leave = true);
        self.ended().await
    }

    /// Waits until the gossip ends, which it does by itself only if it fails: then start it again, unless
    /// [`MembershipError::is_of_name`].
    ///
    /// # Errors
    ///
    /// Why it ended; none after the node has left.
    pub async fn ended(&self) -> Result<(), Arc<MembershipError>> {
        let mut ended = self.ended.clone();
        let lost = || Err(Arc::new(MembershipError::Ended("its task is gone".to_owned())));
        ended
            .wait_for(Option::is_some)
            .await
            .map_or_else(|_| lost(), |result| (*result).clone().unwrap_or_else(lost))
    }
}

fn chitchat_config(settings: &MembershipSettings, advertise: SocketAddr) -> ChitchatConfig {
    let timings = &settings.timings;
    let failure_detector_config = FailureDetectorConfig {
        phi_threshold: CHITCHAT_PHI,
        sampling_window_size: CHITCHAT_WINDOW,
        max_interval: timings.out_after,
        initial_interval: timings.gossip_interval,
        dead_node_grace_period: timings.forget_after,
    };
    let identity = &settings.identity;
    ChitchatConfig {
        chitchat_id: ChitchatId::new(identity.name.as_str(), identity.incarnation, advertise),
        cluster_id: settings.cluster.as_str().to_owned(),
        gossip_interval: timings.gossip_interval,
        listen_addr: settings.listen,
        // Seeds are called here, since chitchat looks up a name once in a minute.
        seed_nodes: Vec::new(),
        failure_detector_config,
        marked_for_deletion_grace_period: timings.forget_after,
        catchup_callback: None,
        extra_liveness_predicate: None,
        protocol_version: ProtocolVersion::V1,
    }
}
