//! Connections of clients whose bytes are all our own.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// Connections from one address: what a server lets in.
const PER_ADDRESS: usize = 100;

/// Asks to become a feed.
const UPGRADE: &str = "GET /v1/feed HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

/// Whoever calls: on loopback from addresses of its own in `127.NETWORK.0.0/16`, and with so much patience.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) network: u8,
    pub(crate) patience: Duration,
}

impl Caller {
    /// The connection of this number.
    pub(crate) fn connect(self, target: SocketAddr, number: usize) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))?;
        if target.ip().is_loopback() && target.is_ipv4() {
            let address = number / PER_ADDRESS;
            let (high, low) = ((address / 254 % 254) as u8, 1 + (address % 254) as u8);
            let from = Ipv4Addr::new(127, self.network, high, low);
            socket.bind(&SocketAddr::new(IpAddr::V4(from), 0).into())?;
        }
        socket.connect_timeout(&target.into(), self.patience)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(self.patience))?;
        stream.set_write_timeout(Some(self.patience))?;
        Ok(stream)
    }

    /// The same, and it has become a feed; or what was answered instead.
    pub(crate) fn feed(self, target: SocketAddr, number: usize) -> io::Result<Result<TcpStream, Vec<u8>>> {
        let mut stream = self.connect(target, number)?;
        stream.write_all(UPGRADE.as_bytes())?;
        let (mut answer, mut byte) = (Vec::new(), [0]);
        while !answer.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
            answer.push(byte[0]);
        }
        Ok(if answer.starts_with(b"HTTP/1.1 101 ") { Ok(stream) } else { Err(answer) })
    }
}
