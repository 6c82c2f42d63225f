//! ha.cf, haresources and authkeys: text to lines with places, to the files as written, to
//! a model that cannot be wrong (spec/heartbeat.md 1-3).
//!
//! Every mistake of all three files is reported in one run.

mod authkeys;
mod check;
mod digest;
mod directive;
mod fence;
mod hacf;
mod haresources;
mod helper;
mod interfaces;
mod load;
mod medium;
mod model;
mod parameter;
mod ping;
mod source;
mod value;

pub use digest::digests;
pub use fence::{Agent, Fence};
pub use helper::Helper;
pub use interfaces::absent;
pub use load::{Loaded, Problem, Texts, load, load_keys, load_keys_to_decode, read};
pub use medium::{Line, Medium, Udp};
pub use model::{Config, GenerationMethod, Group, HaCf, PingNode, Resource, ResourceKind, SyncRole, UuidFrom, VipSpec};
pub use parameter::{PARAMETERS, Parameter, parameter};

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// What the files are read against: everything about this machine that decides what they mean.
pub struct Surroundings<'a> {
    /// This node's name.
    pub node_name: String,
    /// Where that name is from: `nodeinfo` or `uname -n`.
    pub name_from: &'static str,
    /// Default of `udpport`.
    pub port: u16,
    /// Addresses of a host name. May take as long as the name service does.
    pub resolve: &'a dyn Fn(&str) -> io::Result<Vec<IpAddr>>,
    /// A program that is executable, by its name in the directories of the system's programs, or by its path.
    pub program: &'a dyn Fn(&str) -> Option<PathBuf>,
    /// A user's id and that of its primary group.
    pub user: &'a dyn Fn(&str) -> Option<(u32, u32)>,
    /// Whether there is a group of that name.
    pub group: &'a dyn Fn(&str) -> bool,
    /// What a file of parameters says, and whether others than its owner may read it.
    pub parameters: &'a dyn Fn(&Path) -> io::Result<(String, bool)>,
    /// Whether there is a character device at a path, or something else; an error where nothing is.
    pub is_device: &'a dyn Fn(&Path) -> io::Result<bool>,
    /// The service, other than heartbeat's, that a UDP port is registered for.
    pub service: &'a dyn Fn(u16) -> Option<String>,
    /// Whether a resource script of that name is installed.
    pub has_script: &'a dyn Fn(&str) -> bool,
}

#[cfg(test)]
mod tests;
