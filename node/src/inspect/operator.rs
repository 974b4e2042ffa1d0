//! A client of a cluster: `DoAction` of Arrow Flight at one of its nodes.

use std::error::Error;
use std::time::Duration;

use arrow_flight::Action;
use arrow_flight::flight_service_client::FlightServiceClient;
use futures::TryStreamExt;
use orrery_supervisor::cluster::NodeName;
use orrery_supervisor::cluster::certificates::{Credentials, Purpose};
use orrery_supervisor::cluster::transport::DialError;
use serde_json::Value;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::plain::{plain, plain_value};
use crate::cli::ProofOfWho;
use crate::cluster::channel;
use crate::exit::Failure;

/// A node asks all others before it answers, each within two seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);

/// Trees of some dozen nodes, each as large as a call between nodes may be.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Name of whoever asks without certificates.
const NOBODY: &str = "operator";

/// One connection to a cluster.
#[derive(Clone)]
pub(crate) struct Operator {
    address: String,
    client: FlightServiceClient<Channel>,
}

/// How a command proves who it is.
///
/// # Errors
///
/// Nothing was said about it, or what was said makes no sense.
pub(crate) fn credentials(proof: &ProofOfWho) -> Result<Credentials, Failure> {
    match &proof.certificates {
        Some(folder) => Credentials::load(folder).map_err(crate::commands::certs::failure),
        None if proof.insecure_loopback => {
            let name: NodeName = NOBODY.parse().map_err(|_| Failure::Bug("a name that is none".to_owned()))?;
            Credentials::insecure_loopback(&name, Purpose::Operator).map_err(crate::commands::certs::failure)
        }
        None => Err(Failure::Usage(
            "--cluster: say who asks: --certificates DIR, which `orrery certs issue NAME --operator` makes, or \
             --insecure-loopback for nodes on this machine that run with it"
                .to_owned(),
        )),
    }
}

impl Operator {
    /// Connects to the node that listens at `HOST:PORT`, whichever it is.
    ///
    /// # Errors
    ///
    /// Nobody is there, or not a node of the cluster that the certificates are of.
    pub(crate) async fn connect(address: &str, credentials: &Credentials) -> Result<Self, Failure> {
        check_address(address)?;
        let channel = channel(address.to_owned(), credentials, None).await;
        let channel = channel.map_err(|error| unreachable(&error))?;
        let client = FlightServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
        Ok(Self { address: address.to_owned(), client })
    }

    /// Asks for an action; the answer is plain text throughout.
    ///
    /// # Errors
    ///
    /// What the node refuses, or that it does not answer.
    pub(crate) async fn act(&self, action: &str, body: &Value) -> Result<Value, ActError> {
        let body = match body {
            Value::Null => Vec::new(),
            body => serde_json::to_vec(body).map_err(|error| said(Failure::Bug(error.to_string())))?,
        };
        let asked = Action { r#type: action.to_owned(), body: body.into() };
        let mut client = self.client.clone();
        let answered = async {
            let mut answers = client.do_action(asked).await?.into_inner();
            answers.try_next().await?.ok_or_else(|| Status::internal("it answers nothing"))
        };
        let answer = tokio::time::timeout(ANSWER_WITHIN, answered).await.map_err(|_| ActError {
            failure: Failure::Unavailable(format!("{}: no answer within {ANSWER_WITHIN:?}", self.address)),
            is_lost: true,
        })?;
        let answer = answer.map_err(|status| self.refused(&status))?;
        let value = serde_json::from_slice(&answer.body);
        value.map(plain_value).map_err(|error| {
            said(Failure::Unavailable(format!("{}: the answer cannot be read: {error}", self.address)))
        })
    }

    fn refused(&self, status: &Status) -> ActError {
        let (address, message) = (&self.address, plain(status.message()));
        match status.code() {
            Code::NotFound | Code::InvalidArgument | Code::FailedPrecondition => {
                said(Failure::CheckFailed(message))
            }
            Code::Unauthenticated | Code::PermissionDenied => {
                said(Failure::Configuration(format!("{address}: refused: {message}")))
            }
            _ => match ended_by(status) {
                Some(alert) => said(Failure::Configuration(format!(
                    "{address}: the node refuses the certificate: {alert}; is it of this cluster's authority, and still valid?"
                ))),
                // What a node says itself has no cause on this side.
                None if status.source().is_none() => said(Failure::Unavailable(message)),
                None => ActError {
                    failure: Failure::Unavailable(format!("{address}: the connection ended: {message}")),
                    is_lost: true,
                },
            },
        }
    }
}

/// Why there is no answer.
pub(crate) struct ActError {
    failure: Failure,
    /// The connection is of no more use; another may be.
    pub(super) is_lost: bool,
}

impl From<ActError> for Failure {
    fn from(error: ActError) -> Self {
        error.failure
    }
}

fn said(failure: Failure) -> ActError {
    ActError { failure, is_lost: false }
}

/// What the node said about the certificate when it closed the connection: TLS 1.3 lets a client speak before that.
fn ended_by(status: &Status) -> Option<String> {
    let mut cause = status.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if text.contains("received fatal alert") {
            return Some(plain(&text));
        }
        cause = error.source();
    }
    None
}

fn check_address(address: &str) -> Result<(), Failure> {
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match port.and_then(|(_, port)| port.parse().ok()) {
        Some(1_u16..) => Ok(()),
        Some(0) | None => {
            Err(Failure::Usage(format!("--cluster: `{address}`: give HOST:PORT, as 10.0.0.4:7100")))
        }
    }
}

fn unreachable(error: &DialError) -> Failure {
    let said = plain(&error.to_string());
    match error {
        DialError::Insecure { .. } => Failure::Usage(said),
        DialError::Tls { .. } | DialError::WrongPeer { .. } => Failure::Configuration(said),
        DialError::Connect { .. } => {
            Failure::Unavailable(format!("{said}; give the --listen address of a node that runs"))
        }
        DialError::Resolve { .. } | DialError::TimedOut { .. } | DialError::Unfit { .. } => {
            Failure::Unavailable(said)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_host_and_a_port() {
        let check =
            |address: &str, is_good: bool| assert_eq!(check_address(address).is_ok(), is_good, "{address}");
        check("127.0.0.1:7100", true);
        check("[::1]:7100", true);
        check("orrery-0.internal:1", true);
        check("orrery-0", false);
        check("host:0", false);
        check(":7100", false);
        check("host:port", false);
    }
}
