//! `orrery regions`: this region and its peers, where traffic belongs, and why.

use serde_json::Value;

use crate::cli::RegionsArgs;
use crate::console::Console;
use crate::exit::Failure;
use crate::inspect::{Cluster, Columns};
use crate::threads;

/// Lists them.
pub(crate) fn run(args: &RegionsArgs, console: &Console) -> Result<(), Failure> {
    let seen = threads::runtime()?.block_on(async {
        let cluster = Cluster::new(&args.cluster.cluster, &args.cluster.proof).await?;
        look(&cluster).await
    })?;
    console.text(lines(&seen).join("\n"))?;
    // Not in the array, whose every line is a region.
    for concern in seen["concerns"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        console.warn(concern);
    }
    console.json(&seen["regions"])
}

/// What any node of the cluster knows of regions.
pub(super) async fn look(cluster: &Cluster) -> Result<Value, Failure> {
    let seen = cluster.ask("regions", &Value::Null).await?;
    match seen["regions"].as_array().is_some_and(|regions| !regions.is_empty()) {
        true => Ok(seen),
        false => Err(Failure::Unavailable(
            "no coordinator has said yet how regions are: is there a [region] in the nodes' configuration? See orrery nodes"
                .to_owned(),
        )),
    }
}

fn lines(seen: &Value) -> Vec<String> {
    let heading = ["REGION", "TRAFFIC", "STATE", "TIP", "LAG", "REPLICA", "HEARD", "MODE", "PRIORITY", "WHY"];
    let mut columns = Columns::new(heading);
    for row in seen["regions"].as_array().into_iter().flatten() {
        let is_own = row["own"] == true;
        let own = |text: String| if is_own { "-".to_owned() } else { text };
        let words = |key: &str| row[key].as_str().unwrap_or("-").replace('_', " ");
        columns.add([
            if is_own { format!("{} (this)", words("region")) } else { words("region") },
            traffic(row),
            words("state"),
            row["tip"].as_u64().map_or_else(|| "-".to_owned(), |tip| tip.to_string()),
            own(lag(row)),
            own(words("replica")),
            own(row["heard_ms_ago"].as_u64().map_or_else(|| "never".to_owned(), heard)),
            own(words("mode")),
            row["priority"].as_u64().map_or_else(|| "-".to_owned(), |priority| priority.to_string()),
            why(row),
        ]);
    }
    let decision = &seen["decision"];
    if let Some(generation) = decision["generation"].as_u64() {
        let to = decision["to"].as_str().map_or("priorities".to_owned(), |to| format!("region {to}"));
        let by = decision["by"].as_str().unwrap_or("-");
        let how = if decision["forced"] == true { ", forced" } else { "" };
        columns.across(format!("decided: {to}{how}, by {by} (decision {generation})"));
    }
    columns.lines()
}

/// Whether it has traffic, and how much of it if others have some too.
fn traffic(row: &Value) -> String {
    match (row["traffic"] == true, row["share"].as_f64()) {
        (false, _) => "-".to_owned(),
        (true, Some(share)) if share > 0.0 && share < 1.0 => format!("{:.0} %", share * 100.0),
        (true, _) => "yes".to_owned(),
    }
}

/// What the other one lacks of this region's ledgers: `3 (15 s)`.
fn lag(row: &Value) -> String {
    let Some(ledgers) = row["lag_ledgers"].as_i64() else { return "-".to_owned() };
    let seconds = row["lag_seconds"].as_i64().map(|seconds| -seconds);
    match (-ledgers, seconds) {
        (ahead, _) if ahead < 0 => format!("{} ahead", -ahead),
        (0, _) => "0".to_owned(),
        (behind, Some(seconds)) => format!("{behind} ({seconds} s)"),
        (behind, None) => behind.to_string(),
    }
}

fn heard(ms_ago: u64) -> String {
    format!("{:.1} s ago", ms_ago as f64 / 1000.0)
}

fn why(row: &Value) -> String {
    let texts = [row["why"].as_str(), row["detail"].as_str()];
    let texts = texts.into_iter().flatten().filter(|text| !text.is_empty());
    texts.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_says_who_has_traffic_and_how_far_each_region_is() {
        let seen = json!({
            "decision": { "generation": 3, "to": "us", "forced": true, "by": "ops" },
            "regions": [
                { "region": "eu", "own": true, "traffic": true, "state": "stable", "tip": 90, "priority": 1, "why": "" },
                { "region": "us", "own": false, "traffic": false, "state": "behind", "tip": 83, "priority": 2,
                  "lag_ledgers": -7, "lag_seconds": -35, "replica": "other_layout", "heard_ms_ago": 412, "mode": "both",
                  "why": "7 ledgers behind the best that is heard", "detail": null },
            ],
        });
        let expect = [
            "REGION     TRAFFIC  STATE   TIP  LAG       REPLICA       HEARD      MODE  PRIORITY  WHY",
            "eu (this)  yes      stable  90   -         -             -          -     1",
            "us         -        behind  83   7 (35 s)  other layout  0.4 s ago  both  2         7 ledgers behind the best that is heard",
            "decided: region us, forced, by ops (decision 3)",
        ];
        assert_eq!(lines(&seen), expect);
        assert_eq!(lag(&json!({ "lag_ledgers": 4 })), "4 ahead");
        assert_eq!(traffic(&json!({ "traffic": true, "share": 0.25 })), "25 %");
    }
}
