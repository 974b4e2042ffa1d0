//! `load --profile`: what it takes, and what it prints.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::super::RunError;
use super::super::survival::{Common, Folder};
use super::{Density, LoadArgs, percent};
use crate::experiment::ExperimentError;
use crate::load::profiles::{
    self, KindReport, Limit, Profile, ProfileReport, ProfileSettings, Progress, Quantiles, Shape, shown_time,
};

#[derive(Debug, Args)]
#[command(next_help_heading = "Profiles of users")]
pub(super) struct ProfileArgs {
    /// Real clients instead of readers alone: who reads ranges over Arrow Flight, the live feed, exports, and looks things up
    #[arg(long, value_enum, conflicts_with_all = [
        "connections", "processes", "slow", "hostile", "filter", "url", "p99_below", "idle_below", "slow_adds_below",
    ])]
    pub(super) profile: Option<Profile>,
    /// When users are there
    #[arg(long, value_enum, default_value_t = Shape::Steady, requires = "profile")]
    shape: Shape,
    /// Users, in all [default: as many as the profile has]
    #[arg(long, requires = "profile", value_parser = clap::value_parser!(u32).range(1..=50_000))]
    users: Option<u32>,
    /// How many times as often each user asks
    #[arg(long, default_value = "1", value_name = "TIMES", requires = "profile", value_parser = times)]
    faster: f64,
    /// Ledgers that are stored before the first user comes, at least
    #[arg(long, default_value_t = 1022, requires = "profile", value_parser = clap::value_parser!(u32).range(16..=1_000_000))]
    ledgers: u32,
    /// Exit with 1 if this does not hold, as export.p99=30s, p95=10s, rate=50 (requests/s of 1,000 users), errors=1%,
    /// memory=8GiB, cpu=80%: these are the defaults. May be given again
    #[arg(long = "target", value_name = "NAME=VALUE", requires = "profile", value_parser = Limit::parse)]
    targets: Vec<Limit>,
    /// Keep the report as a baseline
    #[arg(long, value_name = "FILE", requires = "profile")]
    save: Option<PathBuf>,
    /// Exit with 1 if a figure is worse than in this report
    #[arg(long, value_name = "FILE", requires = "profile")]
    baseline: Option<PathBuf>,
    /// By how much it may be worse
    #[arg(long, value_name = "PERCENT", default_value = "20%", requires = "baseline", value_parser = percent)]
    worse_by: u8,
}

fn times(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|times| (0.01..=1000.0).contains(times));
    number.ok_or_else(|| "give 0.01 to 1000".to_owned())
}

/// True if the targets hold, nothing is missing and nothing has become worse.
pub(super) fn run(args: &LoadArgs, profile: Profile) -> Result<bool, RunError> {
    let LoadArgs { seconds, rate, density, common, profile: own, .. } = args;
    let users = profile.users(own.users.map(|users| users as usize));
    let density = density.unwrap_or(Density::Pubnet).name().to_owned();
    writeln!(io::stderr(), "seed {}", common.seed)?;
    let baseline = own.baseline.as_deref().map(profiles::read_baseline).transpose()?;
    let unlike = baseline.as_ref().and_then(|baseline| {
        profiles::unlike_baseline(baseline, profile.name(), own.shape.name(), users.sum())
    });
    if let Some(problem) = unlike {
        return Err(ExperimentError::Usage(problem).into());
    }
    let folder = Folder::new(common.dir.as_deref())?;
    let workload = common.workload(&folder, 0, 0)?;
    let settings = ProfileSettings {
        orrery: workload.orrery,
        folder: workload.folder,
        profile,
        shape: own.shape,
        users,
        seconds: *seconds,
        faster: own.faster,
        ledgers: own.ledgers,
        rate: *rate,
        density: density.clone(),
        seed: common.seed,
        limits: own.targets.clone(),
        baseline: baseline.map(|baseline| (Box::new(baseline), f64::from(own.worse_by))),
    };
    let report = profiles::run(&settings, &mut Progress::new())?;
    if let Some(file) = &own.save {
        profiles::save_baseline(&report, file)?;
    }
    let options = [
        ("profile", profile.name().to_owned()),
        ("shape", own.shape.name().to_owned()),
        ("users", users.sum().to_string()),
        ("seconds", seconds.to_string()),
        ("faster", own.faster.to_string()),
        ("ledgers", own.ledgers.to_string()),
        ("rate", rate.to_string()),
        ("density", density),
    ];
    finish(common, folder, &report, &options)
}

fn finish(
    common: &Common,
    folder: Folder,
    report: &ProfileReport,
    options: &[(&str, String)],
) -> Result<bool, RunError> {
    let problems = report.problems();
    let reproduction = common.reproduction("load", options);
    let write_table = |out: &mut dyn Write| {
        write(out, report)?;
        problems.iter().try_for_each(|problem| writeln!(out, "not held: {problem}"))
    };
    common.report(report, problems.is_empty(), folder, write_table, &reproduction)
}

fn write(out: &mut dyn Write, report: &ProfileReport) -> io::Result<()> {
    let ProfileReport { seed, users, seconds, stored_ledgers, stored_events, rate, density, .. } = report;
    writeln!(
        out,
        "seed {seed}: {}, {}: {users} users, {seconds} s; {stored_ledgers} {density} ledgers of {stored_events} events, and {rate} \
         more a second; made in {:.0} s",
        report.profile.name(),
        report.shape.name(),
        report.setup_seconds
    )?;
    write_kinds(out, report)?;
    write_course(out, report)?;
    write_server(out, report)?;
    writeln!(out, "\n{:<20}{:>14}{:>14}", "", "found", "target")?;
    for check in &report.checks {
        let holds = if check.holds { "" } else { "  MISSED" };
        writeln!(out, "{:<20}{:>14}{:>14}{holds}", check.name, check.found, check.limit)?;
    }
    if !report.compared.is_empty() {
        writeln!(out, "\n{:<24}{:>12}{:>12}{:>10}", "", "baseline", "now", "worse by")?;
    }
    for one in &report.compared {
        let worse = format!("{:.0} %", one.worse_percent);
        let has_regressed = if one.has_regressed { "  REGRESSED" } else { "" };
        writeln!(out, "{:<24}{:>12.1}{:>12.1}{worse:>10}{has_regressed}", one.name, one.before, one.now)?;
    }
    writeln!(out, "\nverdict: {}", if report.problems().is_empty() { "held" } else { "not held" })
}

fn write_kinds(out: &mut dyn Write, report: &ProfileReport) -> io::Result<()> {
    writeln!(
        out,
        "\n{:<8}{:>6}{:>10}{:>8}  {:<34}{:<34}{:>10}{:>9}{:>7}",
        "users", "", "requests", "/s", "first byte: p50/p95/p99/max", "whole", "events/s", "MiB/s", "failed"
    )?;
    let seconds = report.measured_seconds.max(0.001);
    let times = |times: Quantiles| {
        [times.p50_ms, times.p95_ms, times.p99_ms, times.max_ms].map(shown_time).join(" / ")
    };
    for kind in &report.kinds {
        let KindReport { kind, users, requests, per_second, first, whole, events, bytes, .. } = kind;
        let rate = |count: u64| count as f64 / seconds;
        writeln!(
            out,
            "{:<8}{users:>6}{requests:>10}{per_second:>8.1}  {:<34}{:<34}{:>10.0}{:>9.1}{:>7}",
            kind.name(),
            times(*first),
            times(*whole),
            rate(*events),
            rate(*bytes) / f64::from(1 << 20),
            report.kinds.iter().filter(|one| one.kind == *kind).map(KindReport::failed).sum::<u64>()
        )?;
    }
    for kind in &report.kinds {
        for (error, count) in &kind.errors {
            writeln!(out, "{}: {count} times {error}", kind.kind.name())?;
        }
        kind.first_error
            .iter()
            .try_for_each(|error| writeln!(out, "{}: first: {error}", kind.kind.name()))?;
        if kind.told_to_wait > 0 {
            writeln!(out, "{}: {} times told to come again later", kind.kind.name(), kind.told_to_wait)?;
        }
    }
    writeln!(
        out,
        "{:.1} requests/s; {} answers or ledgers wrong or missing; events of {} live ledgers compared",
        report.requests_per_second, report.wrong, report.live_ledgers
    )
}

fn write_course(out: &mut dyn Write, report: &ProfileReport) -> io::Result<()> {
    writeln!(
        out,
        "\n{:>6}{:>7}{:>12}{:>10}{:>8}{:>7}{:>9}",
        "to s", "users", "requests/s", "p95", "failed", "cpu %", "MiB"
    )?;
    for slice in &report.course {
        writeln!(
            out,
            "{:>6.0}{:>7}{:>12.1}{:>10}{:>8}{:>7.0}{:>9}",
            slice.to_seconds,
            slice.users,
            slice.requests_per_second,
            shown_time(slice.p95_ms),
            slice.failed,
            slice.cpu_percent.unwrap_or_default(),
            slice.memory.unwrap_or_default() >> 20
        )?;
    }
    Ok(())
}

fn write_server(out: &mut dyn Write, report: &ProfileReport) -> io::Result<()> {
    let server = report.server;
    let mib = |bytes: Option<u64>| bytes.unwrap_or_default() >> 20;
    writeln!(
        out,
        "\nserver: {:.0} % of {} processors ({:.0} % in the busiest second), users {:.0} processor seconds of {:.0}",
        server.cpu_percent.unwrap_or_default(),
        server.processors,
        server.cpu_percent_max.unwrap_or_default(),
        report.client_seconds.unwrap_or_default(),
        report.measured_seconds * server.processors as f64
    )?;
    writeln!(
        out,
        "server memory, MiB: {} before, {} at most, {} at the end; load average {:.1}",
        mib(server.memory_before),
        mib(server.memory_max),
        mib(server.memory_after),
        report.load_average.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_often_users_ask_has_bounds() {
        assert_eq!(times("2.5"), Ok(2.5));
        assert!(times("0").is_err() && times("x").is_err() && times("NaN").is_err());
    }
}
