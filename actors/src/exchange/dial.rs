//! A connection of HTTP/2 over a stream that somebody else has opened, and proven the other end of.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};
use hyper_util::rt::TokioIo;
use orrery_supervisor::{ErrorClass, ExitError};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::codegen::{Service, http::Uri};
use tonic::transport::{Channel, Endpoint};

use super::service::tuned_endpoint;

/// Never resolved: the dialler knows where the node is.
const NOWHERE: &str = "http://node.invalid";

/// Opens a stream to the node.
pub type Dial<S> = Arc<dyn Fn() -> BoxFuture<'static, io::Result<S>> + Send + Sync>;

struct Dialler<S>(Dial<S>);

impl<S> Service<Uri> for Dialler<S>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Response = TokioIo<S>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<S>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        (self.0)().map_ok(TokioIo::new).boxed()
    }
}

/// A connection to `node` over streams of `dial`, which is called again when a stream has broken.
///
/// # Errors
///
/// The first stream cannot be opened.
pub async fn channel_over<S>(node: &str, dial: Dial<S>) -> Result<Channel, ExitError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let away = |error: &dyn fmt::Display| {
        ExitError::new(ErrorClass::Unavailable, format!("node {node} cannot be reached: {error}"))
    };
    let endpoint = tuned_endpoint(Endpoint::from_static(NOWHERE));
    endpoint.connect_with_connector(Dialler(dial)).await.map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        away(&cause.unwrap_or_else(|| error.to_string()))
    })
}
