//! HTTP/1.1 and HTTP/2 at one address: the first bytes of a connection say which. HTTP/2 is what gRPC needs; what is not gRPC
//! is answered over it as over HTTP/1.1.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::MissedTickBehavior;
use tonic::body::Body;
use warp::http::HeaderValue;
use warp::http::header::HOST;
use warp::hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use warp::hyper::server::conn::http2;
use warp::hyper::service::service_fn;
use warp::hyper::{Request, Response};

use super::flight::{Grpc, is_grpc};

/// What a connection in HTTP/2 begins with, and no other.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Streams of a connection. A reader of all endpoints of a range has one for each.
const STREAMS_MAX: u32 = 64;

/// Bytes of requests that may be on their way: they are small.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 128 << 10;

/// Bytes of the headers of a request.
const HEADERS_BYTES_MAX: u32 = 16 << 10;

/// Bytes of an answer that a stream copies ahead of its reader.
const SEND_BYTES_MAX: usize = 64 << 10;

/// Bytes of an answer that a stream is given at once: the protocol keeps them, however little is taken.
const PART_BYTES_MAX: usize = 16 << 10;

/// Streams that a client has given up and that are not forgotten yet: one that begins and gives up streams without end is
/// closed.
const RESETS_MAX: usize = 32;

/// How long a connection may say nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// After so long it is asked whether it lives, and has so long to answer.
    ask_every: Duration,
    answer_within: Duration,
    /// Without a stream it is closed after one to two of these.
    idle: Duration,
    /// A stream that takes nothing of an answer for two to three of these is the end of its connection: other streams and
    /// answers to pings say nothing of it, and what it holds, others wait for.
    takes: Duration,
}

impl Pace {
    /// Of strangers.
    pub(super) const USUAL: Self = Self {
        ask_every: Duration::from_secs(30),
        answer_within: Duration::from_secs(30),
        idle: Duration::from_secs(300),
        // Readers over Flight have two minutes, and are told then.
        takes: Duration::from_secs(60),
    };
}

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// A connection of which a little was read to see what it speaks.
pub(super) struct Begun<S> {
    inner: S,
    first: [u8; PREFACE.len()],
    /// Bytes of `first` that there are, and that were given out.
    length: u8,
    given: u8,
}

impl<S: AsyncRead + Unpin> Begun<S> {
    /// Reads until it is clear what it speaks. Of HTTP/1.1 that is the first read, but for what begins alike.
    ///
    /// # Errors
    ///
    /// It ended before.
    pub(super) async fn new(inner: S) -> io::Result<(Protocol, Self)> {
        let mut begun = Self { inner, first: [0; PREFACE.len()], length: 0, given: 0 };
        loop {
            let from = usize::from(begun.length);
            let read = begun.inner.read(&mut begun.first[from..]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let length = from + read;
            begun.length = u8::try_from(length).unwrap_or(u8::MAX);
            if begun.first[..length] != PREFACE[..length] {
                return Ok((Protocol::Http1, begun));
            }
            if length == PREFACE.len() {
                return Ok((Protocol::Http2, begun));
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (given, length) = (usize::from(self.given), usize::from(self.length));
        if given < length && buffer.remaining() > 0 {
            let part = (length - given).min(buffer.remaining());
            buffer.put_slice(&self.first[given..given + part]);
            self.given += u8::try_from(part).unwrap_or(u8::MAX);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Serves one connection over HTTP/2 until either end closes it, or the node stops: what is not gRPC is answered by `http`.
pub(super) async fn http2<F>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    pace: Pace,
    grpc: Arc<Grpc>,
    http: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
) where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let mut stopping = grpc.stopping();
    let streams = Arc::new(Streams::default());
    let service = service_fn({
        let streams = streams.clone();
        move |mut request: Request<Incoming>| {
            let (grpc, http, stream) = (grpc.clone(), http.clone(), streams.clone());
            async move {
                let answer = if is_grpc(request.method(), request.headers()) {
                    grpc.answer(request, peer).await
                } else {
                    name_host(&mut request);
                    http(request).await
                };
                let untaken = Arc::new(AtomicU32::new(TAKEN));
                stream.add(&untaken);
                Ok::<_, std::convert::Infallible>(answer.map(|body| Counted {
                    body,
                    untaken,
                    rest: Bytes::new(),
                    _streams: stream,
                }))
            }
        }
    });
    let served = bounded(&pace).serve_connection(TokioIo::new(stream), service);
    let mut served = std::pin::pin!(served);
    let mut looks = tokio::time::interval(pace.idle);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut takes = tokio::time::interval(pace.takes);
    takes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut was_idle, mut is_ending, mut endings) = (false, false, 0);
    let ended = loop {
        tokio::select! {
            ended = served.as_mut() => break ended,
            _ = stopping.wait_for(|stopping| *stopping), if !is_ending => is_ending = true,
            _ = takes.tick() => {
                endings += u32::from(is_ending);
                // Of an answer that is all given on the last part may never be taken.
                if streams.are_stuck() || endings > STUCK && Arc::strong_count(&streams) <= 2 {
                    tracing::debug!(%peer, "a stream takes nothing: its connection is closed");
                    return;
                }
            }
            _ = looks.tick(), if !is_ending => {
                // One is the service's own.
                let is_idle = Arc::strong_count(&streams) <= 2;
                is_ending = is_idle && was_idle;
                was_idle = is_idle;
            }
        }
        if is_ending {
            served.as_mut().graceful_shutdown();
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended badly");
    }
}

/// What a connection of HTTP/2 may cost.
fn bounded(pace: &Pace) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .max_send_buf_size(SEND_BYTES_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(RESETS_MAX)
        .keep_alive_interval(pace.ask_every)
        .keep_alive_timeout(pace.answer_within);
    builder
}

/// In HTTP/2 the host stands in the URI, where those who compare it with a page's origin do not look.
fn name_host(request: &mut Request<Incoming>) {
    let authority = request.uri().authority().map(|authority| HeaderValue::from_str(authority.as_str()));
    if let Some(Ok(host)) = authority {
        request.headers_mut().entry(HOST).or_insert(host);
    }
}

/// What a stream's counter says when all that it was given was taken.
const TAKEN: u32 = 0;

/// Looks at a stream after which it is stuck: what it was given last was there at all of them.
const STUCK: u32 = 3;

/// Streams of a connection whose answers are being sent.
#[derive(Default)]
struct Streams(Mutex<Vec<Weak<AtomicU32>>>);

impl Streams {
    fn add(&self, stream: &Arc<AtomicU32>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(stream));
    }

    /// Looks at all of them: whether one still has what it had at the last looks.
    fn are_stuck(&self) -> bool {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        streams.retain(|stream| stream.strong_count() > 0);
        streams.iter().filter_map(Weak::upgrade).any(|untaken| {
            let looks = untaken.load(Ordering::Relaxed);
            looks != TAKEN && untaken.fetch_add(1, Ordering::Relaxed) >= STUCK
        })
    }
}

/// The body of an answer, which counts as a stream until it is sent.
struct Counted {
    body: Body,
    /// [`TAKEN`], or looks at what it has given, and one: it is asked for more when there is room for that.
    untaken: Arc<AtomicU32>,
    /// Given by the body and not yet given on: what is given at once is kept for a reader that takes nothing.
    rest: Bytes,
    _streams: Arc<Streams>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if self.rest.is_empty() {
            self.untaken.store(TAKEN, Ordering::Relaxed);
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                ended => return Poll::Ready(ended),
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        self.untaken.store(1, Ordering::Relaxed);
        let part = self.rest.len().min(PART_BYTES_MAX);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(part)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, DuplexStream};

    use super::*;
    use crate::audit::Audit;
    use crate::readiness::tests::of_nobody;
    use crate::serve::access::Gatekeeper;
    use crate::serve::{AccessSettings, Feed, PlaceLimits};

    /// A client of a connection that is served, after both have said what they agree to.
    async fn served(pace: Pace) -> (DuplexStream, tokio::task::JoinSet<()>) {
        let readiness = of_nobody();
        let feed = Feed::new(readiness.feed.clone(), PlaceLimits { readers_max: 1, per_reader_max: 1 });
        let access = AccessSettings::new(&crate::config::HttpConfig::default()).unwrap();
        let gatekeeper = Gatekeeper::new(&access, &Audit::new(std::path::Path::new("/dev/null/none")));
        let grpc = Grpc::new(&readiness, &feed, &gatekeeper);
        let (mut near, far) = tokio::io::duplex(64 << 10);
        let http = |_| async { Response::new(Body::new(String::from_utf8(vec![b'x'; 1 << 20]).unwrap())) };
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(http2(far, ([127, 0, 0, 1], 1).into(), pace, grpc, http));
        near.write_all(PREFACE).await.unwrap();
        near.write_all(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]).await.unwrap();
        (near, tasks)
    }

    const SETTINGS: u8 = 4;
    const PING: u8 = 6;

    /// Kind and payload of the next frame; `None` at the end.
    async fn frame(near: &mut DuplexStream) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 9];
        near.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        near.read_exact(&mut payload).await.ok()?;
        Some((head[3], payload))
    }

    async fn ping(near: &mut DuplexStream) -> Option<Vec<u8>> {
        loop {
            let (kind, payload) = frame(near).await?;
            if kind == PING {
                return Some(payload);
            }
        }
    }

    /// Answers what it is asked, so often.
    async fn answers(near: &mut DuplexStream, times: u32) {
        for _ in 0..times {
            let asked = ping(near).await.unwrap();
            near.write_all(&[&[0, 0, 8, PING, 1, 0, 0, 0, 0][..], &asked].concat()).await.unwrap();
        }
    }

    const SOON: Duration = Duration::from_millis(20);
    const NEVER: Duration = Duration::from_secs(86_400);

    #[tokio::test]
    async fn a_connection_that_says_nothing_is_asked_whether_it_lives_and_closed_if_not() {
        let (mut near, _tasks) =
            served(Pace { ask_every: SOON, answer_within: NEVER, idle: NEVER, takes: NEVER }).await;
        answers(&mut near, 5).await;
        let (mut near, mut tasks) =
            served(Pace { ask_every: SOON, answer_within: SOON, idle: NEVER, takes: NEVER }).await;
        while frame(&mut near).await.is_some() {}
        tasks.join_next().await.unwrap().unwrap();
    }

    /// GET / at host x: indexed fields of the static table, and an authority.
    const GET: [u8; 15] = [0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84, 0x41, 1, b'x'];

    #[tokio::test]
    async fn a_stream_that_takes_nothing_ends_its_connection_though_that_lives() {
        let (mut near, mut tasks) =
            served(Pace { ask_every: SOON, answer_within: NEVER, idle: NEVER, takes: SOON }).await;
        near.write_all(&GET).await.unwrap();
        // 64 KiB are taken without a word; of more there is none, and pings are answered.
        let (mut given, mut pings) = (0, 0);
        while let Some((kind, payload)) = frame(&mut near).await {
            match kind {
                0 => given += payload.len(),
                PING => {
                    pings += 1;
                    let answer = [&[0, 0, 8, PING, 1, 0, 0, 0, 0][..], &payload].concat();
                    // The connection may end meanwhile.
                    let _ = near.write_all(&answer).await;
                }
                _ => {}
            }
        }
        assert!(given == 65_535 && pings > 0, "{given} bytes, {pings} pings");
        tasks.join_next().await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_connection_without_a_stream_is_told_to_go_though_it_lives() {
        const GOAWAY: u8 = 7;
        let (mut near, mut tasks) =
            served(Pace { ask_every: NEVER, answer_within: NEVER, idle: SOON, takes: NEVER }).await;
        let mut kinds = Vec::new();
        while let Some((kind, payload)) = frame(&mut near).await {
            kinds.push(kind);
            if kind == PING {
                near.write_all(&[&[0, 0, 8, PING, 1, 0, 0, 0, 0][..], &payload].concat()).await.unwrap();
            }
        }
        assert!(kinds.contains(&GOAWAY), "{kinds:?}");
        tasks.join_next().await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn the_first_bytes_say_what_is_spoken_and_none_is_lost() {
        let check = async |sent: &'static [u8], window: usize, expect: Protocol| {
            let (mut near, far) = tokio::io::duplex(window);
            let read = async {
                let (protocol, mut begun) = Begun::new(far).await.unwrap();
                let mut found = Vec::new();
                begun.read_to_end(&mut found).await.unwrap();
                assert_eq!((protocol, &found[..]), (expect, sent), "{window}");
            };
            let write = async {
                near.write_all(sent).await.unwrap();
                drop(near);
            };
            tokio::join!(write, read);
        };
        for window in [1, 3, 24, 1_024] {
            check(b"GET / HTTP/1.1\r\n\r\n", window, Protocol::Http1).await;
            check(b"POST / HTTP/1.1\r\n\r\n", window, Protocol::Http1).await;
            check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r", window, Protocol::Http1).await;
            check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", window, Protocol::Http2).await;
            check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nand more, to the end", window, Protocol::Http2).await;
            check(b"\x16\x03\x01", window, Protocol::Http1).await;
        }
    }

    #[tokio::test]
    async fn a_connection_that_ends_at_once_is_none() {
        let (near, far) = tokio::io::duplex(1);
        drop(near);
        assert!(Begun::new(far).await.is_err());
    }
}
