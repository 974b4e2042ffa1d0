//! A name server that knows one thing: every name is this machine. It can be told to fail, to lead elsewhere, and to be late.
//!
//! In: questions of RFC 1035 over UDP, one in a datagram. Out: an answer with one address, or none.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::http::{Stop, locked};

/// The only port that a resolver's configuration can mean.
const PORT: u16 = 53;

/// Between two looks whether it is over.
const LOOKS_EVERY: Duration = Duration::from_millis(100);

/// Longest question: more than any name has.
const QUESTION_BYTES_MAX: usize = 512;

/// Bytes before the question.
const HEAD_BYTES: usize = 12;

/// Types of records: an address of version 4.
const TYPE_A: u16 = 1;

/// Nobody listens there.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 99, 99, 99);

/// What names lead to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameFault {
    /// To this machine.
    #[default]
    None,
    /// Nowhere: the server has failed.
    Fails,
    /// To where nobody listens.
    Elsewhere,
    /// To this machine, so late.
    Late(Duration),
}

/// Questions that a fault befell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameCounts {
    /// Answered by a failure.
    pub failed: u64,
    /// Led elsewhere.
    pub elsewhere: u64,
    /// Answered late.
    pub late: u64,
}

#[derive(Debug, Default)]
struct State {
    fault: NameFault,
    counts: NameCounts,
}

/// The server. Dropped, it ends.
#[derive(Debug)]
pub struct NameStub {
    address: Ipv4Addr,
    state: Arc<Mutex<State>>,
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

impl NameStub {
    /// One at an address of this machine that nobody else uses: its last bytes are this process's number.
    ///
    /// # Errors
    ///
    /// The port may not be used, or the system gives no thread.
    pub fn start() -> io::Result<Self> {
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 77, high, low);
        let socket = UdpSocket::bind(SocketAddr::from((address, PORT)))?;
        socket.set_read_timeout(Some(LOOKS_EVERY))?;
        let (state, stop) = (Arc::<Mutex<State>>::default(), Arc::<Stop>::default());
        let (answers, ends) = (state.clone(), stop.clone());
        let serve = move || {
            let mut question = [0; QUESTION_BYTES_MAX];
            while !ends.wait(Duration::ZERO) {
                let Ok((length, from)) = socket.recv_from(&mut question) else { continue };
                let fault = locked(&answers).fault;
                if let NameFault::Late(time) = fault {
                    ends.wait(time);
                }
                let Some(answer) = answer(question.get(..length).unwrap_or_default(), fault) else {
                    continue;
                };
                // Whoever asked may have given up.
                let _ = socket.send_to(&answer, from);
                locked(&answers).counts.note(fault);
            }
        };
        let thread = Some(Builder::new().name("names".to_owned()).spawn(serve)?);
        Ok(Self { address, state, stop, thread })
    }

    /// What a resolver is configured by.
    pub fn configuration(&self) -> String {
        format!("nameserver {}\noptions timeout:5 attempts:2\n", self.address)
    }

    /// From now on names lead so.
    pub fn set(&self, fault: NameFault) {
        locked(&self.state).fault = fault;
    }

    /// What it has done.
    pub fn counts(&self) -> NameCounts {
        locked(&self.state).counts
    }
}

impl Drop for NameStub {
    fn drop(&mut self) {
        self.stop.set();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl NameCounts {
    fn note(&mut self, fault: NameFault) {
        match fault {
            NameFault::None => {}
            NameFault::Fails => self.failed += 1,
            NameFault::Elsewhere => self.elsewhere += 1,
            NameFault::Late(_) => self.late += 1,
        }
    }
}

/// The answer to a question; `None` if it is none.
fn answer(question: &[u8], fault: NameFault) -> Option<Vec<u8>> {
    let (head, rest) = question.split_at_checked(HEAD_BYTES)?;
    // Labels until an empty one, type and class.
    let mut end = 0;
    while let length @ 1.. = usize::from(*rest.get(end)?) {
        end += length + 1;
    }
    let asked = rest.get(..end + 5)?;
    let kind = u16::from_be_bytes([*asked.get(end + 1)?, *asked.get(end + 2)?]);
    let address = match fault {
        NameFault::Elsewhere => ELSEWHERE,
        _ => Ipv4Addr::LOCALHOST,
    };
    let is_failure = fault == NameFault::Fails;
    let has_address = kind == TYPE_A && !is_failure;
    let mut answer = head.get(..2)?.to_vec();
    // An answer, by one that recurs; 2 is a failure of the server.
    answer.extend([0x81, if is_failure { 0x82 } else { 0x80 }]);
    for count in [1, u16::from(has_address), 0, 0] {
        answer.extend(count.to_be_bytes());
    }
    answer.extend(asked);
    if has_address {
        // The name that was asked for, an address of the internet, not to be kept, four bytes.
        answer.extend([0xc0, HEAD_BYTES as u8, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a resolver asks for `a.test`.
    fn question(kind: u8) -> Vec<u8> {
        let head = [7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        [&head[..], b"\x01a\x04test\x00", &[0, kind, 0, 1]].concat()
    }

    #[test]
    fn a_name_leads_where_the_fault_says() {
        let check = |kind: u8, fault: NameFault, code: u8, end: &[u8]| {
            let answer = answer(&question(kind), fault).unwrap();
            assert_eq!((&answer[..2], answer[3]), (&[7, 9][..], code), "{fault:?}");
            assert!(answer.ends_with(end), "{fault:?}: {answer:?}");
        };
        check(1, NameFault::None, 0x80, &[0, 4, 127, 0, 0, 1]);
        check(1, NameFault::Late(Duration::ZERO), 0x80, &[0, 4, 127, 0, 0, 1]);
        check(1, NameFault::Elsewhere, 0x80, &[0, 4, 127, 99, 99, 99]);
        check(1, NameFault::Fails, 0x82, &[0, 1, 0, 1]);
        check(28, NameFault::None, 0x80, &[0, 28, 0, 1]);
    }

    #[test]
    fn what_is_no_question_has_no_answer() {
        for bytes in [&b""[..], &[0; 11], &[255; 40], &question(1)[..14]] {
            assert_eq!(answer(bytes, NameFault::None), None, "{bytes:?}");
        }
    }
}
