//! Questions over HTTP that are so small that no client is needed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long an answer may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// The status of an answer.
pub(crate) fn status(stream: TcpStream, method: &str, path: &str, host: &str, body: &str) -> Option<u16> {
    status_of(&answer(stream, method, path, host, body)?)
}

/// What is found at a path, whether it is good news or bad; `None` if nothing is.
pub(crate) fn body(stream: TcpStream, path: &str, host: &str) -> Option<Vec<u8>> {
    let answer = answer(stream, "GET", path, host, "")?;
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let is_found = matches!(status_of(&answer), Some(200 | 503));
    is_found.then(|| answer.get(head + 4..).unwrap_or_default().to_vec())
}

/// All of an answer. One that is longer than may be read is none.
fn answer(mut stream: TcpStream, method: &str, path: &str, host: &str, body: &str) -> Option<Vec<u8>> {
    stream.set_read_timeout(Some(ANSWERS_WITHIN)).ok()?;
    let length = body.len();
    // Before 1.1 nobody answers in chunks.
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).ok()?;
    Some(answer)
}

fn status_of(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    String::from_utf8_lossy(line).split(' ').nth(1)?.parse().ok()
}
