//! A kernel in memory with what the recorded cases ask of one: it refuses what Linux 6.1 refuses
//! (spec/ipvs.md B.4), keeps servers newest first, and counts nothing.

use std::collections::HashMap;
use std::io::{self, BufRead};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

use lvs::cli::{Errno, Kernel};
use lvs::ipvs::text::Names;
use lvs::ipvs::{
    Change, Destination, DestinationListing, Family, Info, Netmask, Protocol, Service, ServiceKey, ServiceListing,
    Stats, SyncDaemon, Timeouts,
};

const SCHEDULERS: [&str; 13] = ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh"];

/// Services in the order they were added.
pub struct Model {
    services: Vec<ServiceListing>,
    timeouts: Timeouts,
    /// The servers of this one cannot be listed.
    pub unlisted: Option<ServiceKey>,
}

impl Model {
    pub fn new() -> Self {
        Self { services: Vec::new(), timeouts: Timeouts { tcp: 900, tcp_fin: 120, udp: 300 }, unlisted: None }
    }

    fn find(&mut self, key: &ServiceKey) -> Result<&mut ServiceListing, Errno> {
        self.services.iter_mut().find(|service| service.key == *key).ok_or(libc::ESRCH)
    }

    fn carry_out(&mut self, change: &Change) -> Result<(), Errno> {
        match change {
            Change::AddService(key, service) => {
                if self.find(key).is_ok() {
                    return Err(libc::EEXIST);
                }
                possible(key, service)?;
                let fresh = ServiceListing {
                    key: *key,
                    service: service.clone(),
                    stats: Stats::default(),
                    destinations: Vec::new(),
                };
                self.services.push(fresh);
            }
            Change::EditService(key, service) => {
                self.find(key)?;
                possible(key, service)?;
                self.find(key)?.service = service.clone();
            }
            Change::DeleteService(key) => {
                self.find(key)?;
                self.services.retain(|service| service.key != *key);
            }
            Change::AddDestination(key, at, destination) => {
                let servers = &mut self.find(key)?.destinations;
                reachable(*at)?;
                in_range(destination)?;
                if servers.iter().any(|server| server.at == *at) {
                    return Err(libc::EEXIST);
                }
                let fresh = DestinationListing {
                    at: *at,
                    destination: *destination,
                    active_connections: 0,
                    inactive_connections: 0,
                    persistent_connections: 0,
                    stats: Stats::default(),
                };
                servers.insert(0, fresh);
            }
            Change::EditDestination(key, at, destination) => {
                let servers = &mut self.find(key)?.destinations;
                in_range(destination)?;
                let server = servers.iter_mut().find(|server| server.at == *at).ok_or(libc::ENOENT)?;
                server.destination = *destination;
            }
            Change::DeleteDestination(key, at) => {
                let servers = &mut self.find(key)?.destinations;
                let place = servers.iter().position(|server| server.at == *at).ok_or(libc::ENOENT)?;
                servers.remove(place);
            }
            Change::Zero(Some(key)) => drop(self.find(key)?),
            Change::Zero(None) => {}
            Change::Flush => self.services.clear(),
            Change::SetTimeouts(wanted) => {
                let keep = |old: u32, new: u32| if new == 0 { old } else { new };
                let Timeouts { tcp, tcp_fin, udp } = self.timeouts;
                self.timeouts = Timeouts {
                    tcp: keep(tcp, wanted.tcp),
                    tcp_fin: keep(tcp_fin, wanted.tcp_fin),
                    udp: keep(udp, wanted.udp),
                };
            }
            // The model has no interfaces.
            Change::StartDaemon(_) => return Err(libc::ENODEV),
            Change::StopDaemon(_) => return Err(libc::ESRCH),
        }
        Ok(())
    }
}

fn possible(key: &ServiceKey, service: &Service) -> Result<(), Errno> {
    let engine = service.engine.as_ref().is_none_or(|engine| engine.as_str() == "sip");
    if !SCHEDULERS.contains(&service.scheduler.as_str()) || !engine {
        return Err(libc::ENOENT);
    }
    match service.persistence.map(|persistence| persistence.netmask) {
        Some(Netmask::Prefix(_)) if key.family() == Family::Inet => Err(libc::EINVAL),
        Some(Netmask::Mask(_)) if key.family() == Family::Inet6 => Err(libc::EINVAL),
        Some(_) | None => Ok(()),
    }
}

fn reachable(at: SocketAddr) -> Result<(), Errno> {
    let refused = match at.ip() {
        IpAddr::V4(address) => address.is_unspecified() || address.is_multicast() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unspecified() || address.is_multicast() || address.is_unicast_link_local(),
    };
    if refused { Err(libc::EINVAL) } else { Ok(()) }
}

fn in_range(destination: &Destination) -> Result<(), Errno> {
    if destination.lower_threshold > destination.upper_threshold { Err(libc::ERANGE) } else { Ok(()) }
}

impl Kernel for Model {
    fn info(&mut self) -> Result<Info, Errno> {
        Ok(Info { version: 0x01_02_01, connection_table_size: 4096 })
    }

    fn services(&mut self) -> Result<Vec<ServiceListing>, Errno> {
        Ok(self.services.clone())
    }

    fn service(&mut self, key: &ServiceKey) -> Result<ServiceListing, Errno> {
        self.find(key).cloned()
    }

    fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<DestinationListing>, Errno> {
        if self.unlisted == Some(*key) {
            return Err(libc::ENOMEM);
        }
        Ok(self.find(key).map(|service| service.destinations.clone()).unwrap_or_default())
    }

    fn timeouts(&mut self) -> Result<Timeouts, Errno> {
        Ok(self.timeouts)
    }

    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, Errno> {
        Ok(Vec::new())
    }

    fn change(&mut self, changes: &[Change]) -> Vec<Result<(), Errno>> {
        changes.iter().map(|change| self.carry_out(change)).collect()
    }

    fn connections(&mut self) -> io::Result<Box<dyn BufRead>> {
        let heading = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n";
        Ok(Box::new(io::Cursor::new(heading)))
    }
}

/// The same kernel, keeping account.
pub struct Counting<'a> {
    pub model: Model,
    /// Changes carried out or refused.
    pub changes: &'a AtomicUsize,
    /// How many times changes came together.
    pub requests: usize,
}

impl Kernel for Counting<'_> {
    fn info(&mut self) -> Result<Info, Errno> {
        self.model.info()
    }

    fn services(&mut self) -> Result<Vec<ServiceListing>, Errno> {
        self.model.services()
    }

    fn service(&mut self, key: &ServiceKey) -> Result<ServiceListing, Errno> {
        self.model.service(key)
    }

    fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<DestinationListing>, Errno> {
        self.model.destinations(key)
    }

    fn timeouts(&mut self) -> Result<Timeouts, Errno> {
        self.model.timeouts()
    }

    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, Errno> {
        self.model.daemons()
    }

    fn change(&mut self, changes: &[Change]) -> Vec<Result<(), Errno>> {
        self.requests += 1;
        self.changes.fetch_add(changes.len(), Ordering::Relaxed);
        self.model.change(changes)
    }

    fn connections(&mut self) -> io::Result<Box<dyn BufRead>> {
        self.model.connections()
    }
}

/// The name service of the recorded cases.
pub struct Files {
    hosts: HashMap<&'static str, IpAddr>,
    canonical: HashMap<IpAddr, &'static str>,
    ports: HashMap<(&'static str, &'static str), u16>,
    services: HashMap<(u16, &'static str), &'static str>,
}

impl Files {
    pub fn new() -> Self {
        let mut files =
            Self { hosts: HashMap::new(), canonical: HashMap::new(), ports: HashMap::new(), services: HashMap::new() };
        for line in super::files::HOSTS.lines() {
            let mut words = line.split_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
            for (at, name) in words.enumerate() {
                files.hosts.insert(name, address);
                if at == 0 {
                    files.canonical.insert(address, name);
                }
            }
        }
        for line in super::files::SERVICES.lines() {
            let mut words = line.split_whitespace();
            let (Some(name), Some((port, protocol))) = (words.next(), words.next().and_then(|w| w.split_once('/')))
            else {
                continue;
            };
            let port = port.parse().expect("a port");
            files.services.insert((port, protocol), name);
            for name in std::iter::once(name).chain(words) {
                files.ports.insert((name, protocol), port);
            }
        }
        files
    }
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
        Protocol::Other(_) => "",
    }
}

impl Names for Files {
    fn host(&mut self, address: IpAddr) -> Option<String> {
        self.canonical.get(&address).map(ToString::to_string)
    }

    fn service(&mut self, port: u16, of: Protocol) -> Option<String> {
        self.services.get(&(port, protocol(of))).map(ToString::to_string)
    }

    fn address(&mut self, host: &str) -> Option<Ipv4Addr> {
        match self.hosts.get(host.to_ascii_lowercase().as_str()) {
            Some(IpAddr::V4(address)) => Some(*address),
            // As glibc does: the file is asked for an IPv4 address.
            Some(IpAddr::V6(Ipv6Addr::LOCALHOST)) => Some(Ipv4Addr::LOCALHOST),
            Some(IpAddr::V6(_)) | None => None,
        }
    }

    fn port(&mut self, service: &str, of: Protocol) -> Option<u16> {
        self.ports.iter().find(|((name, named), _)| *name == service && *named == protocol(of)).map(|(_, &port)| port)
    }
}
