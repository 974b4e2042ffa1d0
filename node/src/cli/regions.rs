//! Arguments of `orrery regions` and `orrery failover`.

use std::time::Duration;

use clap::Args;

use super::NodesArgs;

/// Longest time to wait for a region.
const WAIT_MAX: Duration = Duration::from_secs(3600);

#[derive(Debug, Args)]
pub(crate) struct RegionsArgs {
    #[command(flatten)]
    pub(crate) cluster: NodesArgs,
}

#[derive(Debug, Args)]
pub(crate) struct FailoverArgs {
    /// The region that is to have traffic.
    #[arg(value_name = "REGION", required_unless_present = "automatic")]
    pub(crate) region: Option<String>,
    /// At once, even if the region is behind; says how far it is.
    #[arg(long, conflicts_with = "automatic")]
    pub(crate) forced: bool,
    /// Go back to priorities.
    #[arg(long, conflicts_with = "region")]
    pub(crate) automatic: bool,
    /// How long to wait until the region is equal, and then until it has traffic: 90s, 5m.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = time)]
    pub(crate) wait: Duration,
    /// Why, for whoever looks later.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) cluster: NodesArgs,
}

fn time(text: &str) -> Result<Duration, String> {
    let fix = || format!("give seconds or minutes, as 60s or 5m; {} s at most", WAIT_MAX.as_secs());
    let (number, seconds) = match (text.strip_suffix('s'), text.strip_suffix('m')) {
        (Some(number), _) => (number, 1),
        (_, Some(number)) => (number, 60),
        _ => (text, 1),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds));
    let time = seconds.map(Duration::from_secs).filter(|time| *time <= WAIT_MAX);
    time.ok_or_else(fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_seconds_or_minutes() {
        let check = |text: &str, expect: Option<u64>| {
            assert_eq!(time(text).ok(), expect.map(Duration::from_secs), "{text}");
        };
        check("60s", Some(60));
        check("5m", Some(300));
        check("0", Some(0));
        check("1h", None);
        check("61m", None);
        check("-1s", None);
    }
}
