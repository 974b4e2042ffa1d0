//! Options of every TCP socket between nodes.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Silence after which the kernel asks whether the other side is there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(10);
/// How often it asks then.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
/// How often it asks in vain.
const KEEPALIVE_TRIES: u32 = 3;
/// How long sent bytes may stay unacknowledged: the kernel's own answer would be a quarter of an hour. The idle limit of
/// a link is the first line, this the second, for connections that only write.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(15);

/// Sends small messages at once, and notices a peer that went away without a word.
pub(super) fn configure(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY)
        .with_retries(KEEPALIVE_TRIES);

    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    Ok(())
}
