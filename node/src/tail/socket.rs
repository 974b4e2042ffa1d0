//! A client's end of a WebSocket, over HTTP or HTTPS.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use orrery_supervisor::SeededRandom;
use reqwest::header::{
    AUTHORIZATION, CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use reqwest::{StatusCode, Upgraded, Url};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::serve::feed::handshake::accept_key;
use crate::serve::feed::wire::{Decoder, End, Incoming, Opcode, close_payload, masked};

/// Longest message of a server that is taken: hundreds of events of the largest kind.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// A server that lives says something every ten seconds.
const SILENCE_MAX: Duration = Duration::from_secs(35);

/// Time for a handshake.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);

/// Time to say goodbye.
const LEAVE_WITHIN: Duration = Duration::from_millis(200);

/// Where a feed is, and what lets a reader in.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    url: Url,
}

/// Why a server does not let a reader in, or not any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Trying again may help.
    Away(String),
    /// It does not.
    Refused(String),
    /// The reader was too slow, and may go on at once.
    TooSlow,
}

/// What a connection gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Text(String),
    Closed(Closed),
}

/// An open connection.
pub(crate) struct Socket {
    io: Upgraded,
    decoder: Decoder,
    heard: std::collections::VecDeque<Incoming>,
    random: SeededRandom,
}

impl Server {
    /// The feed of the node at a URL: `http`, `https`, `ws` or `wss`, with or without the path.
    ///
    /// # Errors
    ///
    /// It is no such URL.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let fix = "give http://HOST:PORT, https://HOST, ws://HOST:PORT or wss://HOST";
        let text = match text.split_once("://") {
            Some(("ws", rest)) => format!("http://{rest}"),
            Some(("wss", rest)) => format!("https://{rest}"),
            Some(("http" | "https", _)) => text.to_owned(),
            _ => return Err(format!("--url {text}: {fix}")),
        };
        let mut url: Url = text.parse().map_err(|error| format!("--url {text}: {error}: {fix}"))?;
        if url.path() == "/" {
            url.set_path("/v1/feed");
        }
        Ok(Self { url })
    }

    pub(crate) fn name(&self) -> &str {
        self.url.as_str()
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// [`Closed`].
    pub(crate) async fn connect(
        &self,
        client: &reqwest::Client,
        token: Option<&str>,
        mut random: SeededRandom,
    ) -> Result<Socket, Closed> {
        let name = self.name();
        let key = STANDARD.encode([random.draw().to_le_bytes(), random.draw().to_le_bytes()].concat());
        let mut request = client
            .get(self.url.clone())
            .header(UPGRADE, "websocket")
            .header(CONNECTION, "upgrade")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, &key);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let away = |problem: String| Closed::Away(format!("{name}: {problem}"));
        let answer = tokio::time::timeout(CONNECT_WITHIN, request.send()).await;
        let answer = answer.map_err(|_| away("no answer in time".to_owned()))?;
        let answer = answer.map_err(|error| away(causes(&error)))?;
        let status = answer.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let detail = answer.text().await.ok().and_then(|text| detail(&text)).unwrap_or_default();
            let problem = format!("{name}: {status}: {detail}");
            let may_pass = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
            return Err(if may_pass { Closed::Away(problem) } else { Closed::Refused(problem) });
        }
        let accepted = answer.headers().get(SEC_WEBSOCKET_ACCEPT).and_then(|value| value.to_str().ok());
        if accepted != Some(&accept_key(&key)) {
            return Err(Closed::Refused(format!("{name}: it answers as no WebSocket server does")));
        }
        let io = answer.upgrade().await.map_err(|error| away(causes(&error)))?;
        let decoder = Decoder::new(End::Client, MESSAGE_BYTES_MAX);
        Ok(Socket { io, decoder, heard: std::collections::VecDeque::new(), random })
    }
}

impl Socket {
    /// Says something.
    ///
    /// # Errors
    ///
    /// [`Closed`].
    pub(crate) async fn say(&mut self, text: &str) -> Result<(), Closed> {
        self.write(Opcode::Text, text.as_bytes()).await
    }

    /// The next message, or the end.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            match self.heard.pop_front() {
                Some(Incoming::Text(text)) => return Heard::Text(text),
                Some(Incoming::Ping(payload)) => {
                    if let Err(closed) = self.write(Opcode::Pong, &payload).await {
                        return Heard::Closed(closed);
                    }
                }
                Some(Incoming::Close(close)) => return Heard::Closed(closed(close)),
                Some(Incoming::Pong | Incoming::Binary(_)) => {}
                None => {
                    if let Err(closed) = self.read().await {
                        return Heard::Closed(closed);
                    }
                }
            }
        }
    }

    /// Says that it goes, if that can be said at once.
    pub(crate) async fn leave(mut self) {
        let payload = close_payload(1000, "");
        // Whoever is not there any more need not hear it.
        let _ = tokio::time::timeout(LEAVE_WITHIN, self.write(Opcode::Close, &payload)).await;
    }

    async fn read(&mut self) -> Result<(), Closed> {
        let mut buffer = vec![0; 64 << 10];
        let read = tokio::time::timeout(SILENCE_MAX, self.io.read(&mut buffer)).await;
        let count = match read {
            Err(_) => return Err(Closed::Away(format!("nothing came for {} s", SILENCE_MAX.as_secs()))),
            Ok(Err(error)) => return Err(Closed::Away(error.to_string())),
            Ok(Ok(0)) => return Err(Closed::Away("the connection ended".to_owned())),
            Ok(Ok(count)) => count,
        };
        let mut messages = Vec::new();
        let taken = self.decoder.take(&buffer[..count], &mut messages);
        self.heard.extend(messages);
        taken.map_err(|violation| Closed::Away(format!("the server: {violation}")))
    }

    async fn write(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), Closed> {
        let [a, b, c, d, ..] = self.random.draw().to_le_bytes();
        let frame = masked(opcode, payload, [a, b, c, d]);
        self.io.write_all(&frame).await.map_err(|error| Closed::Away(error.to_string()))
    }
}

/// What a close frame means.
fn closed(close: Option<(u16, String)>) -> Closed {
    match close {
        Some((4008, _)) => Closed::TooSlow,
        Some((code, reason)) => Closed::Away(format!("the server closed: {reason} (code {code})")),
        None => Closed::Away("the server closed".to_owned()),
    }
}

/// What a problem document says.
fn detail(text: &str) -> Option<String> {
    let problem: serde_json::Value = serde_json::from_str(text).ok()?;
    Some(problem.get("detail")?.as_str()?.to_owned())
}

/// An error with what is behind it: the outermost one says little.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_a_node_leads_to_its_feed() {
        let check = |text: &str, expect: &str| {
            let found = Server::new(text).map(|server| server.name().to_owned());
            assert_eq!(found.unwrap_or_else(|error| error), expect);
        };
        check("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1/feed");
        check("wss://feed.example", "https://feed.example/v1/feed");
        check("ws://h:1/v1/feed", "http://h:1/v1/feed");
        check("https://h/behind/a/proxy", "https://h/behind/a/proxy");
        let fix = "give http://HOST:PORT, https://HOST, ws://HOST:PORT or wss://HOST";
        check("127.0.0.1:8080", &format!("--url 127.0.0.1:8080: {fix}"));
    }
}
