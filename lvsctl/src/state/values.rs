//! Which values the kernel refuses whatever machine this is (spec/ipvs.md B.4). Both forms of a table file are
//! checked for them before anything is changed.

use std::net::IpAddr;

use super::Wanted;
use crate::ipvs::{Change, Destination, Family, Forward, ServiceKey};

pub(crate) const MIXED_FAMILIES: &str = "a sync daemon runs only where all families agree";

/// Whether the kernel takes a real server at this address: unicast only.
pub(crate) fn could_serve(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast()),
        IpAddr::V6(ip) => !(ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local()),
    }
}

/// Whether an interface could have this name (`dev_valid_name`, net/core/dev.c).
pub(crate) fn names_interface(name: &str) -> bool {
    let special = |c: char| c == '\0' || c == '/' || c == ':' || c.is_ascii_whitespace();
    !name.is_empty() && name.len() <= 15 && name != "." && name != ".." && !name.contains(special)
}

/// Whether a change adds a server that no sync daemon can have beside it.
pub(crate) fn mixes_families(change: &Change) -> bool {
    matches!(change, Change::AddDestination(key, at, _) if Family::of(at.ip()) != key.family())
}

/// Whether a sync daemon should run.
pub(crate) fn runs_daemon(wanted: &Wanted) -> bool {
    wanted.daemons.as_ref().is_some_and(|daemons| !daemons.is_empty())
}

/// What is wrong with the values of something that a file adds.
///
/// # Errors
/// In words.
pub(crate) fn check(change: &Change) -> Result<(), String> {
    match change {
        Change::AddDestination(key, at, server) => check_server(key, at.ip(), server),
        Change::StartDaemon(daemon) if !names_interface(&daemon.interface) => {
            Err(format!("{:?} is no name of an interface", daemon.interface))
        }
        _ => Ok(()),
    }
}

fn check_server(key: &ServiceKey, ip: IpAddr, server: &Destination) -> Result<(), String> {
    let Destination { forward, upper_threshold: upper, lower_threshold: lower, .. } = *server;
    if !could_serve(ip) {
        return Err(format!("{ip} cannot be a real server: the kernel takes unicast only"));
    }
    if Family::of(ip) != key.family() && !matches!(forward, Forward::Tunnel(_)) {
        return Err("the server's family is not that of its service".to_owned());
    }
    if lower > upper {
        return Err(format!("the lower threshold {lower} is above the upper one, {upper}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_has_a_name_that_a_kernel_would_give() {
        for name in ["eth0", "lo", "eth0.7", "fifteen-letters"] {
            assert!(names_interface(name), "{name}");
        }
        for name in ["", ".", "..", "a/b", "eth0:1", "eth 0", "sixteen--letters"] {
            assert!(!names_interface(name), "{name}");
        }
    }
}
