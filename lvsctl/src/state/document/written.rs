//! The file as it is written: names and kinds of values are checked, what they mean is not. Every value
//! that may still be wrong keeps its place.

use serde::Deserialize;
use toml::Spanned;

pub(super) type Text = Option<Spanned<String>>;
pub(super) type Number = Option<Spanned<i64>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    pub comment: Option<String>,
    pub timeouts: Option<Timeouts>,
    pub sync: Option<Sync>,
    #[serde(default)]
    pub service: Vec<Spanned<Service>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Timeouts {
    pub tcp: Number,
    pub tcp_fin: Number,
    pub udp: Number,
}

/// At most one daemon of each role, by the form alone.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sync {
    pub master: Option<Daemon>,
    pub backup: Option<Daemon>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Daemon {
    pub interface: Spanned<String>,
    pub id: Number,
    pub max_length: Number,
    pub group: Text,
    pub port: Number,
    pub ttl: Number,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Service {
    pub tcp: Text,
    pub udp: Text,
    pub sctp: Text,
    pub mark: Number,
    pub family: Option<Spanned<Family>>,
    pub address: Text,
    pub protocol: Number,
    pub scheduler: Text,
    pub scheduler_flags: Option<Vec<Spanned<String>>>,
    pub persistent: Number,
    pub netmask: Option<Spanned<Netmask>>,
    pub engine: Text,
    #[serde(default)]
    pub one_packet: bool,
    pub comment: Option<String>,
    #[serde(default)]
    pub server: Vec<Spanned<Server>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Family {
    Ipv4,
    Ipv6,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a netmask is \"255.255.255.0\" for IPv4, a prefix length such as 64 for IPv6")]
pub(super) enum Netmask {
    Mask(String),
    Prefix(i64),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Server {
    pub address: Spanned<String>,
    pub forward: Text,
    pub weight: Number,
    pub upper_threshold: Number,
    pub lower_threshold: Number,
    pub tunnel_type: Number,
    pub tunnel_port: Number,
    pub tunnel_checksum: Option<Spanned<Checksum>>,
    pub comment: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a tunnel's checksum is \"none\", \"full\", \"remote\" or the kernel's number")]
pub(super) enum Checksum {
    Word(String),
    Number(i64),
}
