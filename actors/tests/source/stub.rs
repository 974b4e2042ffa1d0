//! A small web server that fails as told: plain files without listing, or whatever a test answers.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// What clients of object stores insist on.
const STAMP: &str = "ETag: \"it\"\r\nLast-Modified: Fri, 19 Jun 2026 00:21:54 GMT\r\n";

/// A request as far as tests look at it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: String,
    /// How many requests for this path came before.
    pub(crate) earlier: usize,
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A whole answer.
    Status(u16, Vec<u8>),
    /// With `Retry-After`.
    Busy(u16, u32),
    /// Announces all of the body and ends after this many bytes.
    Truncated(Vec<u8>, usize),
    /// The connection ends without an answer.
    Dropped,
}

pub(crate) struct Stub {
    address: String,
    seen: Arc<Mutex<Vec<Request>>>,
    is_closed: Arc<AtomicBool>,
}

impl Stub {
    /// Answers each request with what `answer` gives.
    pub(crate) fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (seen, is_closed) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (answer, requests, closed) = (Arc::new(answer), seen.clone(), is_closed.clone());
        let serve = move || {
            for stream in listener.incoming() {
                if closed.load(Ordering::Relaxed) {
                    return;
                }
                let (answer, requests) = (answer.clone(), requests.clone());
                let one = move || drop(serve(stream.unwrap(), &requests, &*answer));
                thread::Builder::new().spawn(one).unwrap();
            }
        };
        thread::Builder::new().spawn(serve).unwrap();
        Self { address, seen, is_closed }
    }

    /// Serves the files below `root` at `/lake/`; `fault` may answer first. Cannot list.
    pub(crate) fn lake(
        root: PathBuf,
        fault: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        Self::start(move |request| {
            if let Some(reply) = fault(request) {
                return reply;
            }
            let path = request.path.strip_prefix("/lake/").unwrap_or("no lake");
            match (request.method.as_str(), std::fs::read(root.join(path))) {
                ("GET" | "HEAD", Ok(bytes)) => Reply::Status(200, bytes),
                ("GET" | "HEAD", Err(_)) => Reply::Status(404, b"<html>not found</html>".to_vec()),
                _ => Reply::Status(405, Vec::new()),
            }
        })
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Requests so far whose path contains `part`.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|request| request.path.contains(part)).count()
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.is_closed.store(true, Ordering::Relaxed);
        // Wakes the listener.
        drop(TcpStream::connect(&self.address));
    }
}

fn serve(
    stream: TcpStream,
    seen: &Mutex<Vec<Request>>,
    answer: &(dyn Fn(&Request) -> Reply + Sync),
) -> std::io::Result<()> {
    let mut input = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    input.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(()) };
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    input.read_exact(&mut body)?;
    let request = {
        let mut seen = seen.lock().unwrap();
        let earlier = seen.iter().filter(|request| request.path == path).count();
        let body = String::from_utf8(body).unwrap();
        seen.push(Request { method, path, body, earlier });
        seen.last().unwrap().clone()
    };
    let mut output = &stream;
    match answer(&request) {
        Reply::Dropped => {}
        Reply::Busy(status, seconds) => {
            write!(output, "HTTP/1.1 {status} Busy\r\nRetry-After: {seconds}\r\nContent-Length: 0\r\n")?;
            output.write_all(b"Connection: close\r\n\r\n")?;
        }
        Reply::Status(status, body) => {
            write!(
                output,
                "HTTP/1.1 {status} It\r\nContent-Length: {}\r\n{STAMP}Connection: close\r\n\r\n",
                body.len()
            )?;
            if request.method != "HEAD" {
                output.write_all(&body)?;
            }
        }
        Reply::Truncated(body, count) => {
            write!(output, "HTTP/1.1 200 It\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
            output.write_all(&body[..count])?;
        }
    }
    stream.shutdown(Shutdown::Both)
}
