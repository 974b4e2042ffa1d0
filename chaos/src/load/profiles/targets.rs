//! What is to hold, and whether it does. Pure.
//!
//! Without a word of the user these are the targets of the system's requirements: 95 of 100 requests within 10 s, 99 within
//! 30 s, 50 requests a second of 1,000 users, under 1 % errors, under 8 GiB and 80 % of the machine.

use super::plan::{Kind, Shape};
use super::report::{Check, KindReport, ProfileReport, Quantiles};

/// Users of whom the rate is asked.
const USERS_OF_RATE: f64 = 1000.0;

/// By how much memory and times may grow from the first quarter of a soak to its last.
const SOAK_GROWTH: f64 = 0.25;
/// What memory may grow by in any case: a cache that fills.
const SOAK_BYTES: f64 = 64.0 * 1024.0 * 1024.0;
/// What times may grow by in any case.
const SOAK_MS: f64 = 100.0;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    P50,
    P95,
    P99,
    Max,
    Rate,
    Errors,
    Memory,
    Cpu,
}

const FIGURES: [(&str, Figure); 8] = [
    ("p50", Figure::P50),
    ("p95", Figure::P95),
    ("p99", Figure::P99),
    ("max", Figure::Max),
    ("rate", Figure::Rate),
    ("errors", Figure::Errors),
    ("memory", Figure::Memory),
    ("cpu", Figure::Cpu),
];

/// A target, as `p95=10s`, `export.p99=30s`, `rate=50`, `errors=1%`, `memory=8GiB`, `cpu=80%`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    figure: Figure,
    kind: Option<Kind>,
    /// Milliseconds, requests a second, percent or bytes.
    value: f64,
}

impl Limit {
    /// As a user writes it.
    ///
    /// # Errors
    ///
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = "give KIND.p99=30s or p99=30s (p50, p95, p99, max; KIND is flight, live, export or mixed), rate=50, \
                    errors=1%, memory=8GiB or cpu=80%";
        let (name, value) = text.split_once('=').ok_or(form)?;
        let (kind, name) = match name.split_once('.') {
            Some((kind, name)) => {
                let found = Kind::ALL.into_iter().find(|known| known.name() == kind);
                (Some(found.ok_or(form)?), name)
            }
            None => (None, name),
        };
        let (_, figure) = FIGURES.into_iter().find(|(known, _)| *known == name).ok_or(form)?;
        if kind.is_some() && !figure.is_time() {
            return Err(form.to_owned());
        }
        let number = |number: &str, by: f64| {
            let number = number.trim().parse::<f64>().ok().filter(|number| *number >= 0.0);
            number.filter(|number| number.is_finite()).map(|number| number * by)
        };
        let value = match figure {
            Figure::Rate => number(value, 1.0),
            Figure::Errors | Figure::Cpu => value.strip_suffix('%').and_then(|value| number(value, 1.0)),
            Figure::Memory => match (value.strip_suffix("GiB"), value.strip_suffix("MiB")) {
                (Some(value), _) => number(value, f64::from(1 << 30)),
                (None, Some(value)) => number(value, f64::from(1 << 20)),
                (None, None) => None,
            },
            _ => match (value.strip_suffix("ms"), value.strip_suffix('s')) {
                (Some(value), _) => number(value, 1.0),
                (None, Some(value)) => number(value, 1000.0),
                (None, None) => None,
            },
        };
        Ok(Self { figure, kind, value: value.ok_or(form)? })
    }
}

impl Figure {
    fn is_time(self) -> bool {
        matches!(self, Self::P50 | Self::P95 | Self::P99 | Self::Max)
    }

    fn name(self) -> &'static str {
        FIGURES.iter().find(|(_, figure)| *figure == self).map_or("", |(name, _)| name)
    }

    fn of(self, times: Quantiles) -> f64 {
        match self {
            Self::P50 => times.p50_ms,
            Self::P95 => times.p95_ms,
            Self::P99 => times.p99_ms,
            _ => times.max_ms,
        }
    }
}

/// The document's targets, with `given` instead of them where it says something else.
fn limits(given: &[Limit]) -> Vec<Limit> {
    let defaults = [
        (Figure::P95, 10_000.0),
        (Figure::P99, 30_000.0),
        (Figure::Rate, 50.0),
        (Figure::Errors, 1.0),
        (Figure::Memory, 8.0 * f64::from(1 << 30)),
        (Figure::Cpu, 80.0),
    ];
    let defaults = defaults.map(|(figure, value)| Limit { figure, kind: None, value });
    let is_given = |limit: &Limit| given.iter().any(|one| (one.figure, one.kind) == (limit.figure, None));
    let mut limits: Vec<Limit> = defaults.into_iter().filter(|limit| !is_given(limit)).collect();
    limits.extend(given);
    limits
}

/// What was to hold of a run.
pub(super) fn checks(report: &ProfileReport, given: &[Limit]) -> Vec<Check> {
    let limits = limits(given);
    let mut checks = Vec::new();
    for kind in &report.kinds {
        let of_kind = limits.iter().filter(|limit| limit.kind == Some(kind.kind));
        let of_all = limits.iter().filter(|limit| {
            let is_overruled =
                limits.iter().any(|one| (one.figure, one.kind) == (limit.figure, Some(kind.kind)));
            limit.kind.is_none() && limit.figure.is_time() && !is_overruled
        });
        checks.extend(of_kind.chain(of_all).map(|limit| time(kind, *limit)));
    }
    let of_all = limits.iter().filter(|limit| limit.kind.is_none() && !limit.figure.is_time());
    checks.extend(of_all.filter_map(|limit| of_server(report, *limit)));
    if report.shape == Shape::Soak {
        checks.extend(growth(report));
    }
    checks
}

fn time(kind: &KindReport, limit: Limit) -> Check {
    let found = limit.figure.of(kind.whole);
    Check {
        name: format!("{}.{}", kind.kind.name(), limit.figure.name()),
        limit: format!("< {}", seconds(limit.value)),
        found: if kind.requests == 0 { "no request ended".to_owned() } else { seconds(found) },
        holds: kind.requests > 0 && found < limit.value,
    }
}

/// Of all kinds together. Of a machine that tells nothing, nothing is asked.
fn of_server(report: &ProfileReport, limit: Limit) -> Option<Check> {
    let below = |found: f64, shown: fn(f64) -> String| Check {
        name: limit.figure.name().to_owned(),
        limit: format!("< {}", shown(limit.value)),
        found: shown(found),
        holds: found < limit.value,
    };
    Some(match limit.figure {
        Figure::Errors => below(report.errors_percent, |percent| format!("{percent:.2} %")),
        Figure::Memory => {
            below(report.server.memory_max? as f64, |bytes| format!("{:.0} MiB", bytes / f64::from(1 << 20)))
        }
        Figure::Cpu => below(report.server.cpu_percent?, |percent| format!("{percent:.0} %")),
        Figure::Rate => {
            // Who reads the live feed alone asks for nothing.
            report.kinds.iter().find(|kind| kind.kind != Kind::Live)?;
            let least = limit.value * report.users_mean / USERS_OF_RATE;
            Check {
                name: "rate".to_owned(),
                limit: format!("> {least:.1}/s"),
                found: format!("{:.1}/s", report.requests_per_second),
                holds: report.requests_per_second > least,
            }
        }
        _ => return None,
    })
}

/// Whether a soak is at its end as it was when it had settled.
fn growth(report: &ProfileReport) -> Vec<Check> {
    let (Some(settled), Some(last)) = (report.course.get(report.course.len() / 4), report.course.last())
    else {
        return Vec::new();
    };
    let check = |name: &str, before: f64, now: f64, least: f64, shown: &dyn Fn(f64) -> String| {
        let most = (before * (1.0 + SOAK_GROWTH)).max(before + least);
        Check {
            name: name.to_owned(),
            limit: format!("< {}", shown(most)),
            found: shown(now),
            holds: now < most,
        }
    };
    let mib = |bytes: f64| format!("{:.0} MiB", bytes / f64::from(1 << 20));
    let mut checks = vec![check("p95 at the end", settled.p95_ms, last.p95_ms, SOAK_MS, &seconds)];
    if let (Some(before), Some(now)) = (settled.memory, last.memory) {
        checks.push(check("memory at the end", before as f64, now as f64, SOAK_BYTES, &mib));
    }
    checks
}

/// A time as people read it.
pub(crate) fn seconds(milliseconds: f64) -> String {
    match milliseconds {
        short if short < 1000.0 => format!("{short:.0} ms"),
        long => format!("{:.1} s", long / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::profiles::EXAMPLE;

    fn report() -> ProfileReport {
        serde_json::from_str(EXAMPLE).unwrap()
    }

    #[test]
    fn targets_are_read_with_their_units() {
        let check = |text: &str, figure, kind, value| {
            assert_eq!(Limit::parse(text), Ok(Limit { figure, kind, value }), "{text}");
        };
        check("p95=10s", Figure::P95, None, 10_000.0);
        check("export.p99=1.5s", Figure::P99, Some(Kind::Export), 1_500.0);
        check("live.max=250ms", Figure::Max, Some(Kind::Live), 250.0);
        check("rate=50", Figure::Rate, None, 50.0);
        check("errors=0.5%", Figure::Errors, None, 0.5);
        check("memory=2GiB", Figure::Memory, None, 2_147_483_648.0);
        check("cpu=80%", Figure::Cpu, None, 80.0);
        for text in
            ["p95", "p95=10", "p94=1s", "x.p95=1s", "flight.rate=5", "errors=1", "p95=-1s", "cpu=NaN%"]
        {
            assert!(Limit::parse(text).unwrap_err().starts_with("give KIND.p99=30s"), "{text}");
        }
    }

    #[test]
    fn the_documents_targets_hold_or_are_told() {
        let names = |given: &[&str]| {
            let given: Vec<_> = given.iter().map(|text| Limit::parse(text).unwrap()).collect();
            let found = checks(&report(), &given);
            found.iter().map(|check| format!("{} {}", check.name, check.holds)).collect::<Vec<_>>()
        };
        let common = ["rate true", "errors true", "memory true", "cpu true"];
        let times = ["export.p95 true", "export.p99 true", "live.p95 true", "live.p99 true"];
        assert_eq!(names(&[]), [&times[..], &common].concat());
        let stricter = names(&["export.p99=2s", "rate=1000"]);
        let times = ["export.p99 false", "export.p95 true", "live.p95 true", "live.p99 true"];
        assert_eq!(stricter, [&times[..], &common[1..], &["rate false"]].concat());
    }

    #[test]
    fn a_soak_whose_memory_grows_is_told() {
        let mut report = report();
        report.shape = Shape::Soak;
        let told = |report: &ProfileReport| -> Vec<String> {
            checks(report, &[]).into_iter().filter(|check| !check.holds).map(|check| check.name).collect()
        };
        assert_eq!(told(&report), Vec::<String>::new());
        report.course.last_mut().unwrap().memory = Some(900 << 20);
        report.course.last_mut().unwrap().p95_ms = 4000.0;
        assert_eq!(told(&report), ["p95 at the end", "memory at the end"]);
    }
}
