//! What a program in an image can call while it is verified: a server on a loopback port, which only counts, and a DNS server
//! on a loopback address, which knows one name. Both end with the value.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

pub(super) const IN_HOSTS: &str = "in-hosts.presence.test";
pub(super) const IN_DNS: &str = "in-dns.presence.test";
/// A loopback address that nobody else uses: port 53 is the only one that a `resolv.conf` can mean.
pub(super) const RESOLVER: Ipv4Addr = Ipv4Addr::new(127, 53, 65, 32);
/// How often a thread looks whether it is still wanted.
const BEAT: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
struct Seen {
    calls: AtomicUsize,
    questions: AtomicUsize,
    over: AtomicBool,
}

#[derive(Debug)]
pub(super) struct World {
    port: u16,
    seen: Arc<Seen>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl World {
    pub(super) fn open(with_dns: bool) -> Result<Self> {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen on a loopback port")?;
        server.set_nonblocking(true).context("listen without waiting")?;
        let port = server.local_addr().context("ask for the port")?.port();
        let seen = Arc::new(Seen::default());
        let mut world = Self { port, seen: Arc::clone(&seen), threads: Vec::new() };
        if with_dns {
            let at = SocketAddrV4::new(RESOLVER, 53);
            let socket = UdpSocket::bind(at).with_context(|| format!("stand in for a DNS server on {at}"))?;
            socket.set_read_timeout(Some(BEAT)).context("read without waiting for ever")?;
            let seen = Arc::clone(&seen);
            world.threads.push(thread::spawn(move || resolve(&socket, &seen)));
        }
        world.threads.push(thread::spawn(move || serve(&server, &seen)));
        Ok(world)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn calls(&self) -> usize {
        self.seen.calls.load(Ordering::SeqCst)
    }

    /// Whether the name in DNS was asked for.
    pub(super) fn was_asked(&self) -> bool {
        self.seen.questions.load(Ordering::SeqCst) > 0
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.seen.over.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            // A panic in it has been shown already.
            let _ = thread.join();
        }
    }
}

fn serve(server: &TcpListener, seen: &Seen) {
    while !seen.over.load(Ordering::SeqCst) {
        match server.accept() {
            Ok((mut caller, _)) => {
                seen.calls.fetch_add(1, Ordering::SeqCst);
                // The caller may have gone: it has been counted.
                let _ = caller
                    .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            }
            Err(_) => thread::sleep(BEAT),
        }
    }
}

fn resolve(socket: &UdpSocket, seen: &Seen) {
    let mut question = [0; 512];
    while !seen.over.load(Ordering::SeqCst) {
        let Ok((length, from)) = socket.recv_from(&mut question) else { continue };
        let Some((is_known, answer)) = answer(&question[..length]) else { continue };
        if is_known {
            seen.questions.fetch_add(1, Ordering::SeqCst);
        }
        // A lost answer is asked for again.
        let _ = socket.send_to(&answer, from);
    }
}

/// Whether it was our name, and the answer: 127.0.0.1 for its A record, no record of any other kind, and no other name.
fn answer(question: &[u8]) -> Option<(bool, Vec<u8>)> {
    let (header, rest) = question.split_at_checked(12)?;
    let name_end = rest.iter().position(|byte| *byte == 0)?;
    let asked = rest.get(..name_end + 5)?;
    let is_known = asked[..=name_end].eq_ignore_ascii_case(&encoded(IN_DNS));
    let has_address = is_known && asked[name_end + 1..] == [0, 1, 0, 1];
    let mut answer = header[..2].to_vec();
    // An answer, recursion desired and available; with "no such name" where it is not ours.
    answer.extend([0x81, if is_known { 0x80 } else { 0x83 }]);
    answer.extend([0, 1, 0, u8::from(has_address), 0, 0, 0, 0]);
    answer.extend(asked);
    if has_address {
        // The name above, A, IN, one second, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1]);
    }
    Some((is_known, answer))
}

fn encoded(name: &str) -> Vec<u8> {
    let mut encoded = Vec::new();
    for label in name.split('.') {
        encoded.push(u8::try_from(label.len()).unwrap_or_default());
        encoded.extend(label.as_bytes());
    }
    encoded.push(0);
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str, kind: u8) -> Vec<u8> {
        let mut question = vec![7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        question.extend(encoded(name));
        question.extend([0, kind, 0, 1]);
        question
    }

    #[test]
    fn one_name_has_an_address() {
        let (is_known, told) = answer(&question(IN_DNS, 1)).unwrap();
        assert!(is_known);
        assert_eq!(told[..4], [7, 9, 0x81, 0x80]);
        assert!(told.ends_with(&[127, 0, 0, 1]));
        let (is_known, told) = answer(&question(IN_DNS, 28)).unwrap();
        assert!(is_known && told[7] == 0);
        let (is_known, told) = answer(&question("else.test", 1)).unwrap();
        assert!(!is_known && told[3] == 0x83);
    }

    #[test]
    fn what_is_no_question_has_no_answer() {
        assert!(answer(&[]).is_none());
        assert!(answer(&[0; 12]).is_none());
        assert!(answer(&question(IN_DNS, 1)[..20]).is_none());
    }
}
