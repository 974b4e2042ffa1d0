//! Any actor may die at any moment: what the tree says is restarted, at once, and the dataset never shows it.

use std::time::Duration;

use orrery_supervisor::MonotonicTime;
use serde_json::{Value, json};

use crate::process::{Home, Node, assert_same, files};

const LEDGERS: u32 = 800;
const WORKERS: [&str; 4] = ["sink/token_transfers", "sink/ledgers", "processor", "fetcher"];

/// Incarnation of an actor that runs, and for how long.
fn running(node: &Node, path: &[&str]) -> Option<(u64, f64)> {
    let actor = node.actor(path)?;
    let is_running = actor["state"] == "running";
    is_running.then(|| (actor["incarnation"].as_u64().unwrap(), actor["age_seconds"].as_f64().unwrap()))
}

/// The four workers, once all run, with the moment at which the last one began to.
fn all_running(node: &Node) -> Option<(Vec<u64>, MonotonicTime)> {
    let tree = node.actor(&["pipelines", "main"])?;
    let now = node.now();
    let workers = tree["children"].as_array()?;
    let all: Vec<_> = workers.iter().filter(|worker| worker["state"] == "running").collect();
    if all.len() != WORKERS.len() {
        return None;
    }
    let ages = all.iter().filter_map(|worker| worker["age_seconds"].as_f64());
    let youngest = Duration::from_secs_f64(ages.fold(f64::MAX, f64::min));
    let began = MonotonicTime::ORIGIN.after(now.since(MonotonicTime::ORIGIN).saturating_sub(youngest));
    Some((all.iter().map(|worker| worker["incarnation"].as_u64().unwrap()).collect(), began))
}

/// Backoff of the last restart that the log tells of.
fn last_delay(node: &Node) -> Duration {
    let log = node.log();
    let reports = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut delays = reports.filter_map(|line| line["fields"]["delay_ms"].as_u64());
    Duration::from_millis(delays.next_back().unwrap())
}

/// Kills the actor at `path`, and gives how long it took until all four workers ran again, less the backoff.
fn kill(node: &mut Node, path: &[&str]) -> Duration {
    let (before, _) = node.until("tree", all_running);
    let (incarnation, _) = running(node, path).unwrap();
    let at = node.now();
    let answer = node.ask(&json!({ "op": "kill", "path": path })).unwrap();
    assert!(answer["done"].is_object(), "{answer}");
    let (after, began) = node.until("restart", |node| {
        let (after, began) = all_running(node)?;
        let (now, _) = running(node, path)?;
        (now > incarnation && began > at).then_some((after, began))
    });
    assert_eq!(running(node, path).unwrap().0, incarnation + 1, "{path:?}");
    if path.len() == 3 {
        assert_eq!(after, before.iter().map(|incarnation| incarnation + 1).collect::<Vec<_>>());
    } else {
        assert_eq!(after, [1; 4], "a new supervisor begins anew");
    }
    began.since(at).saturating_sub(last_delay(node))
}

#[test]
fn any_actor_that_is_killed_is_back_at_once_and_nothing_is_lost() {
    let home = Home::new();
    let source = format!("synthetic:?ledgers={LEDGERS}&density=sparse");
    let (to, grid) = ((LEDGERS + 1).to_string(), ["--grid", "2:16"]);
    let (paced, dataset) = (format!("{source}&rate=400"), home.url("killed"));
    let arguments = ["run", "--source", &paced, "--dataset", &dataset, "--from", "genesis", "--to", &to];
    let mut node = home.start(&[&arguments[..], &grid].concat(), &[("ORRERY_TELEMETRY__LOG_FORMAT", "json")]);
    let mut taken = Vec::new();
    for worker in WORKERS.iter().chain(&WORKERS) {
        taken.push((kill(&mut node, &["pipelines", "main", worker]), *worker));
    }
    taken.push((kill(&mut node, &["pipelines", "main"]), "main"));
    taken.push((kill(&mut node, &["pipelines"]), "pipelines"));
    // As an operator does it, by the command.
    home.run_here(&["kill", "pipelines/main/sink/ledgers"]).expect(0, "killed");
    home.run_here(&["kill", "pipelines/main/nobody"]).expect(1, "there is no child `nobody` here");
    assert_eq!(node.end().0, Some(0), "{}", node.log());

    eprintln!("from a kill until all run again, less the backoff: {taken:?}");
    taken.sort();
    // It takes some milliseconds; a machine that does much else takes its time.
    assert!(taken[taken.len() / 2].0 < Duration::from_millis(500), "{taken:?}");
    assert!(taken[taken.len() - 1].0 < Duration::from_secs(20), "{taken:?}");
    let home_of_other = Home::new();
    home_of_other
        .backfill(
            &source,
            &home.url("undisturbed"),
            &[&["--from", "genesis", "--to", &to][..], &grid].concat(),
        )
        .expect(0, "complete");
    assert_same(&files(&home.path("killed")), &files(&home.path("undisturbed")));
}
