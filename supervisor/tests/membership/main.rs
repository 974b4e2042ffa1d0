//! Memberships on loopback: nodes join, leave, are replaced and are missed, and rubbish is dropped.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use orrery_supervisor::SystemClock;
use orrery_supervisor::cluster::DeniedNames;
use orrery_supervisor::cluster::membership::{
    MemberState, Members, Membership, MembershipError, MembershipSettings, Profile, Timings,
};
use orrery_supervisor::cluster::role::Roles;
use tokio::net::UdpSocket;
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// Far above what any of it takes, so that a busy machine does not fail a test.
const TIME_MAX: Duration = Duration::from_secs(30);

fn settings(identity: &str, seeds: &[&Membership]) -> MembershipSettings {
    let loopback = ([127, 0, 0, 1], 0).into();
    MembershipSettings {
        identity: identity.parse().unwrap(),
        cluster: "test".parse().unwrap(),
        profile: Profile {
            address: loopback,
            roles: Roles::all(),
            version: "0.1.0".to_owned(),
            protocol: 1,
            capacity: 4,
        },
        listen: loopback,
        advertise: loopback,
        seeds: seeds.iter().map(|seed| seed.gossip_address().to_string()).collect(),
        gossip_key: [7; 32],
        denied: DeniedNames::default(),
        timings: Timings::default(),
    }
}

async fn start(settings: MembershipSettings) -> Membership {
    Membership::start(settings, Arc::new(SystemClock::new())).await.unwrap()
}

/// Waits until the node sees it so.
async fn until(node: &Membership, what: &str, mut seen: impl FnMut(&Members) -> bool) {
    let mut members = node.members();
    let result = timeout(TIME_MAX, members.wait_for(|members| seen(members))).await;
    assert!(matches!(result, Ok(Ok(_))), "never {what}: {:?}", node.members().borrow());
}

fn names(members: &Members) -> Vec<String> {
    members.iter().map(|member| member.identity.to_string()).collect()
}

async fn until_there(node: &Membership, expect: &[&str]) {
    until(node, &format!("{expect:?}"), |members| names(members) == expect).await;
}

#[tokio::test]
async fn nodes_that_know_one_seed_know_each_other() {
    let a = start(settings("a.1", &[])).await;
    assert_eq!(names(&a.members().borrow()), ["a.1"]);
    let b = start(settings("b.1", &[&a])).await;
    let c = start(settings("c.1", &[&a])).await;
    for node in [&a, &b, &c] {
        until_there(node, &["a.1", "b.1", "c.1"]).await;
    }
    let members = c.members().borrow().clone();
    let seen = members.get(&"b".parse().unwrap()).unwrap();
    assert_eq!(
        (&seen.profile, seen.state, seen.draining),
        (&settings("b.1", &[]).profile, MemberState::Alive, false)
    );
}

#[tokio::test]
async fn a_seed_may_come_later_and_have_a_name() {
    let later = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let seeds = vec![format!("localhost:{}", later.port()), "no-such-host.invalid:1".to_owned()];
    let b = start(MembershipSettings { seeds, ..settings("b.1", &[]) }).await;
    let mut members = b.members();
    assert!(timeout(Duration::from_secs(2), members.changed()).await.is_err(), "nobody is there yet");
    let a = start(MembershipSettings { listen: later, ..settings("a.1", &[]) }).await;
    until_there(&a, &["a.1", "b.1"]).await;
    until_there(&b, &["a.1", "b.1"]).await;
}

#[tokio::test]
async fn a_name_that_is_denied_is_no_member_until_it_is_let_in_again() {
    let denied = DeniedNames::default();
    let a = start(MembershipSettings { denied: denied.clone(), ..settings("a.1", &[]) }).await;
    let b = start(settings("b.1", &[&a])).await;
    until_there(&a, &["a.1", "b.1"]).await;
    denied.set(["b".parse().unwrap(), "a".parse().unwrap()].into());
    until_there(&a, &["a.1"]).await;
    until_there(&b, &["a.1", "b.1"]).await;
    denied.set([].into());
    until_there(&a, &["a.1", "b.1"]).await;
}

#[tokio::test]
async fn what_a_node_tells_of_itself_reaches_the_others() {
    let a = start(settings("a.1", &[])).await;
    let b = start(settings("b.1", &[&a])).await;
    until_there(&a, &["a.1", "b.1"]).await;
    let seen = |members: &Members| members.get(&"b".parse().unwrap()).cloned();
    b.set_draining(true);
    until(&a, "draining", |members| seen(members).is_some_and(|b| b.draining && !b.takes_work())).await;
    b.set_draining(false);
    b.set_load(0.5);
    until(&a, "loaded", |members| seen(members).is_some_and(|b| !b.draining && b.load > 0.4)).await;
    b.set_load(0.55);
    b.set_load(0.7);
    until(&a, "more loaded", |members| {
        let load = seen(members).map_or(0.0, |b| b.load);
        assert!((load - 0.55).abs() > 0.01, "a small change was told");
        load > 0.6
    })
    .await;
}

#[tokio::test]
async fn a_node_that_leaves_is_gone_at_once() {
    let a = start(settings("a.1", &[])).await;
    let b = start(settings("b.1", &[&a])).await;
    let c = start(settings("c.1", &[&a])).await;
    until_there(&a, &["a.1", "b.1", "c.1"]).await;
    until_there(&c, &["a.1", "b.1", "c.1"]).await;
    b.leave().await.unwrap();
    for node in [&a, &c] {
        until(node, "gone", |members| {
            let b = members.get(&"b".parse().unwrap());
            assert!(b.is_none_or(|b| b.state == MemberState::Alive), "it was missed before it was gone");
            b.is_none()
        })
        .await;
    }
}

/// A node that can be killed: everything of it is on this runtime.
fn start_on(host: &Runtime, settings: MembershipSettings) -> Membership {
    std::thread::scope(|scope| scope.spawn(|| host.block_on(start(settings))).join().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_life_replaces_a_killed_one_before_it_is_missed() {
    let a = start(settings("a.1", &[])).await;
    let check = async |life: u64, later_listens: fn(SocketAddr) -> SocketAddr| {
        let host = Runtime::new().unwrap();
        let former = start_on(&host, settings(&format!("b.{life}"), &[&a]));
        let address = former.gossip_address();
        until_there(&a, &["a.1", &format!("b.{life}")]).await;
        host.shutdown_background();
        // Its socket is closed when its task is.
        assert!(timeout(TIME_MAX, former.ended()).await.unwrap().is_err());
        let listen = later_listens(address);
        let settings = MembershipSettings { listen, ..settings(&format!("b.{}", life + 1), &[&a]) };
        let later = start(settings).await;
        until(&a, "replaced", |members| {
            let b = members.get(&"b".parse().unwrap()).expect("the name is never missing");
            b.identity.incarnation == life + 1
        })
        .await;
        until_there(&later, &["a.1", &format!("b.{}", life + 1)]).await;
        later.leave().await.unwrap();
        until_there(&a, &["a.1"]).await;
    };
    check(1, |former| former).await;
    check(3, |former| SocketAddr::new(former.ip(), 0)).await;
}

#[tokio::test]
async fn a_name_that_is_in_use_stays_with_who_has_it() {
    let a = start(settings("a.1", &[])).await;
    let first = start(settings("b.1", &[&a])).await;
    until_there(&a, &["a.1", "b.1"]).await;
    let mut seen = a.members();
    seen.mark_unchanged();
    let second = start(settings("b.2", &[&a])).await;
    let ended = timeout(TIME_MAX, second.ended()).await.unwrap().unwrap_err();
    assert!(matches!(*ended, MembershipError::NameTaken { .. }) && ended.is_of_name(), "{ended}");
    let says = format!("a node named `b` is already in the cluster at {}", first.gossip_address());
    assert!(ended.to_string().starts_with(&says), "{ended}");
    assert_eq!(names(&second.members().borrow()), ["b.2"], "it has met nobody");
    assert!(!seen.has_changed().unwrap(), "nobody took notice");
    until_there(&first, &["a.1", "b.1"]).await;
}

/// It cannot answer when the later one calls: that one must not wait for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_life_that_was_paused_ends_when_it_finds_itself_replaced() {
    let a = start(settings("a.1", &[])).await;
    let host = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let former = start_on(&host, settings("b.1", &[&a]));
    until_there(&a, &["a.1", "b.1"]).await;
    // One word is said.
    let (resume, paused) = std::sync::mpsc::sync_channel::<()>(1);
    host.spawn(async move { paused.recv() });
    let later = start(settings("b.2", &[&a])).await;
    until_there(&a, &["a.1", "b.2"]).await;
    resume.send(()).unwrap();
    let ended = timeout(TIME_MAX, former.ended()).await.unwrap().unwrap_err();
    let by = later.members().borrow().myself().unwrap().profile.address;
    assert!(matches!(&*ended, MembershipError::Replaced { address, .. } if *address == by), "{ended}");
    until_there(&later, &["a.1", "b.2"]).await;
    host.shutdown_background();
}

#[tokio::test]
async fn who_joins_says_so_until_it_has_met_somebody() {
    let nobody = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let joining = |node: &Membership| node.members().borrow().is_joining();
    let b = start(MembershipSettings { seeds: vec![nobody.to_string()], ..settings("b.1", &[]) }).await;
    assert!(joining(&b));
    let c = start(settings("c.1", &[&b])).await;
    for node in [&b, &c] {
        until_there(node, &["b.1", "c.1"]).await;
        assert!(!joining(node));
    }
    c.leave().await.unwrap();
    until_there(&b, &["b.1"]).await;
    assert!(!joining(&b), "it has met somebody in this life");
    assert!(!joining(&start(settings("d.1", &[])).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_is_suspected_and_then_out() {
    let a = start(settings("a.1", &[])).await;
    let b = start(settings("b.1", &[&a])).await;
    let host = Runtime::new().unwrap();
    let killed = settings("c.1", &[&a]);
    let c = host.spawn(async move { start(killed).await }).await.unwrap();
    until_there(&a, &["a.1", "b.1", "c.1"]).await;
    until_there(&b, &["a.1", "b.1", "c.1"]).await;
    host.shutdown_background();
    let until_missed = async |node: &Membership| {
        let mut suspected = false;
        until(node, "out", |members| {
            let c = members.get(&"c".parse().unwrap());
            suspected |= c.is_some_and(|c| c.state == MemberState::Suspect);
            c.is_none()
        })
        .await;
        assert!(suspected);
    };
    tokio::join!(until_missed(&a), until_missed(&b));
    assert!(timeout(TIME_MAX, c.ended()).await.unwrap().is_err());
}

#[tokio::test]
async fn datagrams_without_the_key_are_dropped_and_counted() {
    let a = start(settings("a.1", &[])).await;
    let stranger = start(MembershipSettings { gossip_key: [8; 32], ..settings("s.1", &[&a]) }).await;
    let foreign =
        start(MembershipSettings { cluster: "other".parse().unwrap(), ..settings("f.1", &[&a]) }).await;
    let rubbish = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for length in [0, 1, 2, 40, 1400] {
        rubbish.send_to(&vec![1; length], a.gossip_address()).await.unwrap();
    }
    let b = start(settings("b.1", &[&a])).await;
    until_there(&a, &["a.1", "b.1"]).await;
    until_there(&b, &["a.1", "b.1"]).await;
    assert!(a.counts().refused() >= 7, "{}", a.counts().refused());
    assert_eq!(b.counts().refused(), 0);
    for outsider in [stranger, foreign] {
        assert_eq!(outsider.members().borrow().len(), 1);
    }
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let a = start(settings("a.1", &[])).await;
    let check = async |settings: MembershipSettings, expect: &str| {
        let error =
            Membership::start(settings, Arc::new(SystemClock::new())).await.err().unwrap().to_string();
        assert!(error.contains(expect), "{error}");
    };
    check(MembershipSettings { listen: a.gossip_address(), ..settings("b.1", &[]) }, "give another address")
        .await;
    let everywhere = ([0, 0, 0, 0], 9000).into();
    check(MembershipSettings { advertise: everywhere, ..settings("b.1", &[]) }, "cannot send to 0.0.0.0")
        .await;
    check(MembershipSettings { seeds: vec![String::new(); 33], ..settings("b.1", &[]) }, "limit of 32").await;
}
