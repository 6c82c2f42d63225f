//! The rules, by what they are about.

mod address;
mod arp;
mod nat;
mod route;
mod sync;
mod sysctl;
mod table;

#[cfg(test)]
mod testing;

use super::{Facts, Finding};

pub(super) fn all(facts: &Facts, found: &mut Vec<Finding>) {
    for rule in [address::look, arp::look, nat::look, route::look, sync::look, sysctl::look, table::look] {
        rule(facts, found);
    }
}

/// `/proc/sys/NAME`.
fn file(name: &str) -> String {
    format!("/proc/sys/{name}")
}

/// `sysctl -w a.b=1`, of `a/b`. Interface names keep their dots, which sysctl wants as slashes.
fn set(name: &str, value: u32) -> String {
    let name = if name.contains('.') { name.to_owned() } else { name.replace('/', ".") };
    format!("sysctl -w {name}={value}")
}

/// `52:54:00:12:34:56`
fn mac(address: [u8; 6]) -> String {
    address.map(|byte| format!("{byte:02x}")).join(":")
}
