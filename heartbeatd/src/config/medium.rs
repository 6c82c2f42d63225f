//! The cables heartbeats go over (spec/heartbeat.md 1.3, 4.1).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::Surroundings;
use super::source::Word;
use super::value::{self, Wrong};

/// One line `bcast`, `mcast`, `mcast6`, `ucast`, `ucast6` or `serial`; a `bcast` line with several interfaces is
/// several of these, and so is a `serial` line with several devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Medium {
    /// Datagrams over an interface.
    Udp(Udp),
    /// A serial line.
    Serial(Line),
}

/// A medium of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Udp {
    /// UDP broadcast on an interface.
    Bcast {
        /// The interface.
        interface: String,
        /// UDP port.
        port: u16,
    },
    /// UDP multicast.
    Mcast {
        /// The interface.
        interface: String,
        /// A class D address.
        group: Ipv4Addr,
        /// UDP port; `udpport` does not act on it.
        port: u16,
        /// Time to live, 0 to 4.
        ttl: u8,
        /// Whether this node hears itself.
        loopback: bool,
    },
    /// UDP multicast over IPv6.
    Mcast6 {
        /// The interface.
        interface: String,
        /// A multicast address.
        group: Ipv6Addr,
        /// UDP port.
        port: u16,
        /// Hop limit, 0 to 4.
        hops: u8,
        /// Whether this node hears itself.
        loopback: bool,
    },
    /// UDP to one address.
    Ucast {
        /// The interface.
        interface: String,
        /// To whom; may be an address of this node, so that both nodes can have the same file.
        peer: Ipv4Addr,
        /// UDP port.
        port: u16,
    },
    /// UDP to one IPv6 address.
    Ucast6 {
        /// The interface.
        interface: String,
        /// To whom.
        peer: Ipv6Addr,
        /// UDP port.
        port: u16,
    },
}

/// A serial line, a cable from one node to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The device, such as `/dev/ttyS0`.
    pub device: String,
    /// Bits a second, one of [`BAUDS`].
    pub baud: u32,
}

/// The speeds that heartbeat has.
pub(super) const BAUDS: [u32; 7] = [9600, 19200, 38400, 57600, 115_200, 230_400, 460_800];
/// The speed of a line without `baud`.
pub(super) const BAUD: u32 = 19200;

impl Medium {
    /// What names the link (spec 5.7): the interface, which several media may share, or the device.
    #[must_use]
    pub fn link(&self) -> &str {
        match self {
            Self::Udp(udp) => udp.interface(),
            Self::Serial(line) => &line.device,
        }
    }
}

impl Udp {
    /// The interface.
    #[must_use]
    pub fn interface(&self) -> &str {
        match self {
            Self::Bcast { interface, .. }
            | Self::Mcast { interface, .. }
            | Self::Mcast6 { interface, .. }
            | Self::Ucast { interface, .. }
            | Self::Ucast6 { interface, .. } => interface,
        }
    }
}

impl fmt::Display for Medium {
    /// "ucast hb0 10.99.0.2", "serial /dev/ttyS0"
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(udp) => udp.fmt(f),
            Self::Serial(line) => write!(f, "serial {}", line.device),
        }
    }
}

impl fmt::Display for Udp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bcast { interface, .. } => write!(f, "bcast {interface}"),
            Self::Mcast { interface, group, .. } => write!(f, "mcast {interface} {group}"),
            Self::Mcast6 { interface, group, .. } => write!(f, "mcast6 {interface} {group}"),
            Self::Ucast { interface, peer, .. } => write!(f, "ucast {interface} {peer}"),
            Self::Ucast6 { interface, peer, .. } => write!(f, "ucast6 {interface} {peer}"),
        }
    }
}

/// A mistake and the word it is in.
pub(super) type Mistake = (Word, Wrong);

fn mistake<T>(word: &Word, message: impl Into<String>, help: impl Into<String>) -> Result<T, Mistake> {
    Err((word.clone(), Wrong { message: message.into(), help: Some(help.into()) }))
}

fn interface(word: &Word) -> Result<String, Mistake> {
    let name = &word.text;
    if name.len() > 15 || name.contains('/') || matches!(name.as_str(), "." | "..") {
        return mistake(
            word,
            format!("{name:?} cannot be an interface"),
            "names have at most 15 characters and no slash",
        );
    }
    Ok(name.clone())
}

/// What kind of medium a directive of the group declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bcast,
    Mcast,
    Mcast6,
    Ucast,
    Ucast6,
    Serial,
}

/// What directives above the medium's say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Above {
    /// `udpport`.
    pub(super) port: u16,
    /// `baud`.
    pub(super) baud: u32,
}

/// One of [`BAUDS`].
pub(super) fn baud(text: &str) -> Result<u32, Wrong> {
    text.parse().ok().filter(|baud| BAUDS.contains(baud)).ok_or_else(|| Wrong {
        message: format!("{text:?} is not the speed of a serial line"),
        help: Some(format!("one of {}", BAUDS.map(|baud| baud.to_string()).join(", "))),
    })
}

fn line(word: &Word, baud: u32, around: &Surroundings) -> Result<Line, Mistake> {
    let device = word.text.clone();
    if !device.starts_with('/') {
        return mistake(word, format!("{device:?} is not a device"), "its whole path, as in /dev/ttyS0");
    }
    // One that is not there may come; what is there and is something else will not become a line.
    if (around.is_device)(Path::new(&device)).is_ok_and(|is_device| !is_device) {
        return mistake(
            word,
            format!("{device:?} is not a serial line"),
            "a device such as /dev/ttyS0 or /dev/ttyUSB0",
        );
    }
    Ok(Line { device, baud })
}

impl Kind {
    /// By the directive's name; `udp` is an old one for `bcast`.
    pub(super) fn of(directive: &str) -> Option<Self> {
        Some(match directive {
            "bcast" | "udp" => Self::Bcast,
            "mcast" => Self::Mcast,
            "mcast6" => Self::Mcast6,
            "ucast" => Self::Ucast,
            "ucast6" => Self::Ucast6,
            "serial" => Self::Serial,
            _ => return None,
        })
    }

    /// The media of one line: `words` behind the directive, of which there is at least one.
    pub(super) fn read(self, words: &[Word], above: Above, around: &Surroundings) -> Vec<Result<Medium, Mistake>> {
        let Above { port, baud } = above;
        let broadcast = |word| interface(word).map(|interface| Medium::Udp(Udp::Bcast { interface, port }));
        match self {
            Self::Bcast => words.iter().map(broadcast).collect(),
            Self::Mcast | Self::Mcast6 => vec![self.multicast(words).map(Medium::Udp)],
            Self::Ucast | Self::Ucast6 => vec![self.unicast(words, port, around).map(Medium::Udp)],
            Self::Serial => words.iter().map(|word| line(word, baud, around).map(Medium::Serial)).collect(),
        }
    }

    fn multicast(self, words: &[Word]) -> Result<Udp, Mistake> {
        let [nic, group, port, ttl, loopback] = words else {
            let missing = ["group", "port", "ttl", "loop"].get(words.len() - 1);
            let message = missing.map_or("too many words".into(), |missing| format!("the {missing} is missing"));
            let example =
                if self == Self::Mcast { "mcast eth0 239.0.0.1 694 1 0" } else { "mcast6 eth0 ff02::1:694 694 1 0" };
            let last = words.get(5).unwrap_or(&words[words.len().min(5) - 1]);
            return mistake(last, message, format!("interface, group, port, ttl and loop, as in \"{example}\""));
        };
        let number = |word: &Word, least, most| value::number(&word.text, least, most).map_err(|w| (word.clone(), w));
        let interface = interface(nic)?;
        // Both are within the bounds just checked.
        let udp = number(port, 1, 65535)? as u16;
        let ttl_value = number(ttl, 0, 4)? as u8;
        let loopback = number(loopback, 0, 1)? == 1;
        if self == Self::Mcast {
            match group.text.parse::<Ipv4Addr>().ok().filter(Ipv4Addr::is_multicast) {
                Some(group) => Ok(Udp::Mcast { interface, group, port: udp, ttl: ttl_value, loopback }),
                None => {
                    mistake(group, format!("{:?} is no multicast address", group.text), "224.0.0.0 to 239.255.255.255")
                }
            }
        } else {
            match group.text.parse::<Ipv6Addr>().ok().filter(Ipv6Addr::is_multicast) {
                Some(group) => Ok(Udp::Mcast6 { interface, group, port: udp, hops: ttl_value, loopback }),
                None => mistake(group, format!("{:?} is no IPv6 multicast address", group.text), "it starts with ff"),
            }
        }
    }

    fn unicast(self, words: &[Word], port: u16, around: &Surroundings) -> Result<Udp, Mistake> {
        let [nic, host] = words else {
            let message = if words.len() < 2 { "the address to send to is missing" } else { "too many words" };
            let last = words.get(2).unwrap_or(&words[0]);
            return mistake(last, message, "interface and the peer's address, as in \"ucast eth0 10.0.0.2\"");
        };
        let interface = interface(nic)?;
        let addresses = match host.text.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => match (around.resolve)(&host.text) {
                Ok(addresses) => addresses,
                Err(e) => {
                    let help = "write the address itself: heartbeats should not depend on a name service";
                    return mistake(host, format!("cannot resolve {:?}: {e}", host.text), help);
                }
            },
        };
        let v4 = || addresses.iter().find_map(|a| if let IpAddr::V4(a) = a { Some(*a) } else { None });
        let v6 = || addresses.iter().find_map(|a| if let IpAddr::V6(a) = a { Some(*a) } else { None });
        match self {
            Self::Ucast6 => match v6() {
                Some(peer) => Ok(Udp::Ucast6 { interface, peer, port }),
                None => {
                    mistake(host, format!("{:?} has no IPv6 address", host.text), "for IPv4 the directive is ucast")
                }
            },
            _ => match v4() {
                Some(peer) => Ok(Udp::Ucast { interface, peer, port }),
                None => {
                    mistake(host, format!("{:?} has no IPv4 address", host.text), "for IPv6 the directive is ucast6")
                }
            },
        }
    }
}
