//! The real servers: one listener that is all of them, because below 127/8 every address is here. It notes who was asked
//! when, and says what a web server says.

use lab::{Attempt, Result};
use socket2::{Domain, Socket, Type};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Connections that wait to be taken up: ten thousand checks may begin at once.
const BACKLOG: i32 = 65_535;
/// A client that says nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(1);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/html\r\nContent-Length: 49\r\n\
    Connection: close\r\n\r\n<html><body><p>This server works.</p></body></html>\n";

/// What a server does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Takes it up and closes it.
    Accept,
    /// Answers one request.
    Http,
}

type Asked = BTreeMap<Ipv4Addr, Vec<Instant>>;

/// Real servers that run until the program ends.
#[derive(Debug, Clone)]
pub struct Servers {
    asked: Arc<Mutex<Asked>>,
}

impl Servers {
    /// All of 127/8 at this port.
    pub fn start(port: u16, manner: Manner) -> Result<Self> {
        let listener = listen((Ipv4Addr::UNSPECIFIED, port).into())?;
        let asked = Arc::<Mutex<Asked>>::default();
        let notes = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming().filter_map(|stream| stream.ok()) {
                let now = Instant::now();
                if let Ok(SocketAddr::V4(at)) = stream.local_addr() {
                    held(&notes).entry(*at.ip()).or_default().push(now);
                }
                if manner == Manner::Http {
                    // The client's request is on its way; a connection that breaks is the client's business.
                    let _ = answer(stream);
                }
            }
        });
        Ok(Self { asked })
    }

    /// Forgets who was asked so far.
    pub fn forget(&self) {
        held(&self.asked).clear();
    }

    /// How many servers were asked.
    pub fn seen(&self) -> usize {
        held(&self.asked).len()
    }

    /// When each was asked.
    pub fn asked(&self) -> Asked {
        held(&self.asked).clone()
    }
}

/// A listener that takes as many connections as come; closed when the value goes.
pub fn listen(at: SocketAddr) -> Result<TcpListener> {
    let listen = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&at.into())?;
        socket.listen(BACKLOG)?;
        Ok(TcpListener::from(socket))
    };
    listen().attempt(|| format!("listen at {at}"))
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let (mut request, mut room) = (Vec::new(), [0; 2048]);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut room)? {
            0 => return Ok(()),
            length => request.extend_from_slice(&room[..length]),
        }
    }
    stream.write_all(ANSWER)
}

fn held(asked: &Mutex<Asked>) -> MutexGuard<'_, Asked> {
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}
