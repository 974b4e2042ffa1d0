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

/// Windows of HTTP/2 for what one region receives of another: smaller ones leave a long link idle, larger ones hold more in
/// memory.
const LONG_HAUL_STREAM_BYTES: u32 = 16 << 20;
const LONG_HAUL_CONNECTION_BYTES: u32 = 32 << 20;

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
    connect(node, tuned_endpoint(Endpoint::from_static(NOWHERE)), dial).await
}

/// As [`channel_over`], for a link of 1 Gbit/s on which an answer takes 100 ms: 12.5 MB are under way there.
///
/// # Errors
///
/// The first stream cannot be opened.
pub async fn long_haul_channel_over<S>(node: &str, dial: Dial<S>) -> Result<Channel, ExitError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let endpoint = tuned_endpoint(Endpoint::from_static(NOWHERE))
        .initial_stream_window_size(LONG_HAUL_STREAM_BYTES)
        .initial_connection_window_size(LONG_HAUL_CONNECTION_BYTES);
    connect(node, endpoint, dial).await
}

async fn connect<S>(node: &str, endpoint: Endpoint, dial: Dial<S>) -> Result<Channel, ExitError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let away = |error: &dyn fmt::Display| {
        ExitError::new(ErrorClass::Unavailable, format!("node {node} cannot be reached: {error}"))
    };
    endpoint.connect_with_connector(Dialler(dial)).await.map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        away(&cause.unwrap_or_else(|| error.to_string()))
    })
}
