//! What was on the wire: tcpdump, started, stopped and read back.

use crate::clock;
use crate::error::{Error, Result};
use crate::node::Node;
use crate::process::Process;
use crate::wait::wait_until;
use rustix::process::Signal;
use std::time::Duration;

/// How long tcpdump may take to start or to end in an emulated guest.
const LIMIT: Duration = Duration::from_secs(20);

/// A running capture.
#[derive(Debug)]
pub struct Capture<'a> {
    node: &'a Node,
    file: String,
    tcpdump: Process,
}

/// One captured packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// When, by [`clock::now`].
    pub at: Duration,
    /// What tcpdump says of it, with link-layer header, addresses as numbers.
    pub text: String,
}

/// A finished capture.
#[derive(Debug)]
pub struct Captured<'a> {
    node: &'a Node,
    file: String,
}

impl<'a> Capture<'a> {
    /// Starts capturing what `filter` lets through on an interface of `node`, and returns when it does.
    ///
    /// # Errors
    /// If tcpdump does not start: a mistake in the filter, most often.
    pub fn start(node: &'a Node, interface: &str, filter: &str) -> Result<Self> {
        let file = format!("/run/{interface}.{}.pcap", clock::now().as_nanos());
        let command = ["tcpdump", "-i", interface, "-n", "-U", "--immediate-mode", "-Z", "root", "-w", &file, filter];
        let tcpdump = node.start("tcpdump", &command)?;
        wait_until("tcpdump to listen", LIMIT, || tcpdump.output().contains("listening on") || !tcpdump.is_running())?;
        if !tcpdump.is_running() {
            return Err(Error::Senseless(format!("tcpdump on {} ended: {}", node.name(), tcpdump.output())));
        }
        Ok(Self { node, file, tcpdump })
    }

    /// Ends it. Everything that arrived before is in what is returned.
    ///
    /// # Errors
    /// If tcpdump does not end.
    pub fn stop(self) -> Result<Captured<'a>> {
        self.tcpdump.signal(Signal::INT);
        self.tcpdump.wait(LIMIT)?;
        Ok(Captured { node: self.node, file: self.file })
    }
}

impl Captured<'_> {
    /// The packets that match `filter`, all for an empty one, in the order of arrival.
    ///
    /// # Errors
    /// If tcpdump cannot read what it has written.
    pub fn packets(&self, filter: &str) -> Result<Vec<Packet>> {
        let text = self.node.run(&["tcpdump", "-r", &self.file, "-n", "-e", "-tt", filter])?;
        let boot = clock::of_day().saturating_sub(clock::now());
        Ok(text.lines().filter_map(|line| packet(line, boot)).collect())
    }

    /// How many packets match `filter`.
    ///
    /// # Errors
    /// See [`Captured::packets`].
    pub fn count(&self, filter: &str) -> Result<usize> {
        self.packets(filter).map(|packets| packets.len())
    }
}

/// `1763640000.123456 ... text`; continued lines start with a blank.
fn packet(line: &str, boot: Duration) -> Option<Packet> {
    let (at, text) = line.split_once(' ')?;
    let (seconds, micros) = at.split_once('.')?;
    let at = Duration::new(seconds.parse().ok()?, micros.parse::<u32>().ok()?.checked_mul(1000)?);
    Some(Packet { at: at.saturating_sub(boot), text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_tcpdump_is_a_time_and_a_text() {
        let packet = packet("100.250000 ARP, Request who-has 192.168.60.200", Duration::from_secs(90)).unwrap();
        assert_eq!(packet.at, Duration::from_millis(10_250));
        assert_eq!(packet.text, "ARP, Request who-has 192.168.60.200");
        assert_eq!(super::packet("        0x0000:  4500", Duration::ZERO), None);
    }
}
