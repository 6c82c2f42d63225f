//! Who answers for a virtual address, asked over the network by a machine that has no part in it.

use crate::clock;
use crate::error::{Attempt, Error, Result};
use crate::node::Node;
use lvs::netlink::announce::{Announcer, frame};
use lvs::netlink::route::Client;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Between two questions.
const EVERY: Duration = Duration::from_millis(5);
const ETH_P_ARP: i32 = 0x0806;

/// One answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// When it came, by [`clock::now`].
    pub at: Duration,
    /// Whose it was.
    pub mac: [u8; 6],
}

/// All answers between start and stop.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    /// In the order of time.
    pub all: Vec<Claim>,
    /// The longest time that a question was late: as late was everybody else on this machine.
    pub late: Duration,
}

impl Claims {
    /// The first answer of this machine.
    #[must_use]
    pub fn first(&self, mac: [u8; 6]) -> Option<Duration> {
        self.all.iter().find(|claim| claim.mac == mac).map(|claim| claim.at)
    }

    /// Its last one.
    #[must_use]
    pub fn last(&self, mac: [u8; 6]) -> Option<Duration> {
        self.all.iter().rfind(|claim| claim.mac == mac).map(|claim| claim.at)
    }

    /// What came within these times.
    #[must_use]
    pub fn between(&self, from: Duration, to: Duration) -> Self {
        let all = self.all.iter().filter(|claim| (from..to).contains(&claim.at)).copied().collect();
        Self { all, late: self.late }
    }

    /// From the first answer of `new` to the last one of `old`: how long both had it. Zero if `old` had stopped by then.
    ///
    /// # Panics
    /// If one of them never answered: then nothing is known.
    #[must_use]
    pub fn both(&self, old: [u8; 6], new: [u8; 6]) -> Duration {
        let last = self.last(old).expect("the old owner has answered");
        last.saturating_sub(self.first(new).expect("the new owner has answered"))
    }

    /// The longest time nobody answered.
    #[must_use]
    pub fn longest_silence(&self) -> Duration {
        self.all.windows(2).map(|pair| pair[1].at.saturating_sub(pair[0].at)).max().unwrap_or_default()
    }
}

/// Asks until it is stopped.
#[derive(Debug)]
pub struct ClaimWatch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Claims>>,
}

impl ClaimWatch {
    /// Starts asking who has `address`, from `node` over its `eth0`, as duplicate address detection asks: nobody learns
    /// anything from the question.
    ///
    /// # Errors
    /// Sockets cannot be had, or the address is not of IPv4.
    pub fn start(node: &Node, address: IpAddr) -> Result<Self> {
        let IpAddr::V4(ip) = address else { return Err(Error::Senseless(format!("{address} is not of IPv4"))) };
        let opened = node.in_network(|| -> std::io::Result<(u32, [u8; 6], Announcer, Socket)> {
            let (index, mac) = eth0(&mut Client::open()?)?;
            let protocol = Protocol::from(i32::from((ETH_P_ARP as u16).to_be()));
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol))?;
            socket.set_read_timeout(Some(EVERY))?;
            Ok((index, mac, Announcer::open()?, socket))
        })?;
        let (index, mac, announcer, socket) = opened.attempt(|| format!("ask from {}", node.name()))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut claims = Claims::default();
            let mut next = clock::now();
            while !stopped.load(Ordering::Relaxed) {
                let now = clock::now();
                if next <= now {
                    claims.late = claims.late.max(now - next);
                    next = now + EVERY;
                    // A cable that is cut is what the story is about.
                    let _ = announcer.send(index, &frame::arp_probe(mac, ip));
                }
                hear(&socket, ip, mac, &mut claims);
            }
            claims
        });
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Ends it and returns what was heard.
    ///
    /// # Panics
    /// If the asking thread did.
    #[must_use]
    pub fn stop(mut self) -> Claims {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(|thread| thread.join().expect("a thread without panics")).unwrap_or_default()
    }
}

impl Drop for ClaimWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// The hardware address of a machine's `eth0`.
///
/// # Errors
/// It has none.
pub fn mac(node: &Node) -> Result<[u8; 6]> {
    let found = node.in_network(|| eth0(&mut Client::open()?))?;
    found.map(|(_, mac)| mac).attempt(|| format!("look for eth0 of {}", node.name()))
}

fn eth0(client: &mut Client) -> std::io::Result<(u32, [u8; 6])> {
    let link = client.link("eth0").map_err(std::io::Error::other)?;
    let found = link.and_then(|link| Some((link.index, link.mac?)));
    found.ok_or_else(|| std::io::ErrorKind::NotFound.into())
}

fn hear(mut socket: &Socket, ip: Ipv4Addr, ours: [u8; 6], claims: &mut Claims) {
    let mut frame = [0; 128];
    if let Ok(length) = socket.read(&mut frame)
        && let Some(mac) = frame::claim(&frame[..length.min(frame.len())], ip.into())
        && mac != ours
    {
        claims.all.push(Claim { at: clock::now(), mac });
    }
}
