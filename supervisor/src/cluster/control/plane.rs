//! Asking other nodes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ractor::rpc::CallResult;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::sync::Semaphore;

use super::envelope::{self, CALL_BYTES_MAX, Refusal, Request, Unsendable};
use super::gateway::{CALL_TIME_MAX, Gateway, GatewayMessage, Handler, gateways};
use crate::child_spec::ChildSpec;
use crate::cluster::links::Links;
use crate::cluster::name::{NodeIdentity, NodeName};

/// Calls of this node that wait for their answers, to all peers together: bounds what lies in ractor_cluster's queues.
pub const CALLS_AWAITED_MAX: usize = 128;

/// Why a call has no answer. Whether it was done is not known, unless it was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CallError {
    /// There is no link, or the peer's gateway has not told itself yet.
    #[error("node `{peer}` is not linked; see its address and its certificate")]
    NotLinked {
        /// Who was called.
        peer: NodeName,
    },
    /// The link ended while the call was out.
    #[error("the link to node `{peer}` ended before it answered")]
    LinkLost {
        /// Who was called.
        peer: NodeName,
    },
    /// No answer in time.
    #[error("node `{peer}` did not answer within {after:?}")]
    TimedOut {
        /// Who was called.
        peer: NodeName,
        /// The limit.
        after: Duration,
    },
    /// The callee refused.
    #[error("node `{peer}`: {refusal}")]
    Refused {
        /// Who was called.
        peer: NodeName,
        /// Why.
        refusal: Refusal,
    },
    /// The request does not fit a link, and was not sent.
    #[error("a request of {bytes} bytes is above the limit of {CALL_BYTES_MAX}; ask in parts")]
    TooLarge {
        /// Of the body.
        bytes: usize,
    },
    /// The request's kind is too long, and was not sent.
    #[error("the kind of a request has {bytes} bytes; 64 are the most")]
    KindTooLong {
        /// Of the kind.
        bytes: usize,
    },
    /// This node awaits as many answers as it may.
    #[error("{CALLS_AWAITED_MAX} calls wait for their answers, which is the limit; call again later")]
    TooMany,
    /// The answer is none.
    #[error("the answer of node `{peer}` cannot be read: {detail}")]
    Unreadable {
        /// Who was called.
        peer: NodeName,
        /// What is wrong with it.
        detail: String,
    },
}

/// Calls to and from other nodes. Cheap to clone; works while [`Self::child`] and [`Links::child`] run.
#[derive(Clone)]
pub struct ControlPlane {
    links: Links,
    handler: Handler,
    awaited: Arc<Semaphore>,
    next: Arc<AtomicU64>,
}

impl ControlPlane {
    /// Nothing runs yet. `handler` answers what others ask.
    pub fn new(links: Links, handler: Handler) -> Self {
        let awaited = Arc::new(Semaphore::new(CALLS_AWAITED_MAX));
        Self { links, handler, awaited, next: Arc::default() }
    }

    /// The child that answers: this node's gateway. Independent of the links; start it before or after them.
    pub fn child(&self) -> ChildSpec {
        let handler = Arc::clone(&self.handler);
        ChildSpec::worker("gateway", move |_| Ok((Gateway { handler: Arc::clone(&handler) }, ())))
    }

    /// The links below.
    pub const fn links(&self) -> &Links {
        &self.links
    }

    /// Peers that can be called now, with their present lives.
    pub fn peers(&self) -> BTreeMap<NodeName, NodeIdentity> {
        let gateways = gateways();
        let linked = self.links.all_linked().into_iter();
        let linked = linked.filter(|(_, linked)| gateways.contains_key(&Some(linked.node_id)));
        linked.map(|(name, linked)| (name, linked.identity)).collect()
    }

    /// Asks a node, which may be this one, and waits for its answer at most `timeout`.
    ///
    /// # Errors
    ///
    /// There is no answer, and why. The call may have been done all the same, unless it was refused or not sent.
    pub async fn call(
        &self,
        peer: &NodeName,
        request: Request,
        timeout: Duration,
    ) -> Result<Bytes, CallError> {
        let _awaited = self.awaited.try_acquire().map_err(|_| CallError::TooMany)?;
        let after = timeout.min(CALL_TIME_MAX);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let from = self.links.identity().to_string();
        let request =
            envelope::write_request(id, &from, &request).map_err(|unsendable| match unsendable {
                Unsendable::Body(bytes) => CallError::TooLarge { bytes },
                Unsendable::Kind(bytes) => CallError::KindTooLong { bytes },
            })?;
        let not_linked = || CallError::NotLinked { peer: peer.clone() };
        let node = if *peer == self.links.identity().name {
            None
        } else {
            Some(self.links.linked(peer).ok_or_else(not_linked)?.node_id)
        };
        let gateway = gateways().remove(&node).ok_or_else(not_linked)?;
        let called = gateway.call(|reply| GatewayMessage { request, reply }, Some(after)).await;
        let answer = match called {
            Ok(CallResult::Success(answer)) => answer,
            Ok(CallResult::Timeout) => return Err(CallError::TimedOut { peer: peer.clone(), after }),
            Ok(CallResult::SenderError) => return Err(CallError::LinkLost { peer: peer.clone() }),
            Err(_) => return Err(not_linked()),
        };
        let answer = envelope::read_answer(answer)
            .map_err(|detail| CallError::Unreadable { peer: peer.clone(), detail })?;
        answer.map_err(|refusal| CallError::Refused { peer: peer.clone(), refusal })
    }

    /// As [`Self::call`], with question and answer as JSON.
    ///
    /// # Errors
    ///
    /// As [`Self::call`], and if the answer is not what is expected.
    pub async fn call_json<Q: Serialize + Sync, A: DeserializeOwned>(
        &self,
        peer: &NodeName,
        kind: &str,
        question: &Q,
        timeout: Duration,
    ) -> Result<A, CallError> {
        let unreadable = |error: serde_json::Error| CallError::Unreadable {
            peer: peer.clone(),
            detail: error.to_string(),
        };
        let body = serde_json::to_vec(question).map_err(unreadable)?;
        let answer = self.call(peer, Request::new(kind, body), timeout).await?;
        serde_json::from_slice(&answer).map_err(unreadable)
    }
}

impl fmt::Debug for ControlPlane {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ControlPlane").field("links", &self.links).finish_non_exhaustive()
    }
}
