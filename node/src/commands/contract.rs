//! `orrery inspect metrics`: every metric that a node may show, whether one runs or not.

use serde_json::{Value, json};

use crate::console::Console;
use crate::exit::Failure;
use crate::telemetry::contract;

/// Prints them, in the order of their names.
pub(crate) fn metrics(console: &Console) -> Result<(), Failure> {
    let metrics = contract::all();
    if console.is_json() {
        let one = |metric: &orrery_supervisor::Metric| {
            json!({
                "name": metric.name,
                "kind": metric.kind.as_str(),
                "unit": metric.unit,
                "labels": metric.labels,
                "shown": metric.shown.as_str(),
                "help": metric.help,
            })
        };
        return console.json(&Value::Array(metrics.iter().map(one).collect()));
    }
    let width = metrics.iter().map(|metric| metric.name.len()).max().unwrap_or(0);
    for metric in metrics {
        let labels = match metric.labels {
            [] => String::new(),
            labels => format!(" {{{}}}", labels.join(", ")),
        };
        let (name, kind, unit, shown) =
            (metric.name, metric.kind.as_str(), metric.unit, metric.shown.as_str());
        console.text(format_args!("{name:width$}  {kind}, {unit}, {shown}{labels}"))?;
        console.text(format_args!("{:width$}  {}", "", metric.help))?;
    }
    Ok(())
}
