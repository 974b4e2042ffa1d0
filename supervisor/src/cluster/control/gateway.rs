//! The one actor of a node that others can reach.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use ractor::message::{BoxedDowncastErr, SerializedMessage};
use ractor::{Actor, ActorProcessingErr, ActorRef, Message, RpcReplyPort, pg};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::envelope::{self, Refusal, Traceparent};
use crate::exit::{ErrorClass, ExitError};
use crate::task::{ScopedTask, panicked};

/// Calls that a node works on at once. Memory: this x request and answer, 96 MiB at the very most.
pub const CALLS_IN_WORK_MAX: usize = 64;

/// The longest that a call may last, whatever its caller waits.
pub const CALL_TIME_MAX: Duration = Duration::from_secs(60);

/// Where gateways are found: peers tell each other the members of their groups.
pub(super) const SCOPE: &str = "orrery";
pub(super) const GROUP: &str = "gateway";

/// Name of the one form of message on ractor_cluster's wire.
const VARIANT: &str = "call";

/// A call as its handler gets it.
#[derive(Clone, Debug)]
pub struct Call {
    /// The caller, as name and incarnation. Every node of the cluster is believed here: the link's certificate proves
    /// that it is one, not which.
    pub from: String,
    /// Number of the call in its caller's life, for logs.
    pub id: u64,
    /// Names what the body is.
    pub kind: String,
    /// The question.
    pub body: Bytes,
    /// The caller's span.
    pub traceparent: Option<Traceparent>,
}

/// What a handler says.
pub type Answer = Result<Bytes, Refusal>;

/// Answers calls. Its future is dropped when the caller no longer waits, and must not block.
pub type Handler = Arc<dyn Fn(Call) -> BoxFuture<'static, Answer> + Send + Sync>;

/// A request and where its answer goes, both as bytes. Written by hand: the derived form copies both once more, and
/// drops what it does not know without an answer.
#[derive(Debug)]
pub(super) struct GatewayMessage {
    pub(super) request: Vec<u8>,
    pub(super) reply: RpcReplyPort<Vec<u8>>,
}

impl Message for GatewayMessage {
    fn serializable() -> bool {
        true
    }

    fn serialize(self) -> Result<SerializedMessage, BoxedDowncastErr> {
        let (args, reply) = (self.request, self.reply);
        Ok(SerializedMessage::Call { variant: VARIANT.to_owned(), args, reply, metadata: None })
    }

    fn deserialize(message: SerializedMessage) -> Result<Self, BoxedDowncastErr> {
        match message {
            // Whatever the variant: the envelope says what it is, and gets an answer.
            SerializedMessage::Call { args, reply, .. } => Ok(Self { request: args, reply }),
            SerializedMessage::Cast { .. } | SerializedMessage::CallReply(..) => Err(BoxedDowncastErr),
        }
    }
}

/// A call that was taken on.
struct Taken {
    call: Call,
    reply: RpcReplyPort<Vec<u8>>,
    place: OwnedSemaphorePermit,
}

pub(super) struct Gateway {
    pub(super) handler: Handler,
}

pub(super) struct GatewayState {
    places: Arc<Semaphore>,
    taken: mpsc::Sender<Taken>,
    _worker: ScopedTask,
}

impl Actor for Gateway {
    type Msg = GatewayMessage;
    type State = GatewayState;
    type Arguments = ();

    async fn pre_start(
        &self,
        myself: ActorRef<GatewayMessage>,
        (): (),
    ) -> Result<GatewayState, ActorProcessingErr> {
        // As long as the places: a call that has one always fits.
        let (taken, calls) = mpsc::channel(CALLS_IN_WORK_MAX);
        let worker = ScopedTask::spawn(work(Arc::clone(&self.handler), calls));
        pg::join_scoped(SCOPE.to_owned(), GROUP.to_owned(), vec![myself.get_cell()]);
        Ok(GatewayState { places: Arc::new(Semaphore::new(CALLS_IN_WORK_MAX)), taken, _worker: worker })
    }

    async fn handle(
        &self,
        _: ActorRef<GatewayMessage>,
        GatewayMessage { request, reply }: GatewayMessage,
        state: &mut GatewayState,
    ) -> Result<(), ActorProcessingErr> {
        let Ok(place) = Arc::clone(&state.places).try_acquire_owned() else {
            answer(reply, Err(Refusal::Busy { in_work_max: CALLS_IN_WORK_MAX as u64 }));
            return Ok(());
        };
        match envelope::read_request(request) {
            Err(refusal) => answer(reply, Err(refusal)),
            Ok((header, body)) => {
                let call = Call {
                    from: header.from,
                    id: header.id,
                    kind: header.kind,
                    body,
                    traceparent: header.traceparent,
                };
                state.taken.try_send(Taken { call, reply, place }).map_err(|_| {
                    ExitError::new(ErrorClass::Internal, "the worker behind the gateway ended")
                })?;
            }
        }
        Ok(())
    }
}

/// Works on all calls side by side, in one task: they wait for others far more than they compute.
async fn work(handler: Handler, mut calls: mpsc::Receiver<Taken>) {
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            taken = calls.recv() => match taken {
                Some(taken) => running.push(answered(&handler, taken)),
                None => return,
            },
            Some(()) = running.next(), if !running.is_empty() => {}
        }
    }
}

async fn answered(handler: &Handler, Taken { call, reply, place }: Taken) {
    let limit = reply.get_timeout().map_or(CALL_TIME_MAX, |limit| limit.min(CALL_TIME_MAX));
    let (kind, from) = (call.kind.clone(), call.from.clone());
    let handled = AssertUnwindSafe(async { handler(call).await }).catch_unwind();
    match tokio::time::timeout(limit, handled).await {
        Ok(Ok(said)) => answer(reply, said),
        Ok(Err(panic)) => {
            let error = panicked(panic.as_ref());
            tracing::error!(%kind, %error, "the handler of a call panicked");
            answer(reply, Err(Refusal::failed(error)));
        }
        // Nobody waits for the answer any more.
        Err(_) => tracing::debug!(%kind, %from, ?limit, "a call was not answered in time"),
    }
    drop(place);
}

fn answer(reply: RpcReplyPort<Vec<u8>>, answer: Answer) {
    // The caller may have gone.
    let _ = reply.send(envelope::write_answer(answer));
}

/// The gateways that can be called now: of this node under its own number `None`, of peers under their session's.
pub(super) fn gateways() -> BTreeMap<Option<u64>, ActorRef<GatewayMessage>> {
    let members = pg::get_scoped_members(&SCOPE.to_owned(), &GROUP.to_owned());
    let node_of = |id| match id {
        ractor::ActorId::Local(_) => None,
        ractor::ActorId::Remote { node_id, .. } => Some(node_id),
    };
    members.into_iter().map(|cell| (node_of(cell.get_id()), cell.into())).collect()
}
