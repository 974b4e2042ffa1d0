//! The command that puts a server under load: what it takes, and what it prints.

mod profile;

use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use self::profile::ProfileArgs;
use super::RunError;
use super::survival::{Common, Folder};
use crate::experiment::ExperimentError;
use crate::load::{self, LatencyReport, LoadReport, LoadSettings, Target, Trust};

#[derive(Debug, Args)]
pub(super) struct LoadArgs {
    /// Readers, in all
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections: u32,
    /// Servers, each with its share of the readers, which are a process of their own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    processes: u8,
    /// Seconds that are measured; with slow readers, once before they are slow and once again
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Readers of a hundred that stop reading in a second half, as `10%`
    #[arg(long, default_value = "0%", value_parser = percent)]
    slow: u8,
    /// Let clients come that break the protocol, flood and dawdle, in a second half
    #[arg(long)]
    hostile: bool,
    /// Ledgers a second
    #[arg(long, default_value_t = 1.0, value_parser = rate)]
    rate: f64,
    /// Of the ledgers: some 16 events each, some 880 as the public network has, or some 2,800 [default: sparse; pubnet for profiles]
    #[arg(long, value_enum)]
    density: Option<Density>,
    /// The filter of all readers, as they send it: {"kind":["mint"]}
    #[arg(long, default_value = "{}", value_name = "JSON", value_parser = filter)]
    filter: String,
    /// A node that runs, as http://HOST:PORT or https://HOST:PORT, instead of those that would be started; a token, if it asks
    /// for one, is in the variable ORRERY_TOKEN
    #[arg(long, conflicts_with_all = ["processes", "rate", "density"], value_parser = url)]
    url: Option<Url>,
    /// PEM file of certificates that a node over TLS is trusted by
    #[arg(long, value_name = "FILE", requires = "url")]
    ca: Option<PathBuf>,
    /// Exit with 1 if 1 of 100 readers had a ledger later, as 250ms
    #[arg(long, value_name = "TIME", value_parser = milliseconds)]
    p99_below: Option<f64>,
    /// Exit with 1 if a reader that does nothing costs the server more memory, as 8KiB
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    idle_below: Option<u64>,
    /// Exit with 1 if slow readers make the others' 99th percentile of a ledger grow by more, half of the ledgers, as 20%
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    slow_adds_below: Option<u8>,
    #[command(flatten)]
    profile: ProfileArgs,
    #[command(flatten)]
    common: Common,
}

/// Readers or users of `load`, in a process of their own.
#[derive(Debug, Args)]
pub(super) struct ClientsArgs {
    settings: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Density {
    Sparse,
    Pubnet,
    Dense,
}

impl Density {
    const fn name(self) -> &'static str {
        match self {
            Self::Sparse => "sparse",
            Self::Pubnet => "pubnet",
            Self::Dense => "dense",
        }
    }
}

fn percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse().ok().filter(|percent| *percent <= 100);
    number.ok_or_else(|| "give 0% to 100%".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|rate| (0.01..=1000.0).contains(rate));
    number.ok_or_else(|| "give 0.01 to 1000 ledgers a second".to_owned())
}

fn filter(text: &str) -> Result<String, String> {
    serde_json::from_str::<orrery_schemas::EventFilter>(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// Where a node serves.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Url {
    text: String,
    address: SocketAddr,
    /// The name in its certificate, if it serves over TLS.
    name: Option<String>,
}

fn url(text: &str) -> Result<Url, String> {
    let (is_secure, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        _ => return Err("give http://HOST:PORT or https://HOST:PORT".to_owned()),
    };
    let authority = rest.trim_end_matches('/');
    let mut found = authority.to_socket_addrs().map_err(|error| error.to_string())?;
    let address = found.next().ok_or_else(|| "has no address".to_owned())?;
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).trim_matches(['[', ']']);
    Ok(Url { text: text.to_owned(), address, name: is_secure.then(|| host.to_owned()) })
}

/// The node that runs, if one is given.
fn target(args: &LoadArgs) -> Result<Option<Target>, ExperimentError> {
    let usage = |problem: &str| Err(ExperimentError::Usage(problem.to_owned()));
    let Some(Url { address, name, .. }) = args.url.clone() else { return Ok(None) };
    let trust = match (name, args.ca.clone()) {
        (None, None) => None,
        (None, Some(_)) => return usage("--ca is for https://: TLS is not spoken there"),
        (Some(_), None) => {
            return usage("https:// needs --ca: the file of the authority that it is trusted by");
        }
        (Some(_), Some(_)) if args.hostile => return usage("--hostile speaks no TLS: give http://"),
        (Some(name), Some(authority)) => Some(Trust { authority, name }),
    };
    Ok(Some(Target { address, trust }))
}

fn milliseconds(text: &str) -> Result<f64, String> {
    let (number, unit) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 1.0),
        (None, Some(number)) => (number, 1000.0),
        (None, None) => return Err("give a time as 250ms or 1s".to_owned()),
    };
    let number = number.parse::<f64>().ok().filter(|number| *number > 0.0 && number.is_finite());
    number.map(|number| number * unit).ok_or_else(|| "give a time as 250ms or 1s".to_owned())
}

fn bytes(text: &str) -> Result<u64, String> {
    let (number, shift) = match text.strip_suffix("KiB") {
        Some(number) => (number, 10),
        None => text.strip_suffix("MiB").map_or((text, 0), |number| (number, 20)),
    };
    let number = number.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    number.ok_or_else(|| "give bytes as 8192, 8KiB or 1MiB".to_owned())
}

/// The process of readers.
pub(super) fn run_clients(args: &ClientsArgs) -> Result<bool, RunError> {
    load::serve_clients(&args.settings)?;
    Ok(true)
}

/// The process of users.
pub(super) fn run_users(args: &ClientsArgs) -> Result<bool, RunError> {
    load::profiles::serve_users(&args.settings)?;
    Ok(true)
}

/// True if every ledger arrived, and the limits hold.
pub(super) fn run_load(args: &LoadArgs) -> Result<bool, RunError> {
    if let Some(profile) = args.profile.profile {
        return profile::run(args, profile);
    }
    let LoadArgs {
        connections, processes, seconds, slow, rate, density, filter, url, hostile, common, ..
    } = args;
    let density = density.unwrap_or(Density::Sparse);
    writeln!(io::stderr(), "seed {}", common.seed)?;
    if u32::from(*processes) > *connections {
        return Err(
            ExperimentError::Usage("every server needs a reader: give fewer --processes".to_owned()).into()
        );
    }
    let at = target(args)?;
    let folder = Folder::new(common.dir.as_deref())?;
    let workload = common.workload(&folder, 0, 0)?;
    let settings = LoadSettings {
        orrery: workload.orrery,
        folder: workload.folder,
        at,
        connections: *connections as usize,
        processes: usize::from(*processes),
        seconds: *seconds,
        slow_percent: *slow,
        hostile: *hostile,
        rate: *rate,
        density: density.name().to_owned(),
        filter: filter.clone(),
        seed: common.seed,
    };
    let report = load::run(&settings, &mut io::stderr())?;
    let mut problems = report.problems();
    problems.extend(broken_limits(args, &report));
    let mut options = vec![
        ("connections", connections.to_string()),
        ("processes", processes.to_string()),
        ("seconds", seconds.to_string()),
        ("slow", format!("{slow}%")),
        ("rate", rate.to_string()),
        ("density", density.name().to_owned()),
        ("filter", filter.clone()),
    ];
    if let Some(url) = url {
        options.retain(|(name, _)| !["processes", "rate", "density"].contains(name));
        options.push(("url", url.text.clone()));
    }
    options.extend(args.ca.as_ref().map(|file| ("ca", file.display().to_string())));
    options.extend(hostile.then(|| ("hostile", String::new())));
    let reproduction = common.reproduction("load", &options);
    let write_table = |out: &mut dyn Write| {
        write_load(out, &report)?;
        problems.iter().try_for_each(|problem| writeln!(out, "not held: {problem}"))
    };
    common.report(&report, problems.is_empty(), folder, write_table, &reproduction)
}

fn broken_limits(args: &LoadArgs, report: &LoadReport) -> Vec<String> {
    let mut broken = Vec::new();
    let halves = [Some(report.all_read), report.some_slow];
    let p99 = halves.into_iter().flatten().map(|half| half.p99_ms).fold(0.0, f64::max);
    if let Some(limit) = args.p99_below.filter(|limit| p99 > *limit) {
        broken.push(format!("99th percentile {p99:.1} ms, {limit:.1} allowed"));
    }
    if let Some(limit) = args.idle_below {
        match report.memory.map(|memory| memory.each_idle()) {
            Some(idle) if idle <= limit => {}
            Some(idle) => broken.push(format!("an idle reader costs {idle} bytes, {limit} allowed")),
            None => broken.push("the memory of the server is not known".to_owned()),
        }
    }
    if let Some(limit) = args.slow_adds_below.map(f64::from) {
        match report.slow_adds_percent() {
            Some(adds) if adds <= limit => {}
            Some(adds) => broken.push(format!("slow readers add {adds:.0} %, {limit:.0} allowed")),
            None => broken.push("nothing is known of slow readers: give --slow".to_owned()),
        }
    }
    broken
}

fn write_load(out: &mut dyn Write, report: &LoadReport) -> io::Result<()> {
    let LoadReport { seed, connections, processes, seconds, rate, density, filter, .. } = report;
    writeln!(
        out,
        "seed {seed}: {connections} readers of {processes} servers, {seconds} s, {rate} {density} ledgers/s, filter {filter}"
    )?;
    write_memory(out, report)?;
    writeln!(
        out,
        "\n{:<28}{:>9}{:>8}{:>8}{:>8}  {:<24}{:>8}{:>10}{:>7}",
        "ledger there -> at reader, ms",
        "ledgers",
        "p50",
        "p99",
        "max",
        "p99 of each: min/med/max",
        "late p99",
        "B/ledger",
        "load"
    )?;
    write_half(out, "all read", &report.all_read, report.load_average.first())?;
    if let Some(half) = &report.some_slow {
        write_half(out, "others, in the second half", half, report.load_average.get(1))?;
        writeln!(
            out,
            "p99 of a ledger grew by {:.0} %, half of them",
            report.slow_adds_percent().unwrap_or_default()
        )?;
        let slow = report.slow;
        writeln!(
            out,
            "{} slow readers: {} closed with 4008 and their cursor, {} cut off, {} caught up; servers closed {}",
            slow.readers,
            slow.closed_4008,
            slow.cut_off,
            slow.caught_up,
            report.evicted.map_or("?".to_owned(), |evicted| evicted.to_string())
        )?;
    }
    for attack in &report.attacks {
        writeln!(
            out,
            "{:<36}{:>6} times, {:>6} refused as they should be",
            attack.name, attack.tries, attack.as_expected
        )?;
    }
    let (server, client) =
        (report.server_seconds.unwrap_or_default(), report.client_seconds.unwrap_or_default());
    writeln!(out, "processor seconds: {server:.1} servers, {client:.1} readers")?;
    writeln!(
        out,
        "{} connected, {} refused, {} left in the middle; {} ledgers missed, {} wrong frames, {} ledgers passed by all",
        report.connected,
        report.refused,
        report.lost,
        report.missed,
        report.wrong.sum(),
        report.passed_by_all
    )?;
    report.first_problem.iter().try_for_each(|problem| writeln!(out, "first problem: {problem}"))
}

fn write_memory(out: &mut dyn Write, report: &LoadReport) -> io::Result<()> {
    let Some(memory) = report.memory else { return Ok(()) };
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let kib = |bytes: u64| bytes as f64 / 1024.0;
    writeln!(
        out,
        "server memory, MiB: {:.1} before, {:.1} connected, {:.1} subscribed, {:.1} at the end",
        mib(memory.before),
        mib(memory.connected),
        mib(memory.subscribed),
        mib(memory.after)
    )?;
    let (connected, subscribed) = (kib(memory.each_connected), kib(memory.each_subscribed));
    writeln!(out, "an idle reader, KiB: {connected:.2} connected, {subscribed:.2} subscribed")
}

fn write_half(
    out: &mut dyn Write,
    name: &str,
    half: &LatencyReport,
    load: Option<&Option<f64>>,
) -> io::Result<()> {
    let [least, middle, most] = half.each_p99_ms;
    writeln!(
        out,
        "{name:<28}{:>10}{:>8.1}{:>8.1}{:>8.1}  {:<24}{:>8.1}{:>10}{:>7.1}",
        half.ledgers,
        half.p50_ms,
        half.p99_ms,
        half.max_ms,
        format!("{least:.1} / {middle:.1} / {most:.1}"),
        half.behind_schedule_p99_ms,
        half.bytes_per_ledger,
        load.copied().flatten().unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_with_their_units() {
        assert_eq!(percent("10%"), Ok(10));
        assert_eq!(percent("20"), Ok(20));
        assert!(percent("101%").is_err() && percent("x").is_err());
        assert_eq!(milliseconds("250ms"), Ok(250.0));
        assert_eq!(milliseconds("1.5s"), Ok(1500.0));
        assert!(milliseconds("250").is_err() && milliseconds("-1s").is_err());
        assert_eq!(bytes("8KiB"), Ok(8192));
        assert_eq!(bytes("512"), Ok(512));
        assert!(bytes("8kB").is_err());
        let found = |text: &str| url(text).map(|url| (url.address, url.name));
        assert_eq!(found("http://127.0.0.1:80/"), Ok((([127, 0, 0, 1], 80).into(), None)));
        let secure = (([127, 0, 0, 1], 443).into(), Some("127.0.0.1".to_owned()));
        assert_eq!(found("https://127.0.0.1:443"), Ok(secure));
        assert!(url("wss://127.0.0.1:80").is_err() && url("http://127.0.0.1").is_err());
        assert!(filter(r#"{"kind":["mint"]}"#).is_ok() && filter(r#"{"kin":[]}"#).is_err());
    }
}
