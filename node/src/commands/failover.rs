//! `orrery failover`: traffic is moved to a region, by plan or by force; or back to where priorities say.

use std::time::Duration;

use orrery_supervisor::{Clock, MonotonicTime, SystemClock};
use serde_json::{Value, json};

use super::regions::look;
use crate::cli::FailoverArgs;
use crate::console::Console;
use crate::exit::Failure;
use crate::inspect::Cluster;
use crate::threads;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Between two words to whoever waits.
const SAY_EVERY: Duration = Duration::from_secs(2);

/// Waits until it can be done, has it done, and waits until it is.
pub(crate) fn run(args: &FailoverArgs, console: &Console) -> Result<(), Failure> {
    let done = threads::runtime()?.block_on(async {
        let cluster = Cluster::new(&args.cluster.cluster, &args.cluster.proof).await?;
        let mut waiting = Waiting::new(args.wait, console);
        let region = args.region.as_deref();
        let body = json!({ "region": region, "forced": args.forced, "reason": args.reason });
        until_possible(&cluster, &body, region, &mut waiting).await?;
        let answer = cluster.act("failover", &body).await?;
        let behind = answer["behind_ledgers"].as_u64().filter(|ledgers| *ledgers > 0);
        if let (Some(region), Some(ledgers)) = (region, behind) {
            console.warn(format_args!(
                "{region} is {ledgers} ledgers behind: its readers wait for these until it has them; nothing is lost"
            ));
        }
        let traffic = until_moved(&cluster, region, &mut waiting).await?;
        Ok::<_, Failure>((answer, traffic, waiting.seconds()))
    });
    let (answer, traffic, seconds) = done?;
    console.result(&[
        ("traffic", json!(traffic)),
        ("decision", answer["decision"]["generation"].clone()),
        ("forced", answer["decision"]["forced"].clone()),
        ("behind ledgers", answer["behind_ledgers"].clone()),
        ("seconds", json!(seconds)),
    ])
}

/// For a while.
struct Waiting<'a> {
    clock: SystemClock,
    began: MonotonicTime,
    said: MonotonicTime,
    wait: Duration,
    console: &'a Console,
}

impl<'a> Waiting<'a> {
    fn new(wait: Duration, console: &'a Console) -> Self {
        let clock = SystemClock::new();
        let now = clock.now();
        Self { clock, began: now, said: now, wait, console }
    }

    /// Waits a little more, unless it is over.
    async fn on(&mut self, why: &str, fix: &str) -> Result<(), Failure> {
        let now = self.clock.now();
        if now.since(self.began) >= self.wait {
            return Err(Failure::TryAgain(format!("{why}, after {} s: {fix}", self.wait.as_secs())));
        }
        if now.since(self.said) > SAY_EVERY {
            self.said = now;
            self.console.progress(format_args!("{why}; waiting, {} s", now.since(self.began).as_secs()));
        }
        tokio::time::sleep(LOOK_EVERY).await;
        Ok(())
    }

    fn seconds(&self) -> f64 {
        (self.clock.now().since(self.began).as_secs_f64() * 10.0).round() / 10.0
    }
}

/// Until the region is equal and not behind; at once if that does not matter.
async fn until_possible(
    cluster: &Cluster,
    body: &Value,
    region: Option<&str>,
    waiting: &mut Waiting<'_>,
) -> Result<(), Failure> {
    loop {
        let answer = cluster.ask("failover.check", body).await?;
        if answer["can"] == true {
            return Ok(());
        }
        let why = answer["why"].as_str().unwrap_or("it cannot be done yet").to_owned();
        let fix = match region {
            Some(region) => format!(
                "nothing was changed; see orrery regions, wait for longer (--wait), or orrery failover {region} --forced"
            ),
            None => "nothing was changed; see orrery nodes".to_owned(),
        };
        waiting.on(&why, &fix).await?;
    }
}

/// Until the region has traffic and no other one that was moved from; gives who has it.
async fn until_moved(
    cluster: &Cluster,
    region: Option<&str>,
    waiting: &mut Waiting<'_>,
) -> Result<Vec<String>, Failure> {
    loop {
        let seen = look(cluster).await?;
        let has = names(&seen, |row| row["traffic"] == true && row["state"] != "unheard");
        let wanted = match region {
            Some(region) => vec![region.to_owned()],
            None => first(&seen),
        };
        if has == wanted {
            return Ok(has);
        }
        let why = format!(
            "traffic is still at {}",
            if has.is_empty() { "no region".to_owned() } else { has.join(", ") }
        );
        waiting.on(&why, "it is decided, and goes on: see orrery regions").await?;
    }
}

fn names(seen: &Value, is_one: impl Fn(&Value) -> bool) -> Vec<String> {
    let regions = seen["regions"].as_array().into_iter().flatten().filter(|row| is_one(row));
    let mut names: Vec<_> = regions.filter_map(|row| Some(row["region"].as_str()?.to_owned())).collect();
    names.sort();
    names
}

/// Where traffic belongs by priority, as far as regions are well for long enough.
fn first(seen: &Value) -> Vec<String> {
    let regions = seen["regions"].as_array().into_iter().flatten();
    let stable = regions.filter(|row| row["state"] == "stable");
    let lowest = stable.filter_map(|row| row["priority"].as_u64()).min();
    names(seen, |row| row["state"] == "stable" && row["priority"].as_u64() == lowest)
}
