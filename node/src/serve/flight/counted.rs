//! Calls over gRPC, counted when they are over: by method, and by the code that the client was told.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tonic::body::Body;
use tonic::{Code, Status};
use warp::hyper::Response;
use warp::hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};

use crate::telemetry::requests;

/// A call that is not over.
struct Call {
    method: &'static str,
    /// What was said at the end; none if the client went before.
    code: Option<Code>,
}

impl Drop for Call {
    fn drop(&mut self) {
        requests::called(self.method, word(self.code.unwrap_or(Code::Cancelled)));
    }
}

/// The body of an answer. Its call is over when it is dropped: sent, or given up.
struct Counted {
    body: Body,
    call: Call,
}

/// An answer to a call of this method, which is counted when it is over.
pub(super) fn counted(method: &'static str, answer: Response<Body>) -> Response<Body> {
    // A refusal has its code in the head, and no body.
    let code = Status::from_header_map(answer.headers()).map(|status| status.code());
    let call = Call { method, code };
    answer.map(|body| Body::new(Counted { body, call }))
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let code = match &frame {
            Some(Ok(frame)) => {
                frame.trailers_ref().and_then(Status::from_header_map).map(|status| status.code())
            }
            Some(Err(status)) => Some(status.code()),
            None => None,
        };
        self.call.code = self.call.code.or(code);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A code as a label has it.
const fn word(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use tonic::codegen::http::HeaderMap;
    use warp::hyper::body::Frame;

    use super::*;

    /// A body of one message and these trailers.
    struct Ends(Vec<Frame<Bytes>>);

    impl HttpBody for Ends {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
            Poll::Ready(self.0.pop().map(Ok))
        }
    }

    /// What a call was told after so many frames of its answer.
    async fn told(answer: Response<Body>, frames: usize) -> Option<Code> {
        let mut counted = Counted { body: answer.into_body(), call: Call { method: "none", code: None } };
        for _ in 0..frames {
            let _ = futures::stream::poll_fn(|cx| Pin::new(&mut counted).poll_frame(cx)).next().await;
        }
        counted.call.code
    }

    #[tokio::test]
    async fn a_call_has_the_code_of_its_end_and_none_before() {
        let answer = || {
            let mut trailers = HeaderMap::new();
            Status::out_of_range("gone").add_header(&mut trailers).unwrap();
            let frames = vec![Frame::trailers(trailers), Frame::data(Bytes::from_static(b"rows"))];
            Response::new(Body::new(Ends(frames)))
        };
        assert_eq!(told(answer(), 1).await, None);
        assert_eq!(told(answer(), 2).await, Some(Code::OutOfRange));
        let refused: Response<Body> = Status::unauthenticated("who?").into_http();
        assert_eq!(Status::from_header_map(refused.headers()).unwrap().code(), Code::Unauthenticated);
    }
}
