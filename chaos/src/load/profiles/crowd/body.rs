//! Bytes of an HTTP/1.1 answer as they come: its head, and then its body without the framing. Pure.

/// Longest head of an answer, and longest line of a chunk's length.
const HEAD_BYTES_MAX: usize = 16 << 10;
const LINE_BYTES_MAX: usize = 1 << 10;

/// The head of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) retry_after_seconds: Option<u64>,
    /// The server closes the connection behind it.
    pub(super) closes: bool,
    framing: Framing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
    ToTheEnd,
}

/// Where in a body it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum At {
    /// So many bytes follow; in a chunk, its end does then.
    Bytes(u64),
    /// A line with a chunk's length, as far as it is there.
    Length(Vec<u8>),
    /// Lines behind the last chunk, up to an empty one.
    Trailer(Vec<u8>),
    /// Everything up to the end of the connection.
    ToTheEnd,
    Done,
}

/// A body.
#[derive(Clone, Debug)]
pub(super) struct Body {
    is_chunked: bool,
    at: At,
}

impl Head {
    /// The head, and how many bytes it has, once it is whole.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, String> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return match bytes.len() > HEAD_BYTES_MAX {
                true => Err("the head of the answer has no end".to_owned()),
                false => Ok(None),
            };
        };
        let text = String::from_utf8_lossy(&bytes[..end]);
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| format!("no answer of HTTP/1.1: {first}"))?;
        let mut head = Self { status, retry_after_seconds: None, closes: false, framing: Framing::ToTheEnd };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => {
                    let length = value.parse().map_err(|_| format!("content-length: {value}"))?;
                    head.framing = Framing::Length(length);
                }
                "transfer-encoding" if value.eq_ignore_ascii_case("chunked") => {
                    head.framing = Framing::Chunked;
                }
                "retry-after" => head.retry_after_seconds = value.parse().ok(),
                "connection" => head.closes = value.eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
        Ok(Some((head, end + 4)))
    }

    /// What follows it.
    pub(super) fn body(&self) -> Body {
        let (is_chunked, at) = match self.framing {
            Framing::Length(0) => (false, At::Done),
            Framing::Length(length) => (false, At::Bytes(length)),
            Framing::Chunked => (true, At::Length(Vec::new())),
            Framing::ToTheEnd => (false, At::ToTheEnd),
        };
        Body { is_chunked, at }
    }
}

impl Body {
    /// All of it was taken.
    pub(super) fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// The connection has ended: whether that is where it should.
    pub(super) fn ends_here(&self) -> bool {
        matches!(self.at, At::Done | At::ToTheEnd)
    }

    /// Takes bytes, and gives those of the content. What is behind the end of the body is left.
    pub(super) fn take(&mut self, mut bytes: &[u8], mut content: impl FnMut(&[u8])) -> Result<(), String> {
        while !bytes.is_empty() {
            match &mut self.at {
                At::Done => return Ok(()),
                At::ToTheEnd => {
                    content(bytes);
                    return Ok(());
                }
                At::Bytes(left) => {
                    let count = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    let (own, rest) = bytes.split_at(count);
                    content(own);
                    bytes = rest;
                    *left -= count as u64;
                    if *left == 0 {
                        self.at = if self.is_chunked { At::Length(Vec::new()) } else { At::Done };
                    }
                }
                At::Length(line) => {
                    let Some(rest) = until_line(line, bytes)? else { return Ok(()) };
                    bytes = rest;
                    self.at = match std::mem::take(line).as_slice() {
                        // The end of the chunk before.
                        b"" => At::Length(Vec::new()),
                        line => match chunk_length(line)? {
                            0 => At::Trailer(Vec::new()),
                            length => At::Bytes(length),
                        },
                    };
                }
                At::Trailer(line) => {
                    let Some(rest) = until_line(line, bytes)? else { return Ok(()) };
                    bytes = rest;
                    let is_end = std::mem::take(line).is_empty();
                    if is_end {
                        self.at = At::Done;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Moves bytes to `line` up to the end of the line; gives what is behind it, if it is there.
fn until_line<'a>(line: &mut Vec<u8>, bytes: &'a [u8]) -> Result<Option<&'a [u8]>, String> {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    line.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
    if line.len() > LINE_BYTES_MAX {
        return Err("a line without an end in the body".to_owned());
    }
    let Some(end) = end else { return Ok(None) };
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(&bytes[end + 1..]))
}

fn chunk_length(line: &[u8]) -> Result<u64, String> {
    let text = String::from_utf8_lossy(line);
    let digits = text.split(';').next().unwrap_or_default().trim();
    u64::from_str_radix(digits, 16).map_err(|_| format!("the length of a chunk: {digits:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However its bytes come, the content is the same.
    fn check(answer: &str, status: u16, expect: &str, is_done: bool) {
        for step in [1, 2, 3, 7, answer.len()] {
            let (mut seen, mut found, mut content) = (Vec::new(), None::<Body>, Vec::new());
            for part in answer.as_bytes().chunks(step) {
                match &mut found {
                    Some(body) => body.take(part, |bytes| content.extend_from_slice(bytes)).unwrap(),
                    None => {
                        seen.extend_from_slice(part);
                        if let Some((head, length)) = Head::read(&seen).unwrap() {
                            assert_eq!(head.status, status);
                            let mut body = head.body();
                            body.take(&seen[length..], |bytes| content.extend_from_slice(bytes)).unwrap();
                            found = Some(body);
                        }
                    }
                }
            }
            assert_eq!(String::from_utf8_lossy(&content), expect, "{answer}, by {step}");
            assert_eq!(found.unwrap().is_done(), is_done, "{answer}, by {step}");
        }
    }

    #[test]
    fn answers_are_read_however_they_come() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true);
        check("HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", 204, "", true);
        check("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", 200, "hello", false);
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(
            &format!("{chunked}5\r\nhello\r\nA;x=1\r\n, 12345678\r\n0\r\n\r\n"),
            200,
            "hello, 12345678",
            true,
        );
        check(&format!("{chunked}5\r\nhello\r\n"), 200, "hello", false);
        check("HTTP/1.1 200 OK\r\n\r\nall", 200, "all", false);
    }

    #[test]
    fn an_answer_that_is_none_is_an_error() {
        let read = |text: &str| Head::read(text.as_bytes());
        assert!(read("SSH-2.0\r\n\r\n").unwrap_err().contains("SSH-2.0"));
        assert!(read("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n").is_err());
        assert!(read(&"a".repeat(20_000)).is_err());
        let busy = "HTTP/1.1 429 Too Many\r\nRetry-After: 3\r\nConnection: close\r\n\r\n";
        let (head, _) = read(busy).unwrap().unwrap();
        assert_eq!((head.status, head.retry_after_seconds, head.closes), (429, Some(3), true));
        let (head, _) = read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap().unwrap();
        assert!(head.body().take(b"zz\r\n", |_| {}).is_err());
        let mut cut = head.body();
        cut.take(b"5\r\nhel", |_| {}).unwrap();
        assert!(!cut.ends_here());
    }
}
