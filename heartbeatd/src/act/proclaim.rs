//! `heartbeatd announce`: what resource scripts tell the neighbours with.

use std::io;
use std::net::IpAddr;
use std::thread::sleep;
use std::time::Instant;

use lvs::netlink::RequestError;
use lvs::netlink::address::Address;
use lvs::netlink::announce::Announcer;
use lvs::netlink::route::Client;

use super::address;
use super::announce::{Announcements, Schedule};

/// Why the neighbours could not be told.
#[derive(Debug, thiserror::Error)]
pub enum ProclaimError {
    /// There is no such interface.
    #[error("there is no interface {0}")]
    NoInterface(String),
    /// No interface is named, and none has the address or its network.
    #[error("no interface is in the network of {0}: name one behind it")]
    NotCovered(IpAddr),
    /// The kernel refused a question.
    #[error(transparent)]
    Kernel(#[from] RequestError),
    /// No socket for it; it needs `CAP_NET_RAW`.
    #[error("cannot send to the neighbours")]
    Socket(#[from] io::Error),
    /// Not one announcement left.
    #[error("cannot announce {0}: {1}")]
    Unsent(IpAddr, String),
}

/// Announces an address at an interface, else at the one whose network holds it: for as long as the daemon does it after
/// a takeover, or `once`. Waits that long, and ends early only if the first announcement fails.
///
/// # Errors
/// As [`ProclaimError`] has them.
pub fn proclaim(ip: IpAddr, interface: Option<&str>, once: bool) -> Result<(), ProclaimError> {
    let mut kernel = Client::open()?;
    let announcer = Announcer::open()?;
    let index = match interface {
        Some(name) => kernel.link(name)?.ok_or_else(|| ProclaimError::NoInterface(name.to_owned()))?.index,
        None => kernel.covering(ip)?.ok_or(ProclaimError::NotCovered(ip))?.interface,
    };
    let whole = if ip.is_ipv4() { 32 } else { 128 };
    let at = Address::new(index, ip, whole);
    let tell = |kernel: &mut Client| {
        let links = kernel.links()?;
        address::announce(&announcer, &links, &at).map_err(|why| ProclaimError::Unsent(ip, why))
    };
    tell(&mut kernel)?;
    if once {
        return Ok(());
    }
    let mut announcements = Announcements::new(Schedule::default());
    let start = Instant::now();
    announcements.start(start, ip);
    // The first one has left.
    announcements.due(start);
    while let Some(next) = announcements.deadline() {
        sleep(next.saturating_duration_since(Instant::now()));
        if !announcements.due(Instant::now()).is_empty() {
            // A cable that is out for a moment is no reason to stop.
            let _ = tell(&mut kernel);
        }
    }
    Ok(())
}
