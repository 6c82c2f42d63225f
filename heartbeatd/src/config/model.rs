//! What the three files come to: nothing in here can be contradictory.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use super::{Fence, Helper, Medium};
use crate::wire::{Form, Keys};

/// How the generation of the daemon is numbered (spec 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GenerationMethod {
    /// One more than last time, from a file.
    File,
    /// `time(2)` at start.
    Time,
}

/// Where the node's UUID comes from (spec 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UuidFrom {
    /// Made once and kept in a file.
    File,
    /// Derived from the node's name.
    NodeName,
}

/// ha.cf, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HaCf {
    /// This node's name as ha.cf has it, in lower case; one of `nodes`.
    pub local: String,
    /// One to eight names in lower case, in the order of the file.
    pub nodes: Vec<String>,
    /// Interval of our statuses; at least 1 ms.
    pub keepalive: Duration,
    /// Silence after which a node is dead; more than twice `keepalive`.
    pub deadtime: Duration,
    /// Gap above which a late heartbeat is logged.
    pub warntime: Duration,
    /// The same as `deadtime` until communication is up; at least `deadtime`.
    pub initdead: Duration,
    /// At least one, at most 64, in the order of the file.
    pub media: Vec<Medium>,
    /// What is asked whether it answers, in the order of the file; names are unique.
    pub pings: Vec<PingNode>,
    /// Silence after which a ping node is dead; more than twice `keepalive`.
    pub deadping: Duration,
    /// A node that reaches fewer ping nodes than the other gives it everything.
    pub ipfail: bool,
    /// Programs that run while communication is up, started in this order.
    pub helpers: Vec<Helper>,
    /// What switches another node off when it is silent, tried in this order. Empty: its groups are taken at once.
    pub fences: Vec<Fence>,
    /// Groups go home when their node returns. `legacy` and no `auto_failback` at all mean this
    /// too: what heartbeat's old protocol does by itself (spec 6.8).
    pub auto_failback: bool,
    /// `auto_failback legacy`, or no `auto_failback`: that protocol is spoken with an old heartbeat.
    pub legacy: bool,
    /// Feeds the field `ttl`.
    pub hopfudge: u8,
    /// Between two requests for the same missing message.
    pub max_rexmit_delay: Duration,
    /// How generations are numbered.
    pub generation: GenerationMethod,
    /// Where the UUID comes from.
    pub uuid: UuidFrom,
    /// How our messages are written (`msgfmt`).
    pub form: Form,
    /// 0 to 255; from 1 on, more is logged.
    pub debug: u8,
    /// What resets the machine when the main loop stands still.
    pub watchdog: Option<PathBuf>,
    /// Of the system log (`logfacility`), a name that `lvs::daemon::logging::facility` knows; `None`: daemon.
    pub facility: Option<String>,
    /// `HA_<NAME>` and value, for scripts: directives as written, and `env` lines.
    pub environment: Vec<(String, String)>,
}

impl HaCf {
    /// The other node's name in a pair, the first other one where there are more; `None` in a cluster of one.
    #[must_use]
    pub fn peer(&self) -> Option<&str> {
        self.others().next()
    }

    /// Every node but this one.
    pub fn others(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(String::as_str).filter(|node| *node != self.local)
    }

    /// The field `ttl` of our messages (spec 4.6).
    #[must_use]
    pub fn ttl(&self) -> u32 {
        // At most eight nodes, and one name a ping node in a file of bounded size.
        u32::from(self.hopfudge) + (self.nodes.len() + self.pings.len()) as u32
    }
}

/// One ping node: alive while any of its hosts answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PingNode {
    /// The host as written, or the name of the group.
    pub name: String,
    /// At least one.
    pub hosts: Vec<IpAddr>,
}

/// A line of haresources: what moves together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The node it is at home on; one of the nodes of ha.cf.
    pub home: String,
    /// The homes that follow it where there are more than two nodes, each one of ha.cf's; the rest of those comes after.
    pub then: Vec<String>,
    /// At least one, started in this order and stopped in the reverse one.
    pub resources: Vec<Resource>,
}

impl Group {
    /// The first resource as written, which names the group (spec 2.1).
    #[must_use]
    pub fn key(&self) -> &str {
        self.resources.first().map_or("", |resource| &resource.written)
    }
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// As it stands in haresources, for log lines.
    pub written: String,
    /// What is to be done.
    pub kind: ResourceKind,
}

/// What a resource is. All but scripts are carried out without a child process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceKind {
    /// A virtual address: a bare address, `IPaddr`, `IPaddr2` or `IPv6addr`.
    Address(VipSpec),
    /// `LVSSyncDaemonSwap`: this node's IPVS sync daemon takes the role while it has the group.
    SyncDaemon {
        /// The role with the group; without it, the other one.
        role: SyncRole,
        /// Multicast interface.
        interface: String,
        /// 0 to 255.
        id: u8,
    },
    /// `ldirectord::FILE`: an order to ldirectord over its socket, or its script where it does not run.
    Ldirectord {
        /// The configuration file as written; `ldirectord.cf` where none is.
        config: String,
    },
    /// Anything else: `resource.d/NAME` or `init.d/NAME`.
    Script {
        /// File name without a slash.
        name: String,
        /// What stood between `::`.
        args: Vec<String>,
    },
}

impl ResourceKind {
    /// Whether two nodes may have it for the moment of a planned switch. A file system may not, and of a script nobody
    /// knows, but for these: they change nothing that the other node could see.
    #[must_use]
    pub fn overlaps(&self) -> bool {
        match self {
            Self::Address(_) | Self::SyncDaemon { .. } | Self::Ldirectord { .. } => true,
            Self::Script { name, .. } => matches!(name.as_str(), "IPsrcaddr" | "MailTo" | "SendArp"),
        }
    }
}

/// The two roles of an IPVS sync daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncRole {
    /// Sends connections to the other node.
    Master,
    /// Receives them.
    Backup,
}

/// A virtual address as haresources asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VipSpec {
    /// IPv4 or IPv6.
    pub address: IpAddr,
    /// Mask bits, within the family's. `None`: those of the route that covers the address.
    pub prefix: Option<u8>,
    /// `None`: the interface of the route that covers the address.
    pub interface: Option<String>,
    /// `INTERFACE:NAME`, at most 15 characters; IPv4 only.
    pub label: Option<String>,
    /// IPv4 only; `None`: computed from the prefix.
    pub broadcast: Option<Ipv4Addr>,
}

/// The three files together.
#[derive(Debug)]
pub struct Config {
    /// Where they were read from.
    pub directory: PathBuf,
    /// ha.cf.
    pub ha_cf: HaCf,
    /// haresources, in the order of the file; keys are unique.
    pub groups: Vec<Group>,
    /// authkeys.
    pub keys: Keys,
}
