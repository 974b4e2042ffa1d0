//! An HTTP/1.1 server that can break an answer down to its bytes, and a connection in every way: what a library for sound
//! servers does not let one do.
//!
//! In: requests whose bodies have an announced length. Out: what a handler says. A thread serves each connection; all end
//! when the server is dropped.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use socket2::SockRef;

/// Longest head of a request.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Longest body: no object of a chaos run comes near.
const BODY_BYTES_MAX: usize = 256 << 20;

/// A request.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    pub(super) method: String,
    /// Decoded, with its first slash.
    pub(super) path: String,
    query: BTreeMap<String, String>,
    /// Names in small letters.
    headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The value of a parameter; empty if it stands there without one.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    /// What is announced as the length of the body, if not its own.
    pub(super) announced: Option<usize>,
    /// After so many bytes of the body the connection is reset.
    pub(super) cut_after: Option<usize>,
}

impl Reply {
    pub(super) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), announced: None, cut_after: None }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// An answer.
    Reply(Reply),
    /// Nothing for so long, and then the connection is reset.
    SilenceThenReset(Duration),
}

impl From<Reply> for Outcome {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

/// Says what becomes of a request.
type Handler = dyn Fn(&Request) -> Outcome + Send + Sync;

/// That the server is to end, for whoever waits.
#[derive(Debug, Default)]
pub(super) struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Waits so long, or until the end. True at the end.
    pub(super) fn wait(&self, time: Duration) -> bool {
        let stopped = locked(&self.stopped);
        let waited = self.changed.wait_timeout_while(stopped, time, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// The server ends.
    pub(super) fn set(&self) {
        *locked(&self.stopped) = true;
        self.changed.notify_all();
    }

    fn is_set(&self) -> bool {
        *locked(&self.stopped)
    }
}

/// A running server.
pub(super) struct Server {
    address: SocketAddr,
    stop: Arc<Stop>,
    connections: Arc<Mutex<Connections>>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Connections {
    number: u64,
    open: BTreeMap<u64, TcpStream>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Listens on a free port of this machine.
    ///
    /// # Errors
    ///
    /// The system gives no port or no thread.
    pub(super) fn start(
        handler: impl Fn(&Request) -> Outcome + Send + Sync + 'static,
        stop: Arc<Stop>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let connections = Arc::<Mutex<Connections>>::default();
        let handler: Arc<Handler> = Arc::new(handler);
        let (ends, kept) = (stop.clone(), connections.clone());
        let accept = move || {
            for stream in listener.incoming() {
                if ends.is_set() {
                    break;
                }
                if let Ok(stream) = stream {
                    // Without another thread the connection ends, as at a server that is full.
                    let _ = admit(stream, &handler, &ends, &kept);
                }
            }
        };
        let acceptor = Builder::new().name("stub".to_owned()).spawn(accept)?;
        Ok(Self { address, stop, connections, acceptor: Some(acceptor) })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections; further ones are accepted.
    pub(super) fn hang_up(&self) {
        for stream in locked(&self.connections).open.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn admit(
    stream: TcpStream,
    handler: &Arc<Handler>,
    stop: &Arc<Stop>,
    connections: &Arc<Mutex<Connections>>,
) -> io::Result<()> {
    let mut all = locked(connections);
    all.number += 1;
    let number = all.number;
    all.open.insert(number, stream.try_clone()?);
    let (handler, stop, kept) = (handler.clone(), stop.clone(), connections.clone());
    let serve = move || {
        // A connection that fails is the client's affair.
        let _ = serve(stream, &*handler, &stop);
        locked(&kept).open.remove(&number);
    };
    all.threads.retain(|thread| !thread.is_finished());
    match Builder::new().name("stub connection".to_owned()).spawn(serve) {
        Ok(thread) => all.threads.push(thread),
        Err(error) => {
            all.open.remove(&number);
            return Err(error);
        }
    }
    Ok(())
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.set();
        // Wakes the acceptor, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        let (open, threads) = {
            let mut all = locked(&self.connections);
            (std::mem::take(&mut all.open), std::mem::take(&mut all.threads))
        };
        for stream in open.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.address)
    }
}

/// A thread that panicked holds no lock whose content matters here.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers one request after another until the client or an outcome ends the connection.
fn serve(mut stream: TcpStream, handler: &Handler, stop: &Stop) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut rest = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut rest)? {
        let is_head = request.method == "HEAD";
        match handler(&request) {
            Outcome::Reply(reply) => {
                if !write_reply(&mut stream, &reply, is_head)? {
                    return reset(&stream);
                }
            }
            Outcome::SilenceThenReset(time) => {
                stop.wait(time);
                return reset(&stream);
            }
        }
    }
    Ok(())
}

/// Closed with a lingering time of zero, a connection is reset.
fn reset(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

/// True if the connection stays.
fn write_reply(stream: &mut TcpStream, reply: &Reply, is_head: bool) -> io::Result<bool> {
    let length = reply.announced.unwrap_or(reply.body.len());
    let mut head = format!("HTTP/1.1 {} X\r\nContent-Length: {length}\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    if is_head {
        return Ok(true);
    }
    let whole = reply.body.len();
    let end = reply.cut_after.map_or(whole, |end| end.min(whole));
    stream.write_all(&reply.body[..end])?;
    Ok(reply.cut_after.is_none() && length == whole)
}

/// `None` when the client has nothing more to ask.
fn read_request(stream: &mut TcpStream, rest: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let end = loop {
        if let Some(at) = rest.windows(4).position(|end| end == b"\r\n\r\n") {
            break at + 4;
        }
        if rest.len() > HEAD_BYTES_MAX {
            return Err(io::Error::new(ErrorKind::InvalidData, "the head of a request is too long"));
        }
        if !read_more(stream, rest)? {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&rest[..end]).into_owned();
    rest.drain(..end);
    let mut request = parse(&head);
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    if length > BODY_BYTES_MAX {
        return Err(io::Error::new(ErrorKind::InvalidData, "the body of a request is too long"));
    }
    while rest.len() < length {
        if !read_more(stream, rest)? {
            return Ok(None);
        }
    }
    let later = rest.split_off(length);
    request.body = std::mem::replace(rest, later);
    Ok(Some(request))
}

fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let mut part = [0; 16 << 10];
    let count = stream.read(&mut part)?;
    bytes.extend_from_slice(&part[..count]);
    Ok(count > 0)
}

fn parse(head: &str) -> Request {
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pair = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (decoded(name), decoded(value))
    };
    let query = query.split('&').filter(|text| !text.is_empty()).map(pair).collect();
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let headers = lines.filter_map(header).collect();
    Request { method, path: decoded(path), query, headers, body: Vec::new() }
}

/// Percent-decoding; what is no code stays.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let code = (*byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(value) => {
                out.push(value);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Asks a server as any client would, on a connection of its own: status and body of its answer, if it gives one.
pub(super) fn request(
    address: SocketAddr,
    method: &str,
    target: &str,
    body: &[u8],
) -> Option<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address).ok()?;
    let head = format!("{method} {target} HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
    // There is nothing more to ask, so that the server closes when it has answered.
    stream.shutdown(Shutdown::Write).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|end| end == b"\r\n\r\n")?;
    let status = String::from_utf8_lossy(answer.get(9..12)?).parse().ok()?;
    Some((status, answer.split_off(end + 4)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole answer to a request on a connection of its own; short if it was broken off.
    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[test]
    fn requests_of_one_connection_are_told_apart() {
        let echo = |request: &Request| {
            let said = format!(
                "{} {} {:?} {}",
                request.method,
                request.path,
                request.parameter("a"),
                String::from_utf8_lossy(&request.body)
            );
            Reply::new(200, said).into()
        };
        let server = Server::start(echo, Arc::default()).unwrap();
        let two = "PUT /x%20y?a=%2F1 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /%zz HTTP/1.1\r\n\r\n";
        let answer = ask(server.address(), two);
        assert!(answer.contains("PUT /x y Some(\"/1\") abcHTTP/1.1"), "{answer}");
        assert!(answer.ends_with("GET /%zz None "), "{answer}");
    }

    #[test]
    fn answers_are_cut_and_silence_ends_in_a_reset() {
        let handler = |request: &Request| match request.path.as_str() {
            "/cut" => Reply { cut_after: Some(2), ..Reply::new(200, "whole") }.into(),
            _ => Outcome::SilenceThenReset(Duration::from_millis(1)),
        };
        let server = Server::start(handler, Arc::default()).unwrap();
        let cut = ask(server.address(), "GET /cut HTTP/1.1\r\n\r\n");
        // What was on its way when the connection was reset may be lost with it.
        assert!(!cut.contains("who"), "{cut}");
        assert_eq!(ask(server.address(), "GET /silent HTTP/1.1\r\n\r\n"), "");
    }

    #[test]
    fn a_server_ends_while_a_request_waits() {
        let server =
            Server::start(|_| Outcome::SilenceThenReset(Duration::from_secs(3600)), Arc::default()).unwrap();
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        drop(server);
        assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap_or(0), 0);
    }
}
