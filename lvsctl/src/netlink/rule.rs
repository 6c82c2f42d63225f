//! Keeping quiet about connections that are not known yet.
//!
//! A director that takes a virtual address in a planned switch gets packets of connections
//! whose entries are still on their way to it. Its own TCP would answer them with a reset and
//! end what could go on. A routing rule throws such answers away: with direct routing and
//! tunnels nothing else is ever sent from the virtual address by this machine.

use std::net::IpAddr;

use netlink_packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::route::RouteProtocol;
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::RequestError;
use super::route::Client;

/// `linux/fib_rules.h`.
const FRA_IP_PROTO: u16 = 22;
const TCP: u8 = 6;
/// Marks our rules, so that those of an earlier run are found again.
const OURS: u8 = 0xbd;
/// Before the administrator's usual rules, behind the kernel's local table.
const PRIORITY: u32 = 1;

impl Client {
    /// From now on this machine sends no TCP from `ip` that starts here. A rule that is there
    /// already is no error.
    ///
    /// # Errors
    /// If the kernel refuses: without `CAP_NET_ADMIN`, or without policy routing.
    pub fn silence(&mut self, ip: IpAddr) -> Result<(), RequestError> {
        let message = RouteNetlinkMessage::NewRule(rule(ip));
        match self.tell(&format_args!("silence {ip}"), NLM_F_CREATE | NLM_F_EXCL, &message) {
            Err(error) if error.errno() == Some(libc::EEXIST) => Ok(()),
            other => other,
        }
    }

    /// Ends [`Self::silence`]. A rule that is gone already is no error.
    ///
    /// # Errors
    /// If the kernel refuses: without `CAP_NET_ADMIN`.
    pub fn unsilence(&mut self, ip: IpAddr) -> Result<(), RequestError> {
        match self.tell(&format_args!("end the silence of {ip}"), 0, &RouteNetlinkMessage::DelRule(rule(ip))) {
            Err(error) if error.errno() == Some(libc::ENOENT) => Ok(()),
            other => other,
        }
    }

    /// The addresses that are silenced, by this run of the program or an earlier one.
    ///
    /// # Errors
    /// If the kernel refuses or its answer is lost.
    pub fn silenced(&mut self) -> Result<Vec<IpAddr>, RequestError> {
        let question = RouteNetlinkMessage::GetRule(RuleMessage::default());
        self.list(&"list the routing rules", &question, |message| match message {
            RouteNetlinkMessage::NewRule(rule) => source_of_ours(&rule),
            _ => None,
        })
    }
}

fn rule(ip: IpAddr) -> RuleMessage {
    let mut rule = RuleMessage::default();
    rule.header.family = if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    rule.header.src_len = if ip.is_ipv4() { 32 } else { 128 };
    rule.header.action = RuleAction::Blackhole;
    rule.attributes = vec![
        RuleAttribute::Source(ip),
        // What starts on this machine comes from lo, as routing sees it.
        RuleAttribute::Iifname("lo".to_owned()),
        // The crate has a name for this attribute and none for its value.
        RuleAttribute::Other(DefaultNla::new(FRA_IP_PROTO, vec![TCP])),
        RuleAttribute::Priority(PRIORITY),
        RuleAttribute::Protocol(RouteProtocol::from(OURS)),
    ];
    rule
}

fn source_of_ours(rule: &RuleMessage) -> Option<IpAddr> {
    let ours = RuleAttribute::Protocol(RouteProtocol::from(OURS));
    if !rule.attributes.contains(&ours) {
        return None;
    }
    rule.attributes.iter().find_map(|attribute| match attribute {
        RuleAttribute::Source(ip) => Some(*ip),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rules_of_ours_are_found_again() {
        let ip: IpAddr = "192.168.60.200".parse().expect("an address");
        assert_eq!(source_of_ours(&rule(ip)), Some(ip));
        let mut another = rule(ip);
        another.attributes.retain(|attribute| !matches!(attribute, RuleAttribute::Protocol(_)));
        assert_eq!(source_of_ours(&another), None);
    }
}
