//! Who is asked: a cluster through one of its nodes, or the node that uses a data directory on this machine.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::operator::{Operator, credentials};
use super::plain::{plain, plain_value};
use super::snapshot::Snapshot;
use crate::cli::TargetArgs;
use crate::commands::asked::Asked;
use crate::control::{self, Request};
use crate::exit::Failure;

/// Whoever is asked.
pub(crate) enum Target {
    /// A cluster.
    Cluster(Operator),
    /// The node with this data directory.
    Node(PathBuf),
}

impl Target {
    /// Connects, if it is a cluster.
    ///
    /// # Errors
    ///
    /// Those of [`Operator::connect`], or of the configuration.
    pub(crate) async fn new(args: &TargetArgs) -> Result<Self, Failure> {
        match &args.cluster.cluster {
            Some(address) => {
                let credentials = credentials(&args.cluster.proof)?;
                Ok(Self::Cluster(Operator::connect(address, &credentials).await?))
            }
            None => Ok(Self::Node(Asked::new(&args.node)?.data_dir().to_owned())),
        }
    }

    /// Everything that can be seen now.
    ///
    /// # Errors
    ///
    /// There is no answer.
    pub(crate) async fn look(&self) -> Result<Snapshot, Failure> {
        let answer = match self {
            Self::Cluster(cluster) => cluster.act("tree", &Value::Null).await?,
            Self::Node(data_dir) => {
                let mut node = ask(data_dir, &Request::Status).await?;
                node["state"] = json!("alone");
                json!({ "nodes": [node] })
            }
        };
        let read = serde_json::from_value(answer);
        read.map_err(|error| {
            Failure::Unavailable(format!("the answer cannot be read: {}", plain(&error.to_string())))
        })
    }

    /// Names of the nodes that are there, with their incarnations.
    ///
    /// # Errors
    ///
    /// There is no answer.
    pub(crate) async fn nodes(&self) -> Result<Vec<(String, u64)>, Failure> {
        match self {
            Self::Cluster(cluster) => {
                let answer = cluster.act("nodes", &Value::Null).await?;
                let nodes = answer["nodes"].as_array().cloned().unwrap_or_default();
                let named = nodes.iter().filter_map(|node| {
                    Some((node["name"].as_str()?.to_owned(), node["incarnation"].as_u64().unwrap_or(0)))
                });
                Ok(named.collect())
            }
            Self::Node(_) => {
                let snapshot = self.look().await?;
                Ok(snapshot.nodes.into_iter().map(|node| (node.name, node.incarnation)).collect())
            }
        }
    }

    /// What supervisors of a node restarted, newest last.
    ///
    /// # Errors
    ///
    /// There is no answer, or no such node.
    pub(crate) async fn restarts(&self, node: &str, last: usize) -> Result<Value, Failure> {
        match self {
            Self::Cluster(cluster) => cluster.act("restarts", &json!({ "node": node, "last": last })).await,
            Self::Node(data_dir) => ask(data_dir, &Request::Restarts { last }).await,
        }
    }

    /// Log lines of a node after this number.
    ///
    /// # Errors
    ///
    /// There is no answer, or no such node.
    pub(crate) async fn logs(&self, node: &str, after: u64) -> Result<Value, Failure> {
        match self {
            Self::Cluster(cluster) => cluster.act("logs", &json!({ "node": node, "after": after })).await,
            Self::Node(data_dir) => ask(data_dir, &Request::Logs { after }).await,
        }
    }
}

async fn ask(data_dir: &std::path::Path, request: &Request) -> Result<Value, Failure> {
    match control::ask(data_dir, request).await? {
        Some(answer) => Ok(plain_value(answer)),
        None => Err(Failure::Unavailable(format!(
            "{}: no node runs here: give --data-dir, or --cluster HOST:PORT",
            data_dir.display()
        ))),
    }
}
