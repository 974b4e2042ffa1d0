//! Every metric that a node shows: its own, and those of the crates below. `orrery inspect metrics` prints them; what
//! `ops/monitoring` asks for is held against them, and so is what a running node shows (`node/tests/ops`).

use orrery_actors::metrics;
use orrery_supervisor::cluster::{certificates, membership};
use orrery_supervisor::{Metric, Shown};

use crate::collector::LOST_SPANS;

pub(crate) const BUILD_INFO: &str = "orrery_build_info";
pub(crate) const READY: &str = "orrery_node_ready";
pub(crate) const UNREADY: &str = "orrery_node_unready";
pub(crate) const WARNINGS: &str = "orrery_node_warnings";
pub(crate) const NODE_TRAFFIC: &str = "orrery_node_traffic";
pub(crate) const DISK_FREE: &str = "orrery_disk_free_bytes";
pub(crate) const DISK_SIZE: &str = "orrery_disk_size_bytes";
pub(crate) const CPU_SECONDS: &str = "process_cpu_seconds_total";
pub(crate) const RESIDENT: &str = "process_resident_memory_bytes";
pub(crate) const VIRTUAL: &str = "process_virtual_memory_bytes";
pub(crate) const OPEN_FILES: &str = "process_open_fds";
pub(crate) const OPEN_FILES_MAX: &str = "process_max_fds";
pub(crate) const THREADS: &str = "process_threads";
pub(crate) const STARTED: &str = "process_start_time_seconds";
pub(crate) const RESTARTS: &str = "orrery_supervisor_restarts_total";
pub(crate) const ESCALATIONS: &str = "orrery_supervisor_escalations_total";
pub(crate) const RESTARTS_IN_WINDOW: &str = "orrery_supervisor_restarts_in_window";
pub(crate) const ACTORS: &str = "orrery_supervisor_actors";
pub(crate) const MAILBOX: &str = "orrery_supervisor_mailbox_messages";
pub(crate) const PARKED: &str = "orrery_pipeline_parked";
pub(crate) const MEMBERS: &str = "orrery_cluster_members";
pub(crate) const COORDINATES: &str = "orrery_coordinator_active";
pub(crate) const MISSING_ROLES: &str = "orrery_coordinator_missing_roles";
pub(crate) const CONCERNS: &str = "orrery_coordinator_concerns";
pub(crate) const TRAFFIC: &str = "orrery_region_traffic";
pub(crate) const HEALTHY: &str = "orrery_region_healthy";
pub(crate) const SHARE: &str = "orrery_region_traffic_share";
pub(crate) const ONLY_HERE: &str = "orrery_region_only_here_ledgers";
pub(crate) const EQUAL_SLOT: &str = "orrery_region_equal_slot";
pub(crate) const HTTP_REQUESTS: &str = "orrery_http_requests_total";
pub(crate) const GRPC_REQUESTS: &str = "orrery_grpc_requests_total";
pub(crate) const HTTP_SECONDS: &str = "orrery_http_request_seconds";
pub(crate) const HTTP_CONNECTIONS: &str = "orrery_http_connections";
pub(crate) const HTTP_TURNED_AWAY: &str = "orrery_http_turned_away_total";
pub(crate) const HTTP_EXPIRY: &str = "orrery_http_certificate_expiry_seconds";
pub(crate) const AUDITED: &str = "orrery_audit_notes_total";

/// How peer regions stand, in the order in which `set_regions` gives values.
pub(crate) const REGION_METRICS: [Metric; 6] = [
    region(
        "orrery_region_lag_ledgers",
        "ledgers",
        "Ledgers that a peer region has durable and this one has not; negative if it is behind.",
    ),
    region(
        "orrery_region_lag_seconds",
        "seconds",
        "Close time of a peer region's newest durable ledger less that of this region's.",
    ),
    region(
        "orrery_region_heard_seconds",
        "seconds",
        "Seconds since a peer region was heard; none before it was.",
    ),
    region("orrery_region_equal", "1", "1 while all that this region and a peer region both have is equal."),
    region(
        "orrery_region_copied_bytes",
        "bytes",
        "Bytes of slots and files copied from a peer region, since its replicator began.",
    ),
    region(
        "orrery_region_differences",
        "slots",
        "Slots that were found to differ from a peer region's, since its replicator began.",
    ),
];

const fn region(name: &'static str, unit: &'static str, help: &'static str) -> Metric {
    Metric::gauge(name, unit, help).of(&["region"]).shown(Shown::Regions)
}

/// What `orrery backup --metrics` writes of the newest backup.
pub(crate) const BACKUP: [Metric; 4] = [
    backup("orrery_backup_last_ledger", "ledger", "Newest ledger of the backup."),
    backup(
        "orrery_backup_last_closed_at_seconds",
        "unix seconds",
        "Close time of the newest ledger of the backup, since 1970.",
    ),
    backup("orrery_backup_copied_bytes", "bytes", "Bytes that the last backup copied."),
    backup("orrery_backup_rows", "rows", "Rows of the backup."),
];

const fn backup(name: &'static str, unit: &'static str, help: &'static str) -> Metric {
    Metric::gauge(name, unit, help).of(&["table"]).shown(Shown::Backup)
}

/// Those of the node itself.
const OWN: [Metric; 38] = [
    Metric::gauge(BUILD_INFO, "1", "1, with the version as a label.").of(&["version"]),
    Metric::gauge(READY, "1", "1 while /readyz answers 200."),
    Metric::gauge(UNREADY, "1", "1 while the node is not ready for this reason, as /readyz gives it.").of(&["reason"]),
    Metric::gauge(WARNINGS, "warnings", "What a person should see to though the node does its work: see /readyz."),
    Metric::gauge(NODE_TRAFFIC, "1", "1 while /healthz/traffic answers 200."),
    Metric::gauge(DISK_FREE, "bytes", "Free on the disk of the node's state, or of a dataset in a folder.").of(&["volume"]),
    Metric::gauge(DISK_SIZE, "bytes", "Size of that disk.").of(&["volume"]),
    Metric::counter(CPU_SECONDS, "seconds", "User and system time that the process spent."),
    Metric::gauge(RESIDENT, "bytes", "Memory of the process that is in RAM."),
    Metric::gauge(VIRTUAL, "bytes", "Address space of the process."),
    Metric::gauge(OPEN_FILES, "files", "File descriptors of the process that are open."),
    Metric::gauge(OPEN_FILES_MAX, "files", "File descriptors that the process may open."),
    Metric::gauge(THREADS, "threads", "Threads of the process."),
    Metric::gauge(STARTED, "unix seconds", "When the process started, in seconds since 1970 (UTC)."),
    Metric::counter(RESTARTS, "restarts", "Restarts of actors, by supervisor, child and why.")
        .of(&["supervisor", "child", "kind"])
        .shown(Shown::Sometimes),
    Metric::counter(ESCALATIONS, "failures", "Failures that a supervisor gave up on and handed to its own.")
        .of(&["supervisor"])
        .shown(Shown::Sometimes),
    Metric::gauge(RESTARTS_IN_WINDOW, "restarts", "Restarts that count now; one more than its intensity, and a supervisor gives up.")
        .of(&["supervisor"]),
    Metric::gauge(ACTORS, "actors", "Actors by state: starting, running, restarting, stopping, parked, ended.").of(&["state"]),
    Metric::gauge(MAILBOX, "messages", "Messages that wait at actors of this name, those in work included.").of(&["actor"]),
    Metric::gauge(PARKED, "1", "1 while a pipeline is parked and waits for a person.").of(&["pipeline"]),
    Metric::gauge(MEMBERS, "nodes", "Nodes of the cluster that this node knows, itself among them, by what it thinks of them.")
        .of(&["state"])
        .shown(Shown::Cluster),
    Metric::gauge(COORDINATES, "1", "1 while this node is the active coordinator.").shown(Shown::Cluster),
    Metric::gauge(CONCERNS, "concerns", "What the active coordinator wants a person to know: see orrery nodes.").shown(Shown::Cluster),
    Metric::gauge(MISSING_ROLES, "1", "1 while ledgers wait because no node that is ready has this role, as the active coordinator sees it.")
        .of(&["role"])
        .shown(Shown::Cluster),
    Metric::gauge(TRAFFIC, "1", "1 while a region has traffic, as this region sees it; two may, for a while.")
        .of(&["region"])
        .shown(Shown::Regions),
    Metric::gauge(HEALTHY, "1", "1 while a region is heard, ready and not behind, as this region sees it.")
        .of(&["region"])
        .shown(Shown::Regions),
    Metric::gauge(SHARE, "1", "Share of traffic that belongs to a region by its weight, of those that have traffic: what DNS is to give it.")
        .of(&["region"])
        .shown(Shown::Regions),
    Metric::gauge(ONLY_HERE, "ledgers", "Ledgers durable in this region and in no other one that was heard: in no copy, if this region were lost now.")
        .shown(Shown::Regions),
    Metric::gauge(EQUAL_SLOT, "slot", "Newest slot of a table that is known to be equal in a peer region.")
        .of(&["region", "table"])
        .shown(Shown::Regions),
    Metric::counter(HTTP_REQUESTS, "requests", "Requests answered, by route as the API's description has it, and status.")
        .of(&["method", "route", "status"]),
    Metric::counter(GRPC_REQUESTS, "calls", "Calls over gRPC that are over, by method and the code that the client was told; cancelled where it went before.")
        .of(&["method", "code"])
        .shown(Shown::Sometimes),
    Metric::histogram(HTTP_SECONDS, "seconds", "From when a request's head was read until that of its answer was there.").of(&["route"]),
    Metric::gauge(HTTP_CONNECTIONS, "connections", "Connections over HTTP that are open; those that became a WebSocket are readers of the feed.").of(&["listener"]),
    Metric::counter(HTTP_TURNED_AWAY, "connections", "Connections that were closed at once: their address has too many.").of(&["listener"]),
    Metric::gauge(HTTP_EXPIRY, "unix seconds", "When the certificate of node.http runs out, in seconds since 1970 (UTC).")
        .shown(Shown::Sometimes),
    Metric::counter(AUDITED, "notes", "What operators did (noted), were refused (refused), and what could not be noted (lost).")
        .of(&["outcome"])
        .shown(Shown::Sometimes),
    Metric::counter(LOST_SPANS, "spans", "Spans that are lost because the collector of telemetry.otlp takes none.")
        .shown(Shown::Sometimes),
    Metric::gauge("orrery_telemetry_traces", "1", "1 if telemetry.otlp names a collector."),
];

/// All of them, in the order of their names.
pub(crate) fn all() -> Vec<Metric> {
    let groups: [&[Metric]; 6] =
        [&OWN, &REGION_METRICS, &BACKUP, &metrics::METRICS, &certificates::METRICS, &membership::METRICS];
    let mut all = groups.concat();
    all.sort_unstable_by_key(|metric| metric.name);
    all
}

#[cfg(test)]
mod tests {
    use orrery_supervisor::MetricKind;

    use super::*;

    #[test]
    fn every_metric_is_declared_once_and_named_by_the_rules() {
        let all = all();
        for pair in all.windows(2) {
            assert_ne!(pair[0].name, pair[1].name);
        }
        for Metric { name, kind, unit, help, .. } in all {
            assert!(name.starts_with("orrery_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), kind == MetricKind::Counter, "{name}");
            assert!(help.ends_with('.') && !unit.is_empty(), "{name}");
            assert!(unit != "unix seconds" || name.ends_with("_seconds"), "{name}");
            assert!(unit != "bytes" || name.contains("_bytes"), "{name}");
        }
    }
}
