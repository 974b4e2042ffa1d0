//! A stretch of a connection that can be cut: an address that leads to another one, wherever that is by then.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Leads nowhere at first.
pub(crate) struct Cable {
    address: String,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    target: Option<String>,
    is_cut: bool,
    streams: Vec<TcpStream>,
}

impl Cable {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::<Mutex<Shared>>::default();
        let cable = Self { address, shared: shared.clone() };
        // Ends with the process.
        let accept = move || {
            for stream in listener.incoming().flatten() {
                let _ = join(&shared, stream);
            }
        };
        thread::Builder::new().name("cable".to_owned()).spawn(accept).unwrap();
        cable
    }

    /// Where to connect.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Leads there from now on.
    pub(crate) fn lead_to(&self, target: &str) {
        self.shared.lock().unwrap().target = Some(target.to_owned());
    }

    /// Ends what crosses, and lets nothing cross.
    pub(crate) fn cut(&self) {
        let mut shared = self.shared.lock().unwrap();
        shared.is_cut = true;
        for stream in shared.streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Lets new connections cross.
    pub(crate) fn mend(&self) {
        self.shared.lock().unwrap().is_cut = false;
    }
}

fn join(shared: &Mutex<Shared>, here: TcpStream) -> io::Result<()> {
    let mut shared = shared.lock().unwrap();
    let Some(target) = shared.target.clone().filter(|_| !shared.is_cut) else { return Ok(()) };
    let there = TcpStream::connect(target)?;
    for (from, to) in [(&here, &there), (&there, &here)] {
        let (from, to) = (from.try_clone()?, to.try_clone()?);
        thread::Builder::new().name("cable".to_owned()).spawn(move || carry(from, to))?;
    }
    shared.streams.extend([here, there]);
    Ok(())
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
