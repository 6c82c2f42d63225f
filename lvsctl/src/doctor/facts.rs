//! What is known about this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::ipvs::{DestinationListing, Forward, ServiceKey, ServiceListing, SyncDaemon};
use crate::netlink::address::AddressState;
use crate::netlink::link::Link;

/// Everything that the rules look at. What could not be found out is missing, and no rule speaks of it.
///
/// ```
/// use lvs::doctor::{Facts, examine};
///
/// let mut facts = Facts { ipvs: true, ..Facts::default() };
/// facts.sysctls.insert("net/ipv4/ip_forward".to_owned(), "0".to_owned());
/// assert_eq!(facts.sysctl("net/ipv4/ip_forward"), Some(0));
/// assert!(examine(&facts).is_empty(), "nothing is masqueraded");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Kernel version: 6.1 is (6, 1).
    pub kernel: Option<(u32, u32)>,
    /// Values of files below /proc/sys, by their names there: `net/ipv4/ip_forward`.
    pub sysctls: BTreeMap<String, String>,
    /// Modules that are loaded or built in, with `_` for `-`.
    pub modules: BTreeSet<String>,
    /// Modules that could be loaded; `None` if the list cannot be read.
    pub loadable: Option<BTreeSet<String>>,
    /// Network interfaces.
    pub links: Vec<Link>,
    /// Addresses of this machine.
    pub addresses: Vec<AddressState>,
    /// The virtual services; empty on a machine that is no director.
    pub services: Vec<ServiceListing>,
    /// The sync daemons that run.
    pub daemons: Vec<SyncDaemon>,
    /// IPVS is in the kernel, loaded or built in.
    pub ipvs: bool,
    /// How packets leave for each real server.
    pub ways: BTreeMap<IpAddr, Way>,
    /// The interface whose network a virtual address lies in, where there is one: its neighbours are asked there.
    pub networks: BTreeMap<IpAddr, u32>,
    /// The interface of the default route.
    pub default_interface: Option<u32>,
    /// Schedulers that a file or ldirectord wants, and who wants them.
    pub schedulers: BTreeMap<String, String>,
    /// What the neighbours said.
    pub probes: Probes,
}

/// How packets leave for an address.
///
/// ```
/// use lvs::doctor::{Facts, Way};
///
/// let mut facts = Facts::default();
/// facts.ways.insert([10, 0, 0, 1].into(), Way::Neighbour(2)); // behind the interface with the number 2
/// assert_eq!(facts.ways.len(), 1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It is an address of this machine.
    Local,
    /// It is a neighbour behind this interface.
    Neighbour(u32),
    /// Through a router behind this interface; `None` if it is not known which.
    Routed(Option<u32>),
    /// There is no route.
    Nowhere,
}

/// What a neighbour did.
///
/// ```
/// use std::net::IpAddr;
/// use lvs::doctor::{Answer, Probes};
///
/// let (server, virtual_address): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [192, 0, 2, 1].into());
/// let mut probes = Probes::default();
/// probes.echoes.insert((server, server), Answer::Yes);
/// probes.echoes.insert((server, virtual_address), Answer::No); // it lacks the virtual address
/// assert_eq!(probes.echoes.len(), 2);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It answered.
    Yes,
    /// It said nothing.
    No,
}

/// What the neighbours said when they were asked; empty if nobody was asked.
///
/// ```
/// use lvs::doctor::{Facts, Probes};
///
/// let probes = Probes { failed: Some("needs CAP_NET_RAW".to_owned()), ..Probes::default() };
/// let facts = Facts { probes, ..Facts::default() };
/// assert!(facts.probes.holders.is_empty());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Probes {
    /// Hardware addresses that answer for a virtual address on the network, other than that of the interface it was asked
    /// on; none if nobody answers.
    pub holders: BTreeMap<IpAddr, BTreeSet<[u8; 6]>>,
    /// The hardware address of a real server that is a neighbour; `None` if it does not answer.
    pub servers: BTreeMap<IpAddr, Option<[u8; 6]>>,
    /// Whether a real server answers an echo request that is sent to its hardware address, for each address in it
    /// (its own, and the virtual ones).
    pub echoes: BTreeMap<(IpAddr, IpAddr), Answer>,
    /// Why nobody could be asked.
    pub failed: Option<String>,
    /// How many questions were not asked because there were too many.
    pub left_out: usize,
}

impl Facts {
    /// A number below /proc/sys.
    #[must_use]
    pub fn sysctl(&self, name: &str) -> Option<i64> {
        self.sysctls.get(name)?.parse().ok()
    }

    /// A setting of IPVS.
    #[must_use]
    pub fn vs(&self, name: &str) -> Option<i64> {
        self.sysctl(&format!("net/ipv4/vs/{name}"))
    }

    /// A setting of IPv4 on an interface; for these the larger one of "all" and the interface's counts.
    #[must_use]
    pub fn strictest(&self, name: &str, interface: &str) -> Option<i64> {
        let of = |interface: &str| self.sysctl(&format!("net/ipv4/conf/{interface}/{name}"));
        of("all").max(of(interface))
    }

    /// The interface of that number.
    #[must_use]
    pub fn link(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    /// Whether no neighbour is found behind that interface by ARP: lo, dummy interfaces, tunnels.
    #[must_use]
    pub fn keeps_to_itself(&self, interface: u32) -> bool {
        self.link(interface).is_some_and(|link| !link.resolves)
    }

    /// This machine's own state of an address.
    #[must_use]
    pub fn own(&self, ip: IpAddr) -> Option<&AddressState> {
        self.addresses.iter().find(|state| state.address.ip == ip)
    }

    /// Every virtual address, once.
    #[must_use]
    pub fn virtual_addresses(&self) -> BTreeSet<IpAddr> {
        self.services.iter().filter_map(|service| virtual_address(&service.key)).collect()
    }

    /// Every server with its service.
    pub fn servers(&self) -> impl Iterator<Item = (&ServiceListing, &DestinationListing)> {
        self.services.iter().flat_map(|service| service.destinations.iter().map(move |server| (service, server)))
    }

    /// Servers that are masqueraded and not this machine itself.
    pub fn masqueraded(&self) -> impl Iterator<Item = (&ServiceListing, &DestinationListing)> {
        self.servers().filter(|(_, server)| {
            server.destination.forward == Forward::Masq && self.ways.get(&server.at.ip()) != Some(&Way::Local)
        })
    }

    /// Which interface of this machine an address is on: `None` if it has not got it.
    #[must_use]
    pub fn interface_of(&self, ip: IpAddr) -> Option<u32> {
        self.own(ip).map(|state| state.address.interface)
    }
}

/// The address of a service that has one of a machine: 0.0.0.0 stands for a rule, not for an address.
#[must_use]
pub fn virtual_address(key: &ServiceKey) -> Option<IpAddr> {
    match key {
        ServiceKey::Address { at, .. } => Some(at.ip()).filter(|ip| !ip.is_unspecified() && !ip.is_multicast()),
        ServiceKey::Mark { .. } => None,
    }
}
