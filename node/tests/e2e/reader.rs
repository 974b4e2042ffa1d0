//! A reader of the feed that shares no code with the server: tungstenite, over a socket that can be dropped at any moment.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Message, WebSocket};

/// A connection.
pub(crate) struct Reader {
    socket: WebSocket<TcpStream>,
}

impl Reader {
    /// Connects to `path`; `None` if nobody answers, or not with a WebSocket.
    pub(crate) fn connect(address: &str, path: &str) -> Option<Self> {
        let stream = handshake(address, path)?;
        Some(Self { socket: WebSocket::from_raw_socket(stream, Role::Client, None) })
    }

    pub(crate) fn say(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).unwrap();
    }

    pub(crate) fn subscribe(&mut self, from: &str, filter: &Value) {
        self.say(&json!({ "op": "subscribe", "id": "a", "from": from, "filter": filter }));
    }

    /// The next message as JSON; `None` if the connection ended.
    pub(crate) fn hear(&mut self) -> Option<Value> {
        loop {
            match self.socket.read().ok()? {
                Message::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
                Message::Close(close) => {
                    let close = close.map(|frame| (u16::from(frame.code), frame.reason.to_string()));
                    return Some(json!({ "type": "closed", "close": close }));
                }
                _ => {}
            }
        }
    }

    /// The next message of a type.
    pub(crate) fn hear_until(&mut self, kind: &str) -> Value {
        loop {
            let message = self.hear().unwrap_or_else(|| panic!("the connection ended before `{kind}`"));
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// The stream below, for bytes that no client would send.
    pub(crate) fn raw(&mut self) -> &mut TcpStream {
        self.socket.get_mut()
    }
}

/// A stream after the handshake.
fn handshake(address: &str, path: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let is_accepted = head.starts_with("HTTP/1.1 101 ") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    is_accepted.then_some(stream)
}
