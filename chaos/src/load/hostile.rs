//! Clients that mean harm, beside readers that do not: what breaks the protocol, says too much, or dawdles. Each has to be
//! refused or closed in the way that is written here.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use orrery_supervisor::{Clock, SystemClock};
use serde::Serialize;

use super::caller::Caller;
use super::frames::{Decoder, Opcode, masked};

/// A server may take long to answer: it has others to serve, on a machine that is busy.
const CALLER: Caller = Caller { network: 200, patience: Duration::from_secs(60) };

/// Connections that begin a request and do not end it.
const DAWDLERS: usize = 100;

/// What came of one kind of harm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttackReport {
    /// What was done.
    pub name: &'static str,
    /// How often.
    pub tries: u64,
    /// How often the server did what it should.
    pub as_expected: u64,
    /// What it did else, the first time.
    pub first_other: Option<String>,
}

/// What has to come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// A close frame with this code.
    Code(u16),
    /// An answer that begins so, or none and the end of the connection.
    Refused(&'static str),
}

/// One kind.
struct Attack {
    name: &'static str,
    /// Whether a handshake goes before it.
    on_feed: bool,
    bytes: fn() -> Vec<u8>,
    ends: Ends,
}

const ATTACKS: [Attack; 13] = [
    on_feed("a frame without a mask", || vec![0x81, 2, b'{', b'}'], Ends::Code(1002)),
    on_feed("reserved bits", || masked(0xf1, b"{}"), Ends::Code(1002)),
    on_feed("an unknown kind of frame", || masked(0x83, b"{}"), Ends::Code(1002)),
    on_feed("a control frame that is too long", || masked(0x89, &[0; 126]), Ends::Code(1002)),
    on_feed("text that is not UTF-8", || masked(0x81, &[b'{', 0xff, 0xfe]), Ends::Code(1007)),
    on_feed("a message of a terabyte", terabyte, Ends::Code(1009)),
    on_feed("a message that does not end", || endless(24), Ends::Code(1009)),
    on_feed("a flood of messages", || masked(0x81, b"{}").repeat(500), Ends::Code(1008)),
    on_feed("a flood of pings", || masked(0x89, b"").repeat(500), Ends::Code(1008)),
    on_feed("a flood of subscriptions", subscriptions, Ends::Code(1008)),
    on_http("no HTTP at all", || vec![0x16; 600], Ends::Refused("HTTP/1.1 400 ")),
    on_http(
        "a head without an end",
        || [b"GET / HTTP/1.1\r\nx: ", &[b'x'; 64 << 10][..]].concat(),
        Ends::Refused("HTTP/1.1 431 "),
    ),
    on_http("a body of a gigabyte", gigabyte, Ends::Refused("HTTP/1.1 4")),
];

const fn on_feed(name: &'static str, bytes: fn() -> Vec<u8>, ends: Ends) -> Attack {
    Attack { name, on_feed: true, bytes, ends }
}

const fn on_http(name: &'static str, bytes: fn() -> Vec<u8>, ends: Ends) -> Attack {
    Attack { name, on_feed: false, bytes, ends }
}

fn terabyte() -> Vec<u8> {
    [&[0x81, 0xff][..], &(1_u64 << 40).to_be_bytes(), &[0; 4], &[b' '; 1000]].concat()
}

/// Parts of 4 KiB, of which none is the last.
fn endless(parts: usize) -> Vec<u8> {
    let part = |first| masked(first, &[b' '; 4096]);
    let first = part(0x01);
    (1..parts).fold(first, |message, _| [message, part(0x00)].concat())
}

fn subscriptions() -> Vec<u8> {
    let ask = |number: usize| {
        format!(r#"{{"op":"subscribe","id":"{number}","filter":{{"min_amount":"{number}"}}}}"#)
    };
    (0..60).flat_map(|number| masked(0x81, ask(number).as_bytes())).collect()
}

fn gigabyte() -> Vec<u8> {
    [b"POST /v1/feed HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n", &[b'x'; 32 << 10][..]]
        .concat()
}

/// Does harm of every kind, again and again for so long.
pub(crate) fn attack(target: SocketAddr, time: Duration) -> Vec<AttackReport> {
    let (clock, mut number) = (SystemClock::new(), 0);
    let mut reports: Vec<AttackReport> =
        ATTACKS.iter().map(|attack| AttackReport::new(attack.name)).collect();
    let mut dawdlers = AttackReport::new("a head that comes byte by byte");
    let mut slow: Vec<_> = (0..DAWDLERS).filter_map(|index| dawdle(target, index).ok()).collect();
    let begun = clock.now();
    loop {
        for (attack, report) in ATTACKS.iter().zip(&mut reports) {
            number += 1;
            report.count(
                try_once(attack, target, DAWDLERS + number).unwrap_or_else(|error| Err(error.to_string())),
            );
        }
        slow.iter_mut().for_each(|stream| drop(stream.write(b"x")));
        if clock.now().since(begun) >= time {
            break;
        }
    }
    for stream in &mut slow {
        // Whatever it says before it ends the connection is right.
        let ended = stream.read_to_end(&mut Vec::new()).map_or_else(is_end, |_| true);
        dawdlers.count(if ended { Ok(()) } else { Err("still open".to_owned()) });
    }
    reports.push(dawdlers);
    reports
}

impl AttackReport {
    fn new(name: &'static str) -> Self {
        Self { name, tries: 0, as_expected: 0, first_other: None }
    }

    fn count(&mut self, outcome: Result<(), String>) {
        self.tries += 1;
        match outcome {
            Ok(()) => self.as_expected += 1,
            Err(other) => drop(self.first_other.get_or_insert(other)),
        }
    }

    /// Whether the server always did what it should.
    pub fn is_held(&self) -> bool {
        self.tries == self.as_expected
    }
}

fn dawdle(target: SocketAddr, index: usize) -> io::Result<TcpStream> {
    let mut stream = CALLER.connect(target, index)?;
    stream.write_all(b"GET /v1/feed HTTP/1.1\r\nHost: ")?;
    Ok(stream)
}

/// What came of one attempt: as expected, or what else.
fn try_once(attack: &Attack, target: SocketAddr, number: usize) -> io::Result<Result<(), String>> {
    let mut stream = match attack.on_feed {
        true => match CALLER.feed(target, number)? {
            Ok(stream) => stream,
            Err(answer) => return Ok(Err(format!("no handshake: {}", first_line(&answer)))),
        },
        false => CALLER.connect(target, number)?,
    };
    // It may be closed on before all is written, and what it then sent be lost.
    let written = stream.write_all(&(attack.bytes)());
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let is_over = read.map_or_else(is_end, |_| true);
    Ok(match attack.ends {
        _ if !is_over => Err("the connection stays".to_owned()),
        Ends::Refused(_) if answer.is_empty() => Ok(()),
        Ends::Refused(begin) if answer.starts_with(begin.as_bytes()) => Ok(()),
        Ends::Refused(_) => Err(first_line(&answer)),
        Ends::Code(code) => match (code_of(&answer), written) {
            (Some(found), _) if found == code => Ok(()),
            (None, Err(_)) => Ok(()),
            (Some(found), _) => Err(format!("closed with code {found}")),
            (None, Ok(())) => Err("closed without a code".to_owned()),
        },
    })
}

fn is_end(error: io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted)
}

/// The code of the close frame among what a server said.
fn code_of(answer: &[u8]) -> Option<u16> {
    let mut code = None;
    Decoder::new().take(answer, |frame| {
        if let (Opcode::Close, [high, low, ..]) = (frame.opcode, frame.head) {
            code = Some(u16::from_be_bytes([*high, *low]));
        }
    });
    code
}

fn first_line(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(&answer[..answer.len().min(200)]).into_owned();
    text.lines().next().unwrap_or("nothing").to_owned()
}
