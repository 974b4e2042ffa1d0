//! The process behind [`Node`](crate::process::Node).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use orrery_supervisor::cluster::certificates::{Credentials, Protocol};
use orrery_supervisor::cluster::control::{Answer, Call, CallError, ControlPlane, Refusal, Request};
use orrery_supervisor::cluster::links::{LinkSettings, Links};
use orrery_supervisor::cluster::transport::{Acceptor, Limits};
use orrery_supervisor::cluster::{NodeIdentity, NodeName};
use orrery_supervisor::{RestartIntensity, Strategy, SupervisorHandle, SupervisorSpec, SystemClock};
use serde_json::{Value, json};

use crate::canaries;
use crate::process::NODE;

/// What the handler knows.
const KINDS: [&str; 5] = ["echo", "who", "large", "never", "panic"];

/// How long `until_linked` and `until_gone` wait.
const UNTIL: Duration = Duration::from_secs(40);

#[test]
fn as_a_process() {
    // Without the variable this is an empty test of a test run.
    let Ok(settings) = std::env::var(NODE) else { return };
    let settings: Value = serde_json::from_str(&settings).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(run(&settings));
}

fn say(value: &Value) {
    println!("@said {value}");
}

async fn run(settings: &Value) {
    let credentials = Credentials::load(Path::new(settings["certificates"].as_str().unwrap())).unwrap();
    let identity = NodeIdentity {
        name: credentials.name().clone(),
        incarnation: settings["incarnation"].as_u64().unwrap(),
    };
    let clock = Arc::new(SystemClock::new());
    let seed = identity.incarnation;
    let mut link_settings = LinkSettings::new(identity, credentials.clone(), clock.clone(), seed);
    if let Some(cluster) = settings["cluster"].as_str() {
        link_settings.cluster = cluster.parse().unwrap();
    }
    if let Some(idle) = settings["idle_ms"].as_u64() {
        link_settings.idle_limit = Duration::from_millis(idle);
    }
    let links = Links::new(link_settings);
    let plane = ControlPlane::new(links.clone(), Arc::new(handle));
    let listen = settings["listen"].as_str().unwrap_or("127.0.0.1:0");
    let acceptor = Acceptor::bind(listen.parse().unwrap(), credentials, Limits::default()).await.unwrap();
    let address = acceptor.local_address();
    let offered = links.clone();
    let acceptor = acceptor.child(move |connection| {
        assert_eq!(connection.protocol, Protocol::Control);
        offered.offer(connection);
    });
    let intensity = RestartIntensity::new(3, Duration::from_secs(60)).unwrap();
    let spec = SupervisorSpec::new("cluster", Strategy::OneForOne, intensity)
        .child(plane.child())
        .child(links.child())
        .child(acceptor);
    let tree = SupervisorHandle::start(spec, clock, seed, None).await.unwrap();
    if settings["canary"] == true {
        canaries::start().await;
    }
    say(&json!({"listens": address.to_string()}));

    let (sender, mut lines) = tokio::sync::mpsc::channel(16);
    let reader = std::thread::Builder::new().name("lines".to_owned());
    reader
        .spawn(move || {
            for line in std::io::stdin().lines().map_while(Result::ok) {
                let _ = sender.blocking_send(line);
            }
        })
        .unwrap();
    while let Some(line) = lines.recv().await {
        let what: Value = serde_json::from_str(&line).unwrap();
        let said = perform(&what, &plane, &tree).await;
        say(&said);
    }
}

async fn perform(what: &Value, plane: &ControlPlane, tree: &SupervisorHandle) -> Value {
    let peer = || what["peer"].as_str().unwrap().parse::<NodeName>().unwrap();
    match what["do"].as_str().unwrap() {
        "want" => {
            let peers: BTreeMap<String, String> = serde_json::from_value(what["peers"].clone()).unwrap();
            let peers = peers.into_iter().map(|(name, address)| (name.parse().unwrap(), address));
            plane.links().want(peers.collect());
            json!({})
        }
        "until_linked" => {
            let (peer, incarnation) = (peer(), what["incarnation"].as_u64());
            until(plane, |plane| {
                let found = plane.peers().get(&peer).map(|identity| identity.incarnation);
                found.is_some_and(|found| incarnation.is_none_or(|wanted| wanted == found))
            })
            .await
        }
        "until_gone" => {
            let peer = peer();
            until(plane, |plane| !plane.peers().contains_key(&peer)).await
        }
        "status" => {
            let status = plane.links().status().borrow().clone();
            let status = status.iter().map(|(name, status)| {
                let linked = status.linked.as_ref().map(ToString::to_string);
                let status =
                    json!({"linked": linked, "attempts": status.attempts, "error": status.last_error});
                (name.to_string(), status)
            });
            Value::Object(status.collect())
        }
        "call" => {
            let body = what["body"].as_str().unwrap().to_owned();
            called(plane, &peer(), what, Bytes::from(body)).await
        }
        // A body of zeros, so many times at once: how many ended how.
        "flood" => {
            let bytes = usize::try_from(what["bytes"].as_u64().unwrap()).unwrap();
            let peer = peer();
            let calls = (0..what["calls"].as_u64().unwrap())
                .map(|_| called(plane, &peer, what, Bytes::from(vec![0; bytes])));
            let mut counts: BTreeMap<String, u64> = BTreeMap::new();
            for ended in join_all(calls).await {
                let how = ended["kind"].as_str().unwrap_or("answered").to_owned();
                *counts.entry(how).or_default() += 1;
            }
            json!(counts)
        }
        // One after another: the time of half of them, of 99 in 100, and of the slowest.
        "calls" => {
            let mut took = Vec::new();
            for _ in 0..what["calls"].as_u64().unwrap() {
                let began = Instant::now();
                plane.call(&peer(), Request::new("echo", "x"), Duration::from_secs(5)).await.unwrap();
                took.push(u64::try_from(began.elapsed().as_micros()).unwrap());
            }
            took.sort_unstable();
            json!({"half": took[took.len() / 2], "p99": took[took.len() * 99 / 100], "max": took.last()})
        }
        "kill" => {
            tree.kill(&[what["child"].as_str().unwrap()]).await.unwrap();
            json!({})
        }
        "names" => json!(ractor::registry::registered()),
        _ => canaries::perform(what).await,
    }
}

async fn called(plane: &ControlPlane, peer: &NodeName, what: &Value, body: Bytes) -> Value {
    let timeout = Duration::from_millis(what["timeout_ms"].as_u64().unwrap());
    let traceparent = what["traceparent"].as_str().and_then(|text| text.parse().ok());
    let request = Request::new(what["kind"].as_str().unwrap(), body).traced(traceparent);
    let began = Instant::now();
    let answer = plane.call(peer, request, timeout).await;
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap();
    match answer {
        Ok(answer) => json!({"answer": String::from_utf8_lossy(&answer), "bytes": answer.len(), "ms": ms}),
        Err(error) => {
            let kind = match &error {
                CallError::NotLinked { .. } => "not_linked",
                CallError::LinkLost { .. } => "link_lost",
                CallError::TimedOut { .. } => "timed_out",
                CallError::Refused { refusal: Refusal::Busy { .. }, .. } => "busy",
                CallError::Refused { .. } => "refused",
                CallError::TooLarge { .. } | CallError::KindTooLong { .. } => "too_large",
                CallError::TooMany => "too_many",
                CallError::Unreadable { .. } => "unreadable",
            };
            json!({"error": error.to_string(), "kind": kind, "ms": ms})
        }
    }
}

/// Process groups have no channel to wait on.
async fn until(plane: &ControlPlane, is_so: impl Fn(&ControlPlane) -> bool) -> Value {
    let began = Instant::now();
    while !is_so(plane) {
        if began.elapsed() > UNTIL {
            return json!({"never": format!("{:?}", plane.links().status().borrow())});
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    json!({"ms": u64::try_from(began.elapsed().as_millis()).unwrap()})
}

fn handle(call: Call) -> BoxFuture<'static, Answer> {
    Box::pin(async move {
        match call.kind.as_str() {
            "echo" => Ok(call.body),
            "who" => {
                Ok(format!("{} {:?}", call.from, call.traceparent.map(|trace| trace.to_string())).into())
            }
            "large" => Ok(vec![b'x'; std::str::from_utf8(&call.body).unwrap().parse().unwrap()].into()),
            "never" => std::future::pending().await,
            "panic" => panic!("as it was asked"),
            other => Err(Refusal::unknown_kind(other, &KINDS)),
        }
    })
}
