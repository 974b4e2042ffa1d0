//! Who may call what, as a file that people read: `ops/security/routes.md`, made from the tables that requests are answered by.
//! `ORRERY_UPDATE_GOLDEN=1` writes it anew. `node/tests/e2e/routes.rs` asks a running node whether it is so.

use std::fs;
use std::path::Path;

use metrics_exporter_prometheus::PrometheusBuilder;

use super::access::{Access, Role};
use super::flight::methods::METHODS;
use super::router::Endpoint;
use super::{Api, Feed, ServeSettings, admin, public};
use crate::audit::Audit;
use crate::config::Config;
use crate::readiness::Readiness;
use crate::settings::Settings;

const HEAD: &str = "\
# Who may call what

Every route of a node, and what it answers to whom: `yes` is an answer as asked, a number is the status of the refusal. Made
from the tables that requests are answered by (`ORRERY_UPDATE_GOLDEN=1 cargo test --workspace routes`); a test asks a running
node for each cell of HTTP. A route that does not say who may call it does not compile.

- Nobody: without a token, where `http.anonymous` is `nobody`. With `viewer`, and with `loopback` (the default) on the node's own
  machine, nobody is a viewer.
- Unknown: with a token that the node does not know. It is never taken for nobody.
- A page of another origin than the node's and those in `http.origins` is refused with 403 whatever its token is, but for open routes.
- gRPC: 401 is `UNAUTHENTICATED`, 403 is `PERMISSION_DENIED`.
- Listener: `http` is `node.http`, for everybody; `admin` is `node.admin`, for the operator's own machines. `/metrics` is at `node.http`
  only if that is a loopback address and there is no `node.admin`.

| protocol | listener | route | role | nobody | unknown | viewer | operator | admin |
|---|---|---|---|---|---|---|---|---|
";

/// One route, of whatever protocol.
struct Row {
    protocol: &'static str,
    listener: &'static str,
    name: String,
    access: Access,
}

impl Row {
    fn http(listener: &'static str, endpoint: &Endpoint) -> Self {
        let name = format!("{} {}", endpoint.method, endpoint.path);
        Self { protocol: "HTTP", listener, name, access: endpoint.access }
    }

    fn line(&self) -> String {
        let Self { protocol, listener, name, access } = self;
        let answer = |role: Option<Role>| match access {
            Access::Open => "yes",
            Access::Of(needed) if role >= Some(*needed) => "yes",
            Access::Of(_) if role.is_some() => "403",
            Access::Of(_) => "401",
        };
        let role = match access {
            Access::Open => "open".to_owned(),
            Access::Of(role) => role.to_string(),
        };
        let given = [None, None, Some(Role::Viewer), Some(Role::Operator), Some(Role::Admin)].map(answer);
        format!("| {protocol} | {listener} | `{name}` | {role} | {} |\n", given.join(" | "))
    }
}

/// Of a node with both listeners.
fn rows() -> Vec<Row> {
    let mut config = Config::default();
    config.source.urls = vec!["synthetic:?ledgers=1".to_owned()];
    config.dataset.url = "memory://".to_owned();
    config.node.http = "127.0.0.1:1".to_owned();
    config.node.admin = "127.0.0.1:2".to_owned();
    let settings = Settings::new(&config).unwrap();
    let readiness = Readiness::new(&settings);
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let home = tempfile::tempdir().unwrap();
    let api = Api::new(readiness.clone(), metrics, Audit::new(home.path()));
    let settings = ServeSettings::new(&settings);
    let feed = Feed::new(readiness.feed.clone(), settings.readers());
    let (of_all, of_operators) = (public(&settings, &api, &feed), admin(&api));
    let rows = of_all.iter().map(|endpoint| Row::http("http", endpoint));
    let grpc = METHODS.iter().map(|method| Row {
        protocol: "gRPC",
        listener: "http",
        name: method.path.to_owned(),
        access: method.access,
    });
    rows.chain(grpc).chain(of_operators.iter().map(|endpoint| Row::http("admin", endpoint))).collect()
}

#[test]
fn the_file_of_routes_is_as_the_routes_are() {
    let lines: String = rows().iter().map(Row::line).collect();
    let made = format!("{HEAD}{lines}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops/security/routes.md");
    if std::env::var_os("ORRERY_UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &made).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap();
    assert!(
        found == made,
        "routes have changed: look at the difference, and run with ORRERY_UPDATE_GOLDEN=1"
    );
}

/// Whatever changes something is for operators at least, and is never asked for with GET. What only looks, but costs the node
/// time for seconds, is for operators too.
#[test]
fn what_changes_something_is_a_post_for_operators() {
    for row in rows() {
        if row.protocol == "gRPC" {
            // Nothing is changed over gRPC.
            assert!(matches!(row.access, Access::Open | Access::Of(Role::Viewer)), "{}", row.name);
            continue;
        }
        let is_get = row.name.starts_with("GET ") && !row.name.starts_with("GET /debug/");
        let is_for_operators = matches!(row.access, Access::Of(Role::Operator | Role::Admin));
        assert!(is_get != is_for_operators, "{}", row.name);
    }
}
