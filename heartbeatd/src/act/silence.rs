//! Keeping quiet about connections that are still on their way here.
//!
//! See [`lvs::netlink::route::Client::silence`]. It lasts for a moment after an address was taken in a
//! planned switch, and never longer than this program: the guard ends it too.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use lvs::netlink::RequestError;
use lvs::netlink::route::Client;

/// A client sends again after a fifth of a second and then after twice that; what the peer sends
/// has arrived long before.
const FOR: Duration = Duration::from_secs(1);

/// The addresses that are silent now.
#[derive(Debug)]
pub struct Silence {
    kernel: Client,
    until: BTreeMap<IpAddr, Instant>,
}

impl Silence {
    /// None. What an earlier run has left is ended.
    ///
    /// # Errors
    /// If there is no room for a socket.
    pub fn open() -> io::Result<Self> {
        let mut this = Self { kernel: Client::open()?, until: BTreeMap::new() };
        // A kernel without policy routing has no rules to be left behind.
        for ip in this.kernel.silenced().unwrap_or_default() {
            this.end(ip);
        }
        Ok(this)
    }

    /// Begins.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn begin(&mut self, now: Instant, ip: IpAddr) -> Result<(), RequestError> {
        self.kernel.silence(ip)?;
        self.until.insert(ip, now + FOR);
        Ok(())
    }

    /// Ends it now, if it lasts.
    pub fn end(&mut self, ip: IpAddr) {
        self.until.remove(&ip);
        if let Err(e) = self.kernel.unsilence(ip) {
            log::error!("{}: remove the rule \"ip rule del from {ip} iif lo\" by hand", lvs::diag::chain(&e));
        }
    }

    /// What has lasted long enough; to be ended by [`Self::end`].
    #[must_use]
    pub fn over(&self, now: Instant) -> Vec<IpAddr> {
        self.until.iter().filter(|(_, until)| **until <= now).map(|(ip, _)| *ip).collect()
    }

    /// Whether the address is silent.
    #[must_use]
    pub fn lasts(&self, ip: IpAddr) -> bool {
        self.until.contains_key(&ip)
    }

    /// When [`Self::over`] next has something.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.until.values().min().copied()
    }
}
