//! `heartbeatd`, the owner of the virtual addresses.

use serde::{Deserialize, Serialize};

/// Name in the greeting and of the socket.
pub const SPEAKS: &str = "heartbeatd";

/// Which groups a switch is about, seen from the node that is asked (spec/heartbeat.md 6.5).
///
/// ```
/// use lvs::control::heartbeatd::Set;
///
/// let it: Set = serde_json::from_str(r#""foreign""#)?;
/// assert_eq!(it, Set::Foreign);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Set {
    /// Every group.
    #[default]
    All,
    /// Groups whose home is the node that is asked.
    Local,
    /// Groups whose home is another node.
    Foreign,
}

/// What may be asked.
///
/// ```
/// use lvs::control::heartbeatd::Request;
///
/// let line = serde_json::to_string(&Request::Maintenance { on: true })?;
/// assert_eq!(line, r#"{"op":"maintenance","on":true}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// [`Status`]. Rank read.
    Status {},
    /// [`Status`], then notices. Rank read.
    Watch {},
    /// Gives groups to the peer. Answered when the peer has them, or with the reason why not. Rank operate.
    Standby {
        /// Which groups.
        #[serde(default)]
        set: Set,
        /// This one alone, by its name in [`GroupStatus`] or an address that it has; with [`Set::All`] only. Refused where
        /// the peer is heartbeat 3.0.6.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
    },
    /// Takes groups from the peer. Answered like [`Request::Standby`]. Rank operate.
    Takeover {
        /// Which groups.
        #[serde(default)]
        set: Set,
        /// This one alone, as for [`Request::Standby`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
    },
    /// Says that a node which waits to be fenced is off: it was seen, or switched off by hand. Rank operate.
    ConfirmDead {
        /// Its name.
        node: String,
    },
    /// Begins or ends maintenance of this node: it keeps what it has, and takes and gives nothing by itself. Kept over
    /// restarts; answered when it is stored. Rank operate.
    Maintenance {
        /// Begins.
        on: bool,
    },
    /// Reads the files again, as SIGHUP does. Rank operate.
    Reload {},
}

/// The cluster as this node sees it.
///
/// ```
/// use lvs::control::heartbeatd::Status;
///
/// let line = r#"{"node":"lvs1","holds":"all","stable":true,"nodes":[],"groups":[],
///     "longest_gap_ms":2,"refused":{}}"#;
/// let it: Status = serde_json::from_str(line)?;
/// assert!(it.stable && !it.maintenance);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// This node.
    pub node: String,
    /// `none`, `local`, `foreign`, `all`, or `transition`.
    pub holds: String,
    /// Whether nothing is being moved.
    pub stable: bool,
    /// All nodes, this one too.
    pub nodes: Vec<NodeStatus>,
    /// The groups of haresources.
    pub groups: Vec<GroupStatus>,
    /// Longest gap between two turns of the main loop since the start, milliseconds.
    pub longest_gap_ms: u64,
    /// Datagrams refused since the start, by reason.
    pub refused: std::collections::BTreeMap<String, u64>,
    /// Whether the node that reaches fewer ping nodes gives its groups to the other.
    #[serde(default)]
    pub ipfail: bool,
    /// Whether this node is in maintenance.
    #[serde(default)]
    pub maintenance: bool,
    /// None of its media has been open since it started, so it has heard nothing: it declares nobody dead and takes nothing.
    #[serde(default)]
    pub deaf: bool,
}

/// One node.
///
/// ```
/// use lvs::control::heartbeatd::NodeStatus;
///
/// let it: NodeStatus = serde_json::from_str(r#"{"name":"lvs2","status":"active","links":[]}"#)?;
/// assert_eq!((it.status.as_str(), it.heartbeatd), ("active", None));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// `init`, `up`, `active` or `dead`; of a ping node `ping` or `dead`.
    pub status: String,
    /// Links to it: name and whether it is heard there.
    pub links: Vec<LinkStatus>,
    /// Whether it is another heartbeatd, not heartbeat 3.0.6; `None` until it was heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeatd: Option<bool>,
    /// Its configuration files that say something else than ours, of `ha.cf`, `haresources` and `authkeys`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<String>,
    /// Whether it is a ping node: no member, only asked whether it answers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ping: bool,
    /// It is silent and not yet known to be off: attempts to fence it so far. Nothing of it is taken before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fencing: Option<u32>,
    /// It is another heartbeatd, or this node, and in maintenance: it takes and gives nothing by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub maintenance: bool,
}

/// One link to a node.
///
/// ```
/// use lvs::control::heartbeatd::LinkStatus;
///
/// let it: LinkStatus = serde_json::from_str(r#"{"name":"eth1","up":false,"trouble":"waiting for interface eth1"}"#)?;
/// assert!(!it.up && it.trouble.is_some());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Medium, such as `eth0`.
    pub name: String,
    /// Whether the node is heard on it.
    pub up: bool,
    /// What is wrong with the medium here, such as "waiting for interface hb0".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// One resource group.
///
/// ```
/// use lvs::control::heartbeatd::GroupStatus;
///
/// let it: GroupStatus = serde_json::from_str(r#"{"name":"192.0.2.1/24","home":"lvs1","holder":"lvs2"}"#)?;
/// assert_ne!(it.holder, Some(it.home));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupStatus {
    /// Its first resource as written: the key.
    pub name: String,
    /// The node it belongs to.
    pub home: String,
    /// Who has it now, as far as this node knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// Its addresses that are here and for which other machines on the link answer too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duplicates: Vec<Duplicate>,
    /// Why it does not run here although it should.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// The node where it cannot be stopped and still runs, so that no other may start it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck: Option<String>,
    /// Nobody can reach it on this node: no interface of its addresses has a carrier.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_carrier: bool,
    /// It is held here, but its addresses are off until a carrier is back, since another node may have it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withheld: bool,
}

/// An address of this node that another machine has as well.
///
/// ```
/// use lvs::control::heartbeatd::Duplicate;
///
/// let it: Duplicate = serde_json::from_str(r#"{"address":"192.0.2.1","also_at":["02:00:00:00:00:01"]}"#)?;
/// assert_eq!(it.also_at.len(), 1);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duplicate {
    /// The address.
    pub address: std::net::IpAddr,
    /// Hardware addresses of those who answer for it, such as `02:00:00:00:00:01`.
    pub also_at: Vec<String>,
}
