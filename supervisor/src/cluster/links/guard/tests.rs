use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

/// Real time, since a paused clock would need its own tokio: short where it must pass, long where it must not.
const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(60);

struct Bench {
    read: GuardedRead<DuplexStream>,
    peer: DuplexStream,
    ended: mpsc::Receiver<Ended>,
}

fn bench(side: Side, limit: Duration) -> Bench {
    let (ours, peer) = duplex(64 * 1024);
    let (sender, ended) = mpsc::channel(1);
    let read = GuardedRead {
        inner: BufReader::new(ours),
        idle: Limit::new(limit),
        phase: Phase::Claiming { claim: Claim::new(side), frame: Vec::new() },
        peer: "a".parse().unwrap(),
        error: None,
        ended: sender,
    };
    Bench { read, peer, ended }
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u64).to_be_bytes(), message].concat()
}

fn name(name: &[u8]) -> Vec<u8> {
    framed(&field(1, &field(1, &field(1, name))))
}

/// What comes out until an error, and the error.
async fn refused(side: Side, bytes: &[u8]) -> (Vec<u8>, String) {
    let Bench { mut read, mut peer, mut ended } = bench(side, LONG);
    peer.write_all(bytes).await.unwrap();
    drop(peer);
    let mut out = Vec::new();
    let error = read.read_to_end(&mut out).await.unwrap_err().to_string();
    drop(read);
    let told = ended.recv().await.unwrap();
    assert_eq!((told.peer.as_str(), told.error.as_deref()), ("a", Some(error.as_str())));
    (out, error)
}

#[tokio::test]
async fn every_byte_passes_behind_a_true_name_however_it_comes() {
    let status = framed(&field(1, &field(2, &[8, 1])));
    let challenge = framed(&field(1, &field(4, &[field(1, b"a.7@orrery"), vec![0x18, 9]].concat())));
    let more = vec![7; 3000];
    let check = async |side, bytes: Vec<u8>, chunk: usize| {
        let Bench { mut read, mut peer, mut ended } = bench(side, LONG);
        let write = async {
            for chunk in bytes.chunks(chunk) {
                peer.write_all(chunk).await.unwrap();
                tokio::task::yield_now().await;
            }
            drop(peer);
        };
        let mut out = Vec::new();
        let (read_out, ()) = tokio::join!(read.read_to_end(&mut out), write);
        read_out.unwrap();
        assert!(out == bytes, "{side:?} by {chunk}");
        drop(read);
        assert_eq!(ended.recv().await.unwrap().error, None);
    };
    for chunk in [1, 7, 4000] {
        check(Side::Accepted, [name(b"a.1@orrery"), more.clone()].concat(), chunk).await;
        check(Side::Dialled, [status.clone(), challenge.clone(), more.clone()].concat(), chunk).await;
    }
}

#[tokio::test]
async fn nothing_of_a_false_name_passes() {
    let check = async |bytes: Vec<u8>, says: &str| {
        let (out, error) = refused(Side::Accepted, &bytes).await;
        assert!(out.is_empty() && error.contains(says), "{error}");
    };
    check(name(b"b.1@orrery"), "its certificate is of `a`, but it claims to be `b`").await;
    check(name(b"a@orrery"), "no node with its incarnation").await;
    check(framed(&field(2, b"x")), "no handshake").await;
    check(framed(b""), "no handshake").await;
    check(u64::MAX.to_be_bytes().to_vec(), "4096 are the most").await;
    check(4097_u64.to_be_bytes().to_vec(), "has 4097 bytes").await;
    check(name(b"a.1@orrery")[..9].to_vec(), "closed within its handshake").await;
    check(Vec::new(), "closed within its handshake").await;
}

#[tokio::test]
async fn silence_ends_a_link_before_and_behind_its_handshake() {
    for begins in [&b""[..], &name(b"a.1@orrery")[..5], &name(b"a.1@orrery")] {
        let Bench { mut read, mut peer, .. } = bench(Side::Accepted, SHORT);
        peer.write_all(begins).await.unwrap();
        let error = read.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::TimedOut, "silent for 50ms"));
    }
}

#[tokio::test]
async fn a_peer_that_takes_no_bytes_ends_its_link() {
    let (ours, mut peer) = duplex(10);
    let mut write = GuardedWrite { inner: ours, stuck: Limit::new(SHORT) };
    let taken = write.write(&[0; 100]).await.unwrap();
    assert_eq!(taken, 10);
    let error = write.write_all(&[0; 100]).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (io::ErrorKind::TimedOut, "took no bytes for 50ms")
    );
    // One that takes them slowly does not.
    let mut write = GuardedWrite { inner: write.inner, stuck: Limit::new(LONG) };
    let mut taken = [0; 110];
    let (written, read) = tokio::join!(write.write_all(&[0; 100]), peer.read_exact(&mut taken));
    written.unwrap();
    assert_eq!(read.unwrap(), 110);
}
