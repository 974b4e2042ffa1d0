//! How a metric is declared: once, beside what counts it. All declarations together are the contract that
//! `orrery inspect metrics` prints and that dashboards and alerts are held against.

/// Kind of a metric, as Prometheus knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Moves either way.
    Gauge,
    /// A distribution.
    Histogram,
}

impl MetricKind {
    /// As Prometheus writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Which nodes show a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Every node with a pipeline that has done a slot, and an address for HTTP.
    Always,
    /// Nodes of a cluster.
    Cluster,
    /// Nodes of a cluster that has other regions.
    Regions,
    /// No node: `orrery backup --metrics` writes it to a file.
    Backup,
    /// Whoever has had the occasion: a failure, a reader, a certificate.
    Sometimes,
}

impl Shown {
    /// As `orrery inspect metrics` prints it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Cluster => "in a cluster",
            Self::Regions => "with other regions",
            Self::Backup => "of a backup",
            Self::Sometimes => "sometimes",
        }
    }
}

/// The declaration of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// `orrery_<stage>_<noun>_<unit>[_total]`.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// What is counted or measured: `ledgers`, `bytes`, `seconds`; `unix seconds` are since 1970 (UTC), `1` is yes, 0 no.
    pub unit: &'static str,
    /// Names of its labels, in no order. Their values are few: never an account, a contract or a hash.
    pub labels: &'static [&'static str],
    /// Who shows it.
    pub shown: Shown,
    /// What it says.
    pub help: &'static str,
}

impl Metric {
    /// One that only grows.
    pub const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Counter, unit, labels: &[], shown: Shown::Always, help }
    }

    /// One that moves either way.
    pub const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { kind: MetricKind::Gauge, ..Self::counter(name, unit, help) }
    }

    /// A distribution.
    pub const fn histogram(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { kind: MetricKind::Histogram, ..Self::counter(name, unit, help) }
    }

    /// The same with these labels.
    #[must_use]
    pub const fn of(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }

    /// The same, shown by some nodes only.
    #[must_use]
    pub const fn shown(self, shown: Shown) -> Self {
        Self { shown, ..self }
    }

    /// Tells a recorder what it is.
    pub fn describe(&self) {
        match self.kind {
            MetricKind::Counter => metrics::describe_counter!(self.name, self.help),
            MetricKind::Gauge => metrics::describe_gauge!(self.name, self.help),
            MetricKind::Histogram => metrics::describe_histogram!(self.name, self.help),
        }
    }
}
