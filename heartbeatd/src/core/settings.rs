//! What the core has to be told before it starts.

use std::time::Duration;

use crate::wire::Uuid;

use super::plan::Plan;
use super::takeover::Files;

/// The part of ha.cf and haresources that decisions rest on (spec/heartbeat.md 1.3, 1.4).
/// Whoever reads the files has checked the relations between the times.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Every node of the cluster, this one too, lower case, in ha.cf's order.
    pub nodes: Vec<String>,
    /// Names of the media, as they appear in log lines.
    pub links: Vec<String>,
    /// Interval between two statuses.
    pub keepalive: Duration,
    /// Silence after which a node is dead; more than twice `keepalive`. Told to the peer,
    /// which goes by it for us.
    pub deadtime: Duration,
    /// Gap between two statuses worth a warning.
    pub warntime: Duration,
    /// `deadtime` until communication is up for the first time.
    pub initdead: Duration,
    /// Longest delay before a lost message is asked for, and interval of asking again.
    pub max_rexmit_delay: Duration,
    /// `hopfudge` + number of nodes.
    pub ttl: u32,
    /// Whether this node gives a returning node its groups back.
    pub auto_failback: bool,
    /// An old heartbeat on the other node has `auto_failback legacy`, as this node's file has
    /// (spec 6.8); another heartbeatd goes by `auto_failback` all the same.
    pub legacy: bool,
    /// Names of the ping nodes, by which [`Event::PingAnswered`](super::Event::PingAnswered) counts.
    pub pings: Vec<String>,
    /// Silence after which a ping node is dead.
    pub deadping: Duration,
    /// Whether a node that reaches fewer ping nodes gives everything to the other.
    pub ipfail: bool,
    /// Whether there is a device that switches the other node off, or an administrator who does it: nothing of a silent
    /// node is taken before.
    pub fences: bool,
    /// What is done about a group that cannot be stopped. `Fence` only where `fences` holds.
    pub stop_failure: lvs::settings::StopFailure,
    /// haresources.
    pub plan: Plan,
    /// Digests of the files, for another heartbeatd to compare.
    pub files: Files,
}

/// Who this node is (spec 5.1, 5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Node name, lower case; one of [`Settings::nodes`].
    pub name: String,
    /// From `hb_uuid`.
    pub uuid: Uuid,
    /// The generation of this life: one above the stored one, and stored before
    /// [`Node::new`](super::Node::new) is called.
    pub generation: u64,
}
