//! `realserver`, the back end's half of direct routing.

use serde::{Deserialize, Serialize};

/// Name in the greeting and of the socket.
pub const SPEAKS: &str = "realserver";

/// What may be asked.
///
/// ```
/// use lvs::control::realserver::Request;
///
/// let line = serde_json::to_string(&Request::Up {})?;
/// assert_eq!(line, r#"{"op":"up"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// [`Status`]. Rank read.
    Status {},
    /// [`Status`], then [`Notice`]s. Rank read.
    Watch {},
    /// Puts the addresses on and keeps them there. [`Status`]. Rank operate.
    Up {},
    /// Takes them off and puts the ARP settings back. [`Status`]. Rank operate.
    Down {},
}

/// What is set and what should be.
///
/// ```
/// use lvs::control::realserver::Status;
///
/// let it: Status = serde_json::from_str(r#"{"ready":true,"addresses":[],"settings":[]}"#)?;
/// assert!(it.ready && it.problems.is_empty());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Whether everything is as a back end needs it.
    pub ready: bool,
    /// The virtual addresses.
    pub addresses: Vec<AddressStatus>,
    /// The ARP settings.
    pub settings: Vec<SettingStatus>,
    /// What stands in the way and is left to the administrator, a sentence each.
    #[serde(default)]
    pub problems: Vec<String>,
}

/// What a watcher is told.
///
/// ```
/// use lvs::control::realserver::Notice;
///
/// let it: Notice = serde_json::from_str(r#"{"notice":"address-off","address":"192.0.2.1/32"}"#)?;
/// assert_eq!(it, Notice::AddressOff { address: "192.0.2.1/32".to_owned() });
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "kebab-case")]
pub enum Notice {
    /// An address was put on.
    AddressOn {
        /// The address with its prefix.
        address: String,
        /// Interface and label.
        label: String,
        /// It had been there and was taken off by somebody else.
        repair: bool,
    },
    /// An address was taken off.
    AddressOff {
        /// The address with its prefix.
        address: String,
    },
    /// A kernel setting was changed.
    Setting {
        /// `net.ipv4.conf.lo.arp_ignore`.
        name: String,
        /// Its value before.
        was: String,
        /// Its value now.
        value: String,
        /// It had been right and was changed by somebody else.
        repair: bool,
    },
    /// Something stands in the way that is left to the administrator.
    Problem {
        /// One sentence.
        what: String,
    },
    /// A problem is gone.
    Solved {
        /// The sentence it was told with.
        what: String,
    },
    /// A change could not be made; it is tried again.
    Failed {
        /// What was attempted, and why it failed.
        what: String,
    },
}

/// One virtual address.
///
/// ```
/// use lvs::control::realserver::AddressStatus;
///
/// let it: AddressStatus = serde_json::from_str(r#"{"address":"192.0.2.1/32","label":"lo:0","present":true}"#)?;
/// assert!(it.present);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressStatus {
    /// The address with its prefix.
    pub address: String,
    /// Interface and label, such as `lo:0`.
    pub label: String,
    /// Whether it is there.
    pub present: bool,
}

/// One kernel setting.
///
/// ```
/// use lvs::control::realserver::SettingStatus;
///
/// let it: SettingStatus = serde_json::from_str(r#"{"name":"net.ipv4.conf.lo.arp_ignore","value":"0","wanted":"1"}"#)?;
/// assert_ne!(it.value, Some(it.wanted));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingStatus {
    /// `net.ipv4.conf.lo.arp_ignore`.
    pub name: String,
    /// Its value now; `None` if it cannot be read.
    pub value: Option<String>,
    /// The value it should have.
    pub wanted: String,
}
