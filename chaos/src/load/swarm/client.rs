//! One reader: a socket, a decoder without a buffer, and a place.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::judge::Judge;
use super::{READ_BYTES, SwarmSettings};
use crate::load::frames::{Decoder, Frame, Opcode, masked};
use crate::load::link::{Link, Maker};
use crate::load::place::Place;
use crate::load::said::Said;

/// Longest answer to a handshake.
const ANSWER_BYTES_MAX: usize = 4 << 10;

/// What the system takes for a reader that does not read, about twice of it.
const SLOW_BUFFER_BYTES: usize = 4 << 10;

/// Bytes of a packet to such a reader.
const SLOW_SEGMENT_BYTES: u32 = 1460;

/// An account that nobody has: a reader of its events gets none.
const NOBODY: &str = r#"{"account":["GAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAWHF"]}"#;

/// What a reader is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// To be timed.
    Reader,
    /// To be slow, when it is told to.
    Slow,
    /// To be told of ledgers and of nothing else.
    Stamps,
    /// To tell when ledgers were closed.
    Closes,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    New,
    Connecting,
    Shaking,
    Open,
    /// It has asked for events.
    Asked,
    Live,
    /// It reads no more.
    Resting,
    Gone,
}

/// One reader.
pub(super) struct Client {
    pub(super) role: Role,
    pub(super) phase: Phase,
    pub(super) place: Place,
    /// Whether it was ever sent anything that it asked for.
    pub(super) was_live: bool,
    /// Whether the server closed it as too slow: whether with the right cursor.
    pub(super) closed_4008: Option<bool>,
    link: Option<Link<TcpStream>>,
    /// When it began to connect.
    began_us: u64,
    /// The answer to the handshake.
    answer: Vec<u8>,
    decoder: Decoder,
}

impl Client {
    pub(super) fn new(role: Role) -> Self {
        let (phase, place) = (Phase::New, Place::default());
        let (link, answer, decoder) = (None, Vec::new(), Decoder::new());
        Self { role, phase, place, was_live: false, closed_4008: None, link, began_us: 0, answer, decoder }
    }

    pub(super) fn is_opening(&self) -> bool {
        matches!(self.phase, Phase::Connecting | Phase::Shaking)
    }

    /// Begins to connect.
    pub(super) fn connect(
        &mut self,
        target: SocketAddr,
        from: Option<Ipv4Addr>,
        maker: &Maker,
        (registry, token): (&Registry, Token),
        now: u64,
    ) -> io::Result<()> {
        self.began_us = now;
        let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if self.role == Role::Slow {
            // Somebody slow is far away: packets are small, and our own system does not take much for it.
            socket.set_recv_buffer_size(SLOW_BUFFER_BYTES)?;
            socket.set_tcp_mss(SLOW_SEGMENT_BYTES)?;
        }
        if let Some(from) = from {
            socket.bind(&SocketAddr::new(IpAddr::V4(from), 0).into())?;
        }
        let in_progress = |error: &io::Error| {
            error.kind() == io::ErrorKind::WouldBlock
                || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
        };
        socket
            .connect(&target.into())
            .or_else(|error| if in_progress(&error) { Ok(()) } else { Err(error) })?;
        let mut stream = TcpStream::from_std(socket.into());
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        (self.link, self.phase) = (Some(maker.link(stream)?), Phase::Connecting);
        Ok(())
    }

    /// Its socket can be read or written.
    pub(super) fn ready(
        &mut self,
        event: &Event,
        settings: &SwarmSettings,
        buffer: &mut [u8],
        judge: &mut Judge,
        now: fn() -> u64,
    ) {
        if self.phase == Phase::Connecting && (event.is_writable() || event.is_error()) {
            match self.shake(settings) {
                Ok(()) => self.phase = Phase::Shaking,
                Err(error) => {
                    self.refused(judge, &format!("connect to {}: {error}", settings.target));
                    return;
                }
            }
        }
        // A handshake may wait to write.
        let is_secure = self.link.as_ref().is_some_and(|link| !link.reads_all_there_is());
        if event.is_readable() || event.is_read_closed() || is_secure {
            self.take(event.is_read_closed(), buffer, judge, now);
        }
    }

    fn shake(&mut self, settings: &SwarmSettings) -> io::Result<()> {
        let Some(link) = &mut self.link else { return Ok(()) };
        if let Some(error) = link.stream().take_error()? {
            return Err(error);
        }
        let token = settings.token.as_ref();
        let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
        let request = format!(
            "GET /v1/feed HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{token}\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
            settings.target
        );
        link.write_whole(request.as_bytes())
    }

    /// Goes, of its own will.
    pub(super) fn leave(&mut self, judge: &mut Judge) {
        if self.was_live {
            judge.look_at(self.place);
        }
        *self = Self::new(self.role);
    }

    /// The server does not take it.
    pub(super) fn refused(&mut self, judge: &mut Judge, why: &str) {
        judge.refused(why);
        self.gone();
    }

    /// Asks for events.
    pub(super) fn subscribe(&mut self, filter: &str, judge: &mut Judge, now: fn() -> u64) {
        let filter = match self.role {
            Role::Reader | Role::Slow => filter,
            Role::Stamps => NOBODY,
            Role::Closes => "{}",
        };
        let asked = format!(r#"{{"op":"subscribe","id":"a","from":"latest","filter":{filter}}}"#);
        let Some(link) = &mut self.link else { return };
        self.phase = Phase::Asked;
        if let Err(error) = link.write_whole(&masked(0x81, asked.as_bytes())) {
            self.ended(judge, &format!("subscribe: {error}"), now());
        }
    }

    /// Reads no more, until [`Self::read`].
    pub(super) fn rest(&mut self) {
        if self.phase == Phase::Live {
            self.phase = Phase::Resting;
        }
    }

    /// Reads again, everything that has come meanwhile.
    pub(super) fn read(&mut self, buffer: &mut [u8], judge: &mut Judge, now: fn() -> u64) {
        if self.phase == Phase::Resting {
            self.phase = Phase::Live;
            if let Some(link) = &self.link {
                // What has piled up comes at once. If it may not, it comes in drops.
                let _ = SockRef::from(link.stream()).set_recv_buffer_size(READ_BYTES);
            }
            self.take(true, buffer, judge, now);
        }
    }

    /// Takes what has come. Less than was asked for is all there is: of more, the system tells again. Of an end that it has
    /// told of it does not: `to_end` looks for it.
    fn take(&mut self, to_end: bool, buffer: &mut [u8], judge: &mut Judge, now: fn() -> u64) {
        while let (Some(link), false) = (&mut self.link, self.phase == Phase::Resting) {
            let to_end = to_end || !link.reads_all_there_is();
            match link.read(buffer) {
                Ok(0) => return self.ended(judge, "the server ended the connection", now()),
                Ok(count) => {
                    self.took(&buffer[..count], judge, now());
                    if count < READ_BYTES && !to_end {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.ended(judge, &error.to_string(), now()),
            }
        }
    }

    fn took(&mut self, mut bytes: &[u8], judge: &mut Judge, now: u64) {
        if self.phase == Phase::Shaking {
            self.answer.extend_from_slice(bytes);
            let Some(end) = self.answer.windows(4).position(|four| four == b"\r\n\r\n") else {
                if self.answer.len() > ANSWER_BYTES_MAX {
                    self.refused(judge, "an answer without an end");
                }
                return;
            };
            let answer = std::mem::take(&mut self.answer);
            if !answer.starts_with(b"HTTP/1.1 101 ") {
                let shown = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
                return self.refused(judge, &shown);
            }
            self.phase = Phase::Open;
            judge.connected(self.role);
            bytes = &bytes[bytes.len() - (answer.len() - end - 4)..];
        }
        let Self { role, phase, place, was_live, closed_4008, link, decoder, began_us, .. } = self;
        let mut ends = None;
        decoder.take(bytes, |frame| match frame.opcode {
            Opcode::Data => match Said::read(frame.head, frame.tail) {
                Said::Subscribed(cursor) => {
                    (*place, *phase, *was_live) = (Place::at(cursor), Phase::Live, true);
                    judge.opened(*role, now.saturating_sub(*began_us));
                }
                said => judge.hears(*role, place, said, frame.bytes, now),
            },
            // A server gives up a client that says nothing for a minute.
            Opcode::Ping => {
                let pong = masked(0x8a, frame.head);
                let written = link.as_mut().map(|link| link.write_whole(&pong));
                ends = written.and_then(Result::err).map(|error| error.to_string());
            }
            Opcode::Close => {
                let (code, reason) = close(&frame);
                if code == 4008 {
                    let is_right = reason.parse().is_ok_and(|cursor| judge.goes_on(*place, cursor));
                    *closed_4008 = Some(is_right);
                }
                ends = Some(format!("closed with code {code}: {reason}"));
            }
            Opcode::Other => {}
        });
        if let Some(why) = ends {
            self.ended(judge, &why, now);
        }
    }

    fn ended(&mut self, judge: &mut Judge, why: &str, now: u64) {
        if self.is_opening() {
            return self.refused(judge, why);
        }
        if self.role != Role::Slow && self.phase != Phase::Gone {
            judge.lost(why, now);
        }
        self.gone();
    }

    fn gone(&mut self) {
        (self.link, self.phase, self.answer) = (None, Phase::Gone, Vec::new());
    }
}

/// Code and reason of a close frame.
fn close(frame: &Frame<'_>) -> (u16, String) {
    match frame.head {
        [high, low, reason @ ..] => {
            (u16::from_be_bytes([*high, *low]), String::from_utf8_lossy(reason).into_owned())
        }
        _ => (1005, String::new()),
    }
}
