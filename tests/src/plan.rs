//! What a cluster looks like before it is built.
//!
//! The addresses are those of the classic walkthrough, with the directors beside them:
//!
//! | machine | `eth0` on `lan` | IPv6 | `eth1` on `beat`, where asked for |
//! |---|---|---|---|
//! | client | 192.168.60.10/24 | fd00:60::10/64 | |
//! | lvs1 | 192.168.60.130/24 | fd00:60::130/64 | 10.60.0.130/24 |
//! | lvs2 | 192.168.60.131/24 | fd00:60::131/64 | 10.60.0.131/24 |
//! | rs1 | 192.168.60.132/24 | fd00:60::132/64 | |
//! | rs2 | 192.168.60.144/24 | fd00:60::144/64 | |
//! | the virtual service | 192.168.60.200 | fd00:60::200 | |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The virtual address of the walkthrough.
pub const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 60, 200));
/// The virtual address over IPv6.
pub const VIP6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x60, 0, 0, 0, 0, 0, 0x200));
/// The network all machines share.
pub const LAN: &str = "lan";
/// The second network of the directors.
pub const BEAT: &str = "beat";

/// One interface of one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The network it is plugged into.
    pub network: String,
    /// Its addresses with prefix lengths, as `ip address add` wants them.
    pub addresses: Vec<String>,
}

/// One machine: its interfaces are `eth0`, `eth1` ... in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its host name; at most 10 characters.
    pub name: String,
    /// Its interfaces.
    pub ports: Vec<Port>,
    /// Whether it passes on packets that are not for it, as a director that masquerades must.
    pub forwards: bool,
}

/// Machines on networks. Every network is a bridge of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The machines, in the order in which they start.
    pub machines: Vec<Machine>,
}

impl Plan {
    /// client, lvs1, lvs2, rs1 and rs2 on one network: what direct routing needs.
    #[must_use]
    pub fn direct_routing() -> Self {
        let mut plan = Self::default();
        for (name, last) in [("client", 10), ("lvs1", 130), ("lvs2", 131), ("rs1", 132), ("rs2", 144)] {
            let addresses = [format!("192.168.60.{last}/24"), format!("fd00:60::{last}/64")];
            plan = plan.plug(name, LAN, &addresses.each_ref().map(String::as_str));
        }
        plan
    }

    /// A second network between the directors, `beat`.
    #[must_use]
    pub fn with_heartbeat_network(self) -> Self {
        self.plug("lvs1", BEAT, &["10.60.0.130/24"]).plug("lvs2", BEAT, &["10.60.0.131/24"])
    }

    /// One more interface for `machine`, which is made if the plan does not have it.
    #[must_use]
    pub fn plug(mut self, machine: &str, network: &str, addresses: &[&str]) -> Self {
        let port =
            Port { network: network.to_owned(), addresses: addresses.iter().map(|&text| text.to_owned()).collect() };
        match self.machines.iter_mut().find(|known| known.name == machine) {
            Some(known) => known.ports.push(port),
            None => self.machines.push(Machine { name: machine.to_owned(), ports: vec![port], forwards: false }),
        }
        self
    }

    /// Lets `machine` pass on packets between its networks.
    #[must_use]
    pub fn forwarding(mut self, machine: &str) -> Self {
        for known in self.machines.iter_mut().filter(|known| known.name == machine) {
            known.forwards = true;
        }
        self
    }

    /// The networks, each once, in the order of their first use.
    #[must_use]
    pub fn networks(&self) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        for port in self.machines.iter().flat_map(|machine| &machine.ports) {
            if !found.contains(&port.network.as_str()) {
                found.push(&port.network);
            }
        }
        found
    }
}

impl Machine {
    /// The name of its interface on `network`, as the machine sees it.
    #[must_use]
    pub fn interface(&self, network: &str) -> Option<String> {
        self.ports.iter().position(|port| port.network == network).map(|index| format!("eth{index}"))
    }

    /// The name of the other end of that cable, at the switch.
    #[must_use]
    pub fn socket(&self, network: &str) -> String {
        format!("{}-{network}", self.name)
    }

    /// The other ends of all its cables.
    pub fn sockets(&self) -> impl Iterator<Item = String> {
        self.ports.iter().map(|port| self.socket(&port.network))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walkthrough_has_five_machines_on_one_network() {
        let plan = Plan::direct_routing();
        assert_eq!(plan.networks(), [LAN]);
        let names: Vec<_> = plan.machines.iter().map(|machine| machine.name.as_str()).collect();
        assert_eq!(names, ["client", "lvs1", "lvs2", "rs1", "rs2"]);
        assert!(plan.machines.iter().all(|machine| machine.interface(BEAT).is_none()));
    }

    #[test]
    fn a_second_cable_is_the_second_interface() {
        let plan = Plan::direct_routing().with_heartbeat_network();
        assert_eq!(plan.networks(), [LAN, BEAT]);
        assert_eq!(plan.machines[1].interface(BEAT).as_deref(), Some("eth1"));
        assert_eq!(plan.machines[1].socket(BEAT), "lvs1-beat");
    }
}
