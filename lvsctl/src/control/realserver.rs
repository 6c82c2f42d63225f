//! `realserver`, the back end's half of direct routing.

use serde::{Deserialize, Serialize};

/// Name in the greeting and of the socket.
pub const SPEAKS: &str = "realserver";

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// [`Status`]. Rank read.
    Status {},
    /// [`Status`], then notices. Rank read.
    Watch {},
    /// Puts the addresses on. Rank operate.
    Up {},
    /// Takes them off and puts the ARP settings back. Rank operate.
    Down {},
}

/// What is set and what should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Whether everything is as a back end needs it.
    pub ready: bool,
    /// The virtual addresses.
    pub addresses: Vec<AddressStatus>,
    /// The ARP settings.
    pub settings: Vec<SettingStatus>,
}

/// One virtual address.
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingStatus {
    /// `net.ipv4.conf.lo.arp_ignore`.
    pub name: String,
    /// Its value now; `None` if it cannot be read.
    pub value: Option<String>,
    /// The value it should have.
    pub wanted: String,
}
