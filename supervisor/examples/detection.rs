//! Measures how soon nodes that were paused or killed are suspected and out, and how often nodes that were not are, while
//! other processes keep all processors busy.
//!
//! ```text
//! cargo run -p orrery-supervisor --example detection -- [SECONDS] [BURNERS] [NICE]
//! ```
//!
//! Two nodes watch from this process; three are processes of their own. Every 12 s one of these is stopped (SIGSTOP) for
//! 6 s, or killed and started again in turn. Needs `kill` and `nice`.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an experiment for a terminal, which keeps its own time"
)]

use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use orrery_supervisor::cluster::DeniedNames;
use orrery_supervisor::cluster::membership::{MemberState, Membership, MembershipSettings, Profile, Timings};
use orrery_supervisor::cluster::role::Roles;
use orrery_supervisor::{Clock, SystemClock};
use tokio::time::sleep;

type Failure = Box<dyn Error + Send + Sync>;

/// What a watcher saw: when, who watched, whom, and what (`alive`, `suspect`, `out`).
type Seen = Arc<Mutex<Vec<(Duration, &'static str, String, &'static str)>>>;

const VICTIMS: [&str; 3] = ["c", "d", "e"];

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["burn"] => loop {
            black_box((0..1_000_000_u64).fold(0, |sum, number| black_box(sum ^ number)));
        },
        ["node", name, seed] => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let node = start(name, &[seed]).await?;
                node.ended().await.map_err(|error| error.to_string().into())
            })
        }
        ref numbers => {
            let number =
                |index: usize, default| numbers.get(index).map_or(Ok(default), |text| text.parse::<i64>());
            let (seconds, burners, nice) = (number(0, 120)?, number(1, 4)?, number(2, 0)?);
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            runtime.block_on(measure(Duration::from_secs(seconds.unsigned_abs()), burners, nice))
        }
    }
}

async fn start(name: &str, seeds: &[&str]) -> Result<Membership, Failure> {
    let incarnation = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let loopback = ([127, 0, 0, 1], 0).into();
    let settings = MembershipSettings {
        identity: format!("{name}.{incarnation}").parse()?,
        cluster: "detection".parse()?,
        profile: Profile {
            address: loopback,
            roles: Roles::all(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: 1,
            capacity: 4,
        },
        listen: loopback,
        advertise: loopback,
        seeds: seeds.iter().map(|seed| (*seed).to_owned()).collect(),
        gossip_key: [1; 32],
        denied: DeniedNames::default(),
        timings: Timings::default(),
    };
    Ok(Membership::start(settings, Arc::new(SystemClock::new())).await?)
}

/// Processes that are ended with the experiment.
struct Processes(BTreeMap<String, Child>);

impl Processes {
    fn start(&mut self, name: &str, command: &mut Command) -> Result<(), Failure> {
        let child = command.stdout(Stdio::null()).spawn()?;
        self.0.insert(name.to_owned(), child);
        Ok(())
    }

    fn signal(&self, name: &str, signal: &str) -> Result<(), Failure> {
        let id = self.0.get(name).ok_or("no such process")?.id();
        Command::new("kill").args([signal, &id.to_string()]).status()?;
        Ok(())
    }

    fn end(&mut self, name: &str) -> Result<(), Failure> {
        if let Some(mut child) = self.0.remove(name) {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in self.0.values_mut() {
            child.kill().and_then(|()| child.wait()).ok();
        }
    }
}

async fn watch(name: &'static str, node: Arc<Membership>, clock: SystemClock, seen: Seen) {
    let mut members = node.members();
    let mut before: BTreeMap<String, &'static str> = BTreeMap::new();
    while members.changed().await.is_ok() {
        let now = clock.now().since(orrery_supervisor::MonotonicTime::ORIGIN);
        let state = |state| if state == MemberState::Alive { "alive" } else { "suspect" };
        let after: BTreeMap<String, &'static str> = members
            .borrow_and_update()
            .others()
            .map(|member| (member.identity.name.to_string(), state(member.state)))
            .collect();
        let mut seen = seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (other, state) in after.iter().filter(|(other, state)| before.get(*other) != Some(*state)) {
            seen.push((now, name, other.clone(), state));
        }
        seen.extend(
            before
                .keys()
                .filter(|other| !after.contains_key(*other))
                .map(|other| (now, name, other.clone(), "out")),
        );
        before = after;
    }
}

async fn measure(length: Duration, burners: i64, nice: i64) -> Result<(), Failure> {
    let clock = SystemClock::new();
    let now = || clock.now().since(orrery_supervisor::MonotonicTime::ORIGIN);
    let seen = Seen::default();
    let a = Arc::new(start("a", &[]).await?);
    let seed = a.gossip_address().to_string();
    let b = Arc::new(start("b", &[&seed]).await?);
    tokio::spawn(watch("a", Arc::clone(&a), clock, Arc::clone(&seen)));
    tokio::spawn(watch("b", Arc::clone(&b), clock, Arc::clone(&seen)));
    let program = std::env::current_exe()?;
    let mut processes = Processes(BTreeMap::new());
    for name in VICTIMS {
        processes.start(name, Command::new(&program).args(["node", name, &seed]))?;
    }
    sleep(Duration::from_secs(3)).await;
    for burner in 0..burners {
        let mut command = Command::new("nice");
        processes.start(
            &format!("burner{burner}"),
            command.args(["-n", &nice.to_string()]).arg(&program).arg("burn"),
        )?;
    }
    // (what, whom, from, to)
    let mut faults: Vec<(&str, &str, Duration, Duration)> = Vec::new();
    let mut round = 0;
    while now() < length {
        sleep(Duration::from_secs(6)).await;
        let victim = VICTIMS[round % VICTIMS.len()];
        let begin = now();
        let what = if round % 2 == 0 { "paused" } else { "killed" };
        if round % 2 == 0 {
            processes.signal(victim, "-STOP")?;
        } else {
            processes.end(victim)?;
        }
        sleep(Duration::from_secs(6)).await;
        let end = now();
        faults.push((what, victim, begin, end));
        if round % 2 == 0 {
            processes.signal(victim, "-CONT")?;
        } else {
            processes.start(victim, Command::new(&program).args(["node", victim, &seed]))?;
        }
        print!(".");
        std::io::stdout().flush()?;
        round += 1;
    }
    sleep(Duration::from_secs(4)).await;
    println!();
    report(&faults, &seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    Ok(())
}

fn report(
    faults: &[(&str, &str, Duration, Duration)],
    seen: &[(Duration, &'static str, String, &'static str)],
) {
    let mut explained = vec![false; seen.len()];
    for wanted in ["suspect", "out", "alive"] {
        let mut times = Vec::new();
        let mut missed = 0;
        for (what, victim, begin, end) in faults {
            for watcher in ["a", "b"] {
                let since = if wanted == "alive" { end } else { begin };
                let found = seen.iter().position(|(at, who, whom, state)| {
                    at >= since
                        && *at < *since + Duration::from_secs(6)
                        && *who == watcher
                        && whom == victim
                        && *state == wanted
                });
                match found {
                    Some(index) => {
                        explained[index] = true;
                        times.push((seen[index].0 - *since, *what, *victim, watcher));
                    }
                    None => missed += 1,
                }
            }
        }
        times.sort_unstable();
        let at = |share: usize| times.get((times.len().saturating_sub(1)) * share / 100);
        println!(
            "{wanted:8} n={} missed={missed} p50={:?} p90={:?} max={:?}",
            times.len(),
            at(50),
            at(90),
            at(100)
        );
    }
    let alarms =
        seen.iter().zip(&explained).filter(|((_, _, _, state), explained)| *state != "alive" && !**explained);
    let alarms: Vec<_> = alarms.map(|(alarm, _)| alarm).collect();
    println!("false alarms: {} {alarms:?}", alarms.len());
}
