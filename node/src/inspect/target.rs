//! Who is asked: a cluster through one of its nodes, or the node that uses a data directory on this machine.

use std::path::PathBuf;

use orrery_supervisor::cluster::certificates::Credentials;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::operator::{Operator, credentials};
use super::plain::{plain, plain_value};
use super::snapshot::Snapshot;
use crate::cli::{ProofOfWho, TargetArgs};
use crate::commands::asked::Asked;
use crate::control::{self, Request};
use crate::exit::Failure;

/// Nodes that are tried when the one that was asked is gone: each may take seconds.
const ADDRESSES_MAX: usize = 4;

/// Whoever is asked.
pub(crate) enum Target {
    /// A cluster.
    Cluster(Box<Cluster>),
    /// The node with this data directory.
    Node(PathBuf),
}

/// A cluster, for as long as any of its nodes that were seen answers.
pub(crate) struct Cluster {
    credentials: Credentials,
    /// As given.
    address: String,
    connection: Mutex<Connection>,
}

struct Connection {
    operator: Operator,
    /// Of nodes that were seen last.
    addresses: Vec<String>,
}

impl Cluster {
    /// Connects.
    ///
    /// # Errors
    ///
    /// Those of [`Operator::connect`], or of the certificates.
    pub(crate) async fn new(address: &str, proof: &ProofOfWho) -> Result<Self, Failure> {
        let credentials = credentials(proof)?;
        let operator = Operator::connect(address, &credentials).await?;
        let connection = Mutex::new(Connection { operator, addresses: Vec::new() });
        Ok(Self { credentials, address: address.to_owned(), connection })
    }

    /// Asks for what changes nothing: of another node, if the one that was asked is gone.
    ///
    /// # Errors
    ///
    /// What is refused, or that there is no answer.
    pub(crate) async fn ask(&self, action: &str, body: &Value) -> Result<Value, Failure> {
        let operator = self.connection.lock().await.operator.clone();
        let lost = match operator.act(action, body).await {
            Err(error) if error.is_lost => error,
            answer => return Ok(answer?),
        };
        let mut connection = self.connection.lock().await;
        let addresses = [self.address.clone()].into_iter().chain(connection.addresses.clone());
        for address in addresses {
            if let Ok(operator) = Operator::connect(&address, &self.credentials).await
                && let Ok(answer) = operator.act(action, body).await
            {
                connection.operator = operator;
                return Ok(answer);
            }
        }
        Err(lost.into())
    }

    /// Asks for something to be done: once.
    ///
    /// # Errors
    ///
    /// What is refused, or that there is no answer.
    pub(crate) async fn act(&self, action: &str, body: &Value) -> Result<Value, Failure> {
        let operator = self.connection.lock().await.operator.clone();
        Ok(operator.act(action, body).await?)
    }

    /// What `nodes` or `tree` answers.
    ///
    /// # Errors
    ///
    /// There is no answer.
    pub(crate) async fn look(&self, action: &str) -> Result<Snapshot, Failure> {
        let snapshot = read(self.ask(action, &Value::Null).await?)?;
        let addresses = snapshot.nodes.iter().map(|node| node.address.clone());
        self.connection.lock().await.addresses = addresses.take(ADDRESSES_MAX).collect();
        Ok(snapshot)
    }
}

impl Target {
    /// Connects, if it is a cluster.
    ///
    /// # Errors
    ///
    /// Those of [`Cluster::new`], or of the configuration.
    pub(crate) async fn new(args: &TargetArgs) -> Result<Self, Failure> {
        match &args.cluster.cluster {
            Some(address) => {
                let cluster = Cluster::new(address, &args.cluster.proof).await?;
                Ok(Self::Cluster(Box::new(cluster)))
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
        match self {
            Self::Cluster(cluster) => cluster.look("tree").await,
            Self::Node(data_dir) => {
                let mut node = ask(data_dir, &Request::Status).await?;
                node["state"] = json!("running");
                read(json!({ "nodes": [node] }))
            }
        }
    }

    /// Names of the nodes that are there, with their incarnations.
    ///
    /// # Errors
    ///
    /// There is no answer.
    pub(crate) async fn nodes(&self) -> Result<Vec<(String, u64)>, Failure> {
        let snapshot = match self {
            Self::Cluster(cluster) => cluster.look("nodes").await?,
            Self::Node(_) => self.look().await?,
        };
        Ok(snapshot.nodes.into_iter().map(|node| (node.name, node.incarnation)).collect())
    }

    /// What supervisors of a node restarted, newest last.
    ///
    /// # Errors
    ///
    /// There is no answer, or no such node.
    pub(crate) async fn restarts(&self, node: &str, last: usize) -> Result<Value, Failure> {
        match self {
            Self::Cluster(cluster) => cluster.ask("restarts", &json!({ "node": node, "last": last })).await,
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
            Self::Cluster(cluster) => cluster.ask("logs", &json!({ "node": node, "after": after })).await,
            Self::Node(data_dir) => ask(data_dir, &Request::Logs { after }).await,
        }
    }
}

fn read(answer: Value) -> Result<Snapshot, Failure> {
    serde_json::from_value(answer).map_err(|error| {
        Failure::Unavailable(format!("the answer cannot be read: {}", plain(&error.to_string())))
    })
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
