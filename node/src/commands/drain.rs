//! `orrery drain`: a node hands over its work and leaves.

use std::time::Duration;

use orrery_supervisor::cluster::certificates::Credentials;
use orrery_supervisor::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::cli::DrainArgs;
use crate::console::Console;
use crate::exit::Failure;
use crate::inspect::{Operator, Snapshot, credentials};
use crate::runner;

/// Between two looks whether it has left.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Between two words to whoever waits.
const SAY_EVERY: Duration = Duration::from_secs(2);

/// Asks it to, and waits until it has.
pub(crate) fn run(args: &DrainArgs, console: &Console) -> Result<(), Failure> {
    let credentials = credentials(&args.cluster.proof)?;
    let taken = runner::runtime()?.block_on(drain(args, &credentials, console))?;
    console.result(&[
        ("node", json!(args.name)),
        ("state", json!("left")),
        ("seconds", json!((taken.as_secs_f64() * 10.0).round() / 10.0)),
    ])
}

async fn drain(args: &DrainArgs, credentials: &Credentials, console: &Console) -> Result<Duration, Failure> {
    let address = args.cluster.cluster.as_str();
    let cluster = Operator::connect(address, credentials).await?;
    let before = nodes(&cluster).await?;
    cluster.act("drain", &json!({ "node": args.name })).await?;
    let named = |snapshot: &Snapshot| {
        let node = snapshot.nodes.iter().find(|node| node.name == args.name);
        node.map(|node| (node.incarnation, node.address.clone()))
    };
    let leaving = named(&before).map(|(incarnation, _)| incarnation);
    // Whoever was asked may be the one that leaves: then another is asked whether it has.
    let others = before.nodes.iter().filter(|node| node.name != args.name).map(|node| node.address.clone());
    let mut others: Vec<String> = others.collect();
    let mut cluster = Some(cluster);
    let (clock, deadline) = (SystemClock::new(), Duration::from_secs(args.within.into()));
    let began = clock.now();
    let mut said = began;
    loop {
        let seen = match &cluster {
            Some(cluster) => nodes(cluster).await,
            None => Err(Failure::Unavailable("not connected".to_owned())),
        };
        let now = clock.now();
        match seen {
            Ok(seen) if named(&seen).map(|(incarnation, _)| incarnation) != leaving => {
                return Ok(now.since(began));
            }
            Ok(_) => {}
            Err(_) => match others.pop() {
                Some(other) => cluster = Operator::connect(&other, credentials).await.ok(),
                // The last node was alone, and nobody is left to ask: it has left when nobody listens.
                None if before.nodes.len() == 1 => match Operator::connect(address, credentials).await {
                    Ok(again) => cluster = Some(again),
                    Err(_) => return Ok(now.since(began)),
                },
                None => cluster = Operator::connect(address, credentials).await.ok(),
            },
        }
        if now.since(began) > deadline {
            return Err(Failure::Unavailable(format!(
                "{}: it has not left within {deadline:?}; it still drains: see orrery nodes",
                args.name
            )));
        }
        if now.since(said) > SAY_EVERY {
            said = now;
            console.progress(format_args!("{} drains, {} s", args.name, now.since(began).as_secs()));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn nodes(cluster: &Operator) -> Result<Snapshot, Failure> {
    let answer = cluster.act("nodes", &Value::Null).await?;
    serde_json::from_value(answer)
        .map_err(|error| Failure::Unavailable(format!("the answer cannot be read: {error}")))
}
