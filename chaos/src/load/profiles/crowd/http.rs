//! One user's connection to a server that speaks HTTP/1.1, kept from one request to the next as browsers keep theirs.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use orrery_supervisor::{Clock, MonotonicTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::body::{Body, Head};
use crate::load::profiles::tally::Fault;

/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;

/// Bytes of a refusal that are shown.
const SHOWN_BYTES_MAX: usize = 300;

/// How long to wait if a server that is busy does not say how long.
const BUSY_FOR: Duration = Duration::from_secs(1);

/// Where requests go, and in whose name.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) target: SocketAddr,
    /// The user's own address; any, if the server is on another machine.
    pub(super) from: Option<IpAddr>,
    pub(super) token: Option<String>,
}

/// A connection, or none yet.
#[derive(Debug)]
pub(super) struct Http {
    caller: Caller,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

/// An answer that came whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Got {
    /// When the first byte of its content was there.
    pub(super) first_at: MonotonicTime,
    /// Of its content.
    pub(super) bytes: u64,
    /// How often the server asked to come again later.
    pub(super) waits: u64,
}

/// What became of one attempt.
enum Tried {
    Got(Got),
    /// A connection that was kept had ended meanwhile.
    Stale,
    Busy(Duration),
}

impl Http {
    pub(super) fn new(caller: Caller) -> Self {
        Self { caller, stream: None, buffer: Vec::new() }
    }

    /// Asks for a path, and gives what comes to `content`. A server that is busy is asked again when it says.
    pub(super) async fn get(
        &mut self,
        path: &str,
        clock: &dyn Clock,
        mut content: impl FnMut(&[u8]),
    ) -> Result<Got, Fault> {
        let mut waits = 0;
        loop {
            let tried = self.attempt(path, clock, &mut content).await;
            if tried.is_err() {
                self.stream = None;
            }
            match tried? {
                Tried::Got(got) => return Ok(Got { waits, ..got }),
                Tried::Stale => self.stream = None,
                Tried::Busy(time) => {
                    waits += 1;
                    tokio::time::sleep(time).await;
                }
            }
        }
    }

    async fn attempt(
        &mut self,
        path: &str,
        clock: &dyn Clock,
        content: &mut impl FnMut(&[u8]),
    ) -> Result<Tried, Fault> {
        let (mut stream, is_kept) = match self.stream.take() {
            Some(stream) => (stream, true),
            None => (connect(&self.caller).await?, false),
        };
        let token = self.caller.token.as_ref();
        let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{token}\r\n", self.caller.target);
        if let Err(error) = stream.write_all(request.as_bytes()).await {
            return if is_kept { Ok(Tried::Stale) } else { Err(cut_off(&error.to_string())) };
        }
        let Some(head) = self.head(&mut stream, is_kept).await? else { return Ok(Tried::Stale) };
        let mut body = head.body();
        if head.status == 200 {
            let got = self.content(&mut stream, &mut body, clock, content).await?;
            self.keep(stream, &head);
            return Ok(Tried::Got(got));
        }
        let mut said = Vec::new();
        self.content(&mut stream, &mut body, clock, &mut |bytes| {
            let room = SHOWN_BYTES_MAX.saturating_sub(said.len()).min(bytes.len());
            said.extend_from_slice(&bytes[..room]);
        })
        .await?;
        self.keep(stream, &head);
        match head.status {
            429 | 503 => {
                Ok(Tried::Busy(head.retry_after_seconds.map_or(BUSY_FOR, Duration::from_secs).max(BUSY_FOR)))
            }
            status => Err(Fault::new(
                format!("HTTP {status}"),
                format!("{path}: {}", String::from_utf8_lossy(&said).trim()),
            )),
        }
    }

    fn keep(&mut self, stream: TcpStream, head: &Head) {
        self.stream = (!head.closes).then_some(stream);
    }

    /// The head of the answer; `None` if the connection had ended before.
    async fn head(&mut self, stream: &mut TcpStream, is_kept: bool) -> Result<Option<Head>, Fault> {
        self.buffer.clear();
        loop {
            match stream.read_buf(&mut self.buffer).await {
                Ok(0) if is_kept && self.buffer.is_empty() => return Ok(None),
                Ok(0) => return Err(cut_off("in the head of an answer")),
                Err(_) if is_kept && self.buffer.is_empty() => return Ok(None),
                Err(error) => return Err(cut_off(&error.to_string())),
                Ok(_) => {}
            }
            let read = Head::read(&self.buffer).map_err(|problem| Fault::new("no HTTP", problem))?;
            if let Some((head, length)) = read {
                self.buffer.drain(..length);
                return Ok(Some(head));
            }
        }
    }

    async fn content(
        &mut self,
        stream: &mut TcpStream,
        body: &mut Body,
        clock: &dyn Clock,
        content: &mut impl FnMut(&[u8]),
    ) -> Result<Got, Fault> {
        let (mut bytes, mut first_at) = (0, None);
        let mut take = |body: &mut Body, part: &[u8]| {
            let taken = body.take(part, |part| {
                first_at.get_or_insert_with(|| clock.now());
                bytes += part.len() as u64;
                content(part);
            });
            taken.map_err(|problem| Fault::new("no HTTP", problem))
        };
        take(body, &self.buffer)?;
        while !body.is_done() {
            self.buffer.clear();
            self.buffer.reserve(READ_BYTES);
            match stream.read_buf(&mut self.buffer).await {
                Ok(0) if body.ends_here() => break,
                Ok(0) => return Err(cut_off("before the end of the answer")),
                Ok(_) => take(body, &self.buffer)?,
                Err(error) => return Err(cut_off(&error.to_string())),
            }
        }
        let first_at = first_at.unwrap_or_else(|| clock.now());
        Ok(Got { first_at, bytes, waits: 0 })
    }
}

fn cut_off(detail: &str) -> Fault {
    Fault::new("connection cut off", detail)
}

async fn connect(caller: &Caller) -> Result<TcpStream, Fault> {
    let Caller { target, from, .. } = caller;
    let connect = async {
        let socket = if target.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(from) = from {
            socket.bind(SocketAddr::new(*from, 0))?;
        }
        let stream = socket.connect(*target).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    connect.await.map_err(|error: std::io::Error| Fault::new("not connected", format!("{target}: {error}")))
}
