//! Questions between nodes: each ends with an answer, a typed refusal, or an error within its time.
//!
//! One actor a node, its gateway, is remotable; nobody else is seen from outside. Calls are envelopes of bytes with a
//! version, a kind and a trace context (`envelope.rs`): what is not understood is answered, never dropped.
//!
//! | bound | value |
//! |---|---|
//! | request and answer | [`CALL_BYTES_MAX`] each, below the frame that a link bears; more is refused before it is sent |
//! | calls in work on a node | [`CALLS_IN_WORK_MAX`]; more are answered with [`Refusal::Busy`] |
//! | calls that a node awaits | [`CALLS_AWAITED_MAX`]; more are refused to the caller |
//! | time of a call | what the caller gives, at most [`CALL_TIME_MAX`]; the work is dropped then |

mod envelope;
mod gateway;
mod plane;

pub use envelope::{CALL_BYTES_MAX, Refusal, Request, Traceparent, VERSION};
pub use gateway::{Answer, CALL_TIME_MAX, CALLS_IN_WORK_MAX, Call, Handler};
pub use plane::{CALLS_AWAITED_MAX, CallError, ControlPlane};
