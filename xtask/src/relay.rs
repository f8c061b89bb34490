//! A relay that gives each request to the next server, whoever sends it and on whatever connection.
//!
//! It knows no more of HTTP than the heads: each connection carries one request, and both sides
//! are told so.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The longest head, and how long it may take.
const MAX_HEAD: usize = 64 << 10;
const HEAD: Duration = Duration::from_secs(30);
/// Connections at once.
const MAX_OPEN: usize = 256;

/// A relay on loopback, until it is dropped.
pub(crate) struct Relay {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Relay {
    /// An address for a relay whose servers have to know it first.
    pub(crate) fn listen() -> io::Result<TcpListener> {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
    }

    /// Relays to `servers`, one after the other.
    pub(crate) fn start(listener: TcpListener, servers: Vec<SocketAddr>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        let accepting = thread::spawn(move || accept(&listener, &servers, &stop));
        Ok(Self {
            address,
            stopped,
            accepting: Some(accepting),
        })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // It waits for somebody to come.
        let _ = TcpStream::connect(self.address);
        let _ = self.accepting.take().map(JoinHandle::join);
    }
}

fn accept(listener: &TcpListener, servers: &[SocketAddr], stopped: &AtomicBool) {
    let open = Arc::new(AtomicUsize::new(0));
    let mut next = servers.iter().cycle();
    for client in listener.incoming() {
        if stopped.load(Ordering::Acquire) {
            return;
        }
        let (Ok(client), Some(server)) = (client, next.next()) else {
            continue;
        };
        // One that is not served is closed.
        if open.fetch_add(1, Ordering::AcqRel) >= MAX_OPEN {
            open.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let (open, server) = (Arc::clone(&open), *server);
        thread::spawn(move || {
            // Whoever is cut off sees that for himself.
            let _ = relay(client, server);
            open.fetch_sub(1, Ordering::AcqRel);
        });
    }
}

/// One request and its answer.
fn relay(mut client: TcpStream, server: SocketAddr) -> io::Result<()> {
    let (head, body) = read_head(&mut client)?;
    let mut server = TcpStream::connect(server)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    server.write_all(&closing(&head))?;
    server.write_all(&body)?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    let sending = thread::spawn(move || {
        // The rest of the body, and then nothing until the client hangs up.
        let _ = pass(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let answered = answer(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
    let _ = sending.join();
    answered
}

fn answer(server: &mut TcpStream, client: &mut TcpStream) -> io::Result<()> {
    let (head, body) = read_head(server)?;
    client.write_all(&closing(&head))?;
    client.write_all(&body)?;
    pass(server, client)
}

/// Passes on what comes, as it comes.
fn pass(from: &mut TcpStream, to: &mut TcpStream) -> io::Result<()> {
    from.set_read_timeout(None)?;
    let mut bytes = vec![0; 16 << 10];
    loop {
        let read = from.read(&mut bytes)?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&bytes[..read])?;
    }
}

/// A head with its empty line, and what came after it.
fn read_head(stream: &mut TcpStream) -> io::Result<(Vec<u8>, Vec<u8>)> {
    stream.set_read_timeout(Some(HEAD))?;
    let mut head = Vec::new();
    let mut bytes = [0; 4096];
    while head.len() <= MAX_HEAD {
        if let Some(at) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = head.split_off(at + 4);
            return Ok((head, body));
        }
        let read = stream.read(&mut bytes)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&bytes[..read]);
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// The same head, for a connection that ends after its message.
fn closing(head: &[u8]) -> Vec<u8> {
    let mut closing = Vec::with_capacity(head.len() + 32);
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let of_connection = [&b"connection"[..], b"keep-alive"];
        if of_connection
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
        {
            continue;
        }
        if line == b"\r\n" {
            closing.extend_from_slice(b"connection: close\r\n");
        }
        closing.extend_from_slice(line);
    }
    closing
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::{Relay, closing, read_head};

    #[test]
    fn a_head_says_that_the_connection_ends() {
        let head =
            b"POST /mcp HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\n\r\n";
        let expected = b"POST /mcp HTTP/1.1\r\nHost: a\r\nconnection: close\r\n\r\n";
        assert_eq!(closing(head), expected);
    }

    #[test]
    fn requests_go_to_one_server_after_the_other_and_bodies_both_ways() {
        let servers: Vec<TcpListener> = (0..2)
            .map(|_| Relay::listen().expect("a free port"))
            .collect();
        let addresses = servers
            .iter()
            .map(|server| server.local_addr().expect("it is bound"))
            .collect();
        for (number, server) in servers.into_iter().enumerate() {
            thread::spawn(move || {
                for stream in server.incoming() {
                    let mut stream = stream.expect("a connection");
                    let (_, mut body) = read_head(&mut stream).expect("a head");
                    while body.len() < 4 {
                        let mut byte = [0];
                        stream.read_exact(&mut byte).expect("the body");
                        body.extend(byte);
                    }
                    let body = String::from_utf8(body).expect("text");
                    let said = format!("HTTP/1.1 200 OK\r\n\r\n{number}: {body}");
                    stream.write_all(said.as_bytes()).expect("it is read");
                }
            });
        }
        let listener = Relay::listen().expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let relay = Relay::start(listener, addresses).expect("it starts");
        for expected in ["0: ping", "1: ping", "0: ping"] {
            let mut client = TcpStream::connect(address).expect("it listens");
            for piece in ["POST / HTTP/1.1\r\ncontent-le", "ngth: 4\r\n\r\npi", "ng"] {
                client.write_all(piece.as_bytes()).expect("it reads");
            }
            let mut answer = String::new();
            client.read_to_string(&mut answer).expect("it ends");
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
            assert_eq!(answer, format!("{head}{expected}"));
        }
        drop(relay);
        assert!(TcpStream::connect(address).is_err(), "it is gone");
    }
}
