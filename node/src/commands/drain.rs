//! `orrery drain`: a node hands over its work and leaves.

use std::time::Duration;

use orrery_supervisor::{Clock, SystemClock};
use serde_json::json;

use crate::cli::DrainArgs;
use crate::console::Console;
use crate::exit::Failure;
use crate::inspect::{Cluster, Snapshot};
use crate::threads;

/// Between two looks whether it has left.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Between two words to whoever waits.
const SAY_EVERY: Duration = Duration::from_secs(2);

/// Asks it to, and waits until it has.
pub(crate) fn run(args: &DrainArgs, console: &Console) -> Result<(), Failure> {
    let taken = threads::runtime()?.block_on(drain(args, console))?;
    console.result(&[
        ("node", json!(args.name)),
        ("state", json!("left")),
        ("seconds", json!((taken.as_secs_f64() * 10.0).round() / 10.0)),
    ])
}

async fn drain(args: &DrainArgs, console: &Console) -> Result<Duration, Failure> {
    let cluster = Cluster::new(&args.cluster.cluster, &args.cluster.proof).await?;
    let before = cluster.look("nodes").await?;
    cluster.act("drain", &json!({ "node": args.name })).await?;
    let leaving = life(&before, &args.name);
    let (clock, deadline) = (SystemClock::new(), Duration::from_secs(args.within.into()));
    let began = clock.now();
    let mut said = began;
    loop {
        let seen = cluster.look("nodes").await;
        let now = clock.now();
        let has_left = match &seen {
            Ok(seen) => life(seen, &args.name) != leaving,
            // It was alone, and nobody is left to ask: it has left when nobody answers.
            Err(_) => before.nodes.len() == 1,
        };
        if has_left {
            return Ok(now.since(began));
        }
        if now.since(began) > deadline {
            let why = seen.err().map_or_else(|| "it still drains".to_owned(), |error| error.to_string());
            return Err(Failure::Unavailable(format!(
                "{}: it has not left within {deadline:?}: {why}; see orrery nodes",
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

/// Which life of a node is there.
fn life(snapshot: &Snapshot, name: &str) -> Option<u64> {
    snapshot.nodes.iter().find(|node| node.name == name).map(|node| node.incarnation)
}
