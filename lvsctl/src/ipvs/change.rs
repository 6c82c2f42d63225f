//! One change to the table, and the kernel's refusal of one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{
    Destination, Family, Forward, MAX_WEIGHT, Netmask, Service, ServiceKey, SyncDaemon, SyncRole, Timeouts, Tunnel,
};

/// One request to the kernel (spec/ipvs.md B.2). Requests are independent: there is no transaction.
///
/// ```
/// use lvs::ipvs::{Change, Destination, Forward, ServiceKey};
///
/// let web = ServiceKey::tcp("192.0.2.1:80".parse()?);
/// let add = Change::AddDestination(web, "10.0.0.1:80".parse()?, Destination::new(Forward::Masq, 3));
/// assert_eq!(add.to_string(), "add real server 10.0.0.1:80 to tcp 192.0.2.1:80");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// A new virtual service.
    AddService(ServiceKey, Service),
    /// Replaces scheduler, flags, persistence and engine as a whole; connections and servers stay.
    EditService(ServiceKey, Service),
    /// Removes a service and its servers.
    DeleteService(ServiceKey),
    /// A new real server.
    AddDestination(ServiceKey, SocketAddr, Destination),
    /// Replaces method, weight and thresholds; its connections stay.
    EditDestination(ServiceKey, SocketAddr, Destination),
    /// Removes a real server; packets of its connections are dropped.
    DeleteDestination(ServiceKey, SocketAddr),
    /// Resets the counters of one service, or of all.
    Zero(Option<ServiceKey>),
    /// Removes every service.
    Flush,
    /// Sets connection timeouts; 0 keeps.
    SetTimeouts(Timeouts),
    /// Starts a sync daemon.
    StartDaemon(SyncDaemon),
    /// Stops a sync daemon.
    StopDaemon(SyncRole),
}

/// `add real server 192.168.60.132:80 to tcp 192.168.60.200:80`
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddService(key, _) => write!(f, "add virtual service {key}"),
            Self::EditService(key, _) => write!(f, "edit virtual service {key}"),
            Self::DeleteService(key) => write!(f, "delete virtual service {key}"),
            Self::AddDestination(key, at, _) => write!(f, "add real server {at} to {key}"),
            Self::EditDestination(key, at, _) => write!(f, "edit real server {at} of {key}"),
            Self::DeleteDestination(key, at) => write!(f, "delete real server {at} of {key}"),
            Self::Zero(Some(key)) => write!(f, "zero the counters of {key}"),
            Self::Zero(None) => f.write_str("zero all counters"),
            Self::Flush => f.write_str("flush the table"),
            Self::SetTimeouts(_) => f.write_str("set timeouts"),
            Self::StartDaemon(daemon) => {
                write!(f, "start the {} sync daemon on {}", role(daemon.role), daemon.interface)
            }
            Self::StopDaemon(which) => write!(f, "stop the {} sync daemon", role(*which)),
        }
    }
}

fn role(role: SyncRole) -> &'static str {
    match role {
        SyncRole::Master => "master",
        SyncRole::Backup => "backup",
    }
}

/// The kernel's answer to one change that it did not carry out.
///
/// ```
/// use lvs::ipvs::{Change, Refusal, ServiceKey};
///
/// const ESRCH: i32 = 3;
/// let web = ServiceKey::tcp("192.0.2.1:80".parse()?);
/// let refusal = Refusal::new(Change::DeleteService(web), ESRCH);
/// assert_eq!(refusal.to_string(), "cannot delete virtual service tcp 192.0.2.1:80: there is no such service");
/// assert_eq!(refusal.errno, ESRCH);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("cannot {change}: {explanation}")]
pub struct Refusal {
    /// What was asked.
    pub change: Box<Change>,
    /// The kernel's errno, positive.
    pub errno: i32,
    /// What that errno means for this change, and what to do (spec/ipvs.md B.4).
    pub explanation: String,
}

impl Refusal {
    /// A refusal with the explanation that this errno has for this change.
    #[must_use]
    pub fn new(change: Change, errno: i32) -> Self {
        let explanation = explain(&change, errno);
        Self { change: Box::new(change), errno, explanation }
    }
}

/// The errno in the words of the change it belongs to. The kernel tells no more than the number: what of several
/// causes it is, is read off the change where that is possible (spec/ipvs.md B.4).
fn explain(change: &Change, errno: i32) -> String {
    use Change::{
        AddDestination, AddService, DeleteDestination, DeleteService, EditDestination, EditService, SetTimeouts,
        StartDaemon, StopDaemon, Zero,
    };
    let known = match (change, errno) {
        (AddService(..), libc::EEXIST) => "the service already exists",
        (AddService(_, service) | EditService(_, service), libc::ENOENT) => return missing_module(service),
        (EditService(..) | DeleteService(_) | Zero(_), libc::ESRCH) => "there is no such service",
        (AddDestination(..) | EditDestination(..) | DeleteDestination(..), libc::ESRCH) => {
            "its virtual service does not exist"
        }
        (AddDestination(..), libc::EEXIST) => "the real server already exists",
        (EditDestination(..) | DeleteDestination(..), libc::ENOENT) => "there is no such real server",
        (AddService(key, service) | EditService(key, service), libc::EINVAL) => return bad_service(key, service),
        (AddDestination(key, at, server) | EditDestination(key, at, server), libc::EINVAL) => {
            return bad_server(key, at.ip(), server);
        }
        (AddDestination(.., server) | EditDestination(.., server), libc::ERANGE) => return out_of_range(server),
        (SetTimeouts(_), libc::EINVAL) => "a timeout is longer than the kernel can count",
        (StartDaemon(_), libc::EEXIST) => "a sync daemon of this role already runs",
        (StartDaemon(daemon), libc::ENODEV) => return format!("there is no such interface: {}", daemon.interface),
        (StartDaemon(daemon), libc::ENETUNREACH | libc::EADDRNOTAVAIL) => {
            return format!(
                "{0} is down or has no route for the multicast group: try \"ip link set {0} up\"",
                daemon.interface
            );
        }
        (StartDaemon(daemon), libc::EINVAL) => match daemon.group {
            Some(group) if !group.is_multicast() => return format!("{group} is no multicast group"),
            _ => {
                "a real server of another address family than its service exists in this network namespace; sync \
                 daemons cannot carry its connections"
            }
        },
        (StopDaemon(_), libc::ESRCH) => "no such sync daemon runs",
        (_, libc::EPERM) => {
            "it needs CAP_NET_ADMIN in the initial user namespace; root of a container's own does not have it"
        }
        (_, libc::EAFNOSUPPORT) => "the kernel lacks this address family: is IPv6 switched off, or not built in?",
        (_, libc::EOPNOTSUPP) => "the kernel's IPVS cannot do this; a newer one may",
        (_, libc::ENOBUFS) => "the kernel's answer was lost: it may have been carried out or not, look at the table",
        (_, libc::ENOMEM) => "the kernel is out of memory",
        _ => return std::io::Error::from_raw_os_error(errno).to_string(),
    };
    known.to_owned()
}

fn missing_module(service: &Service) -> String {
    let engine = service.engine.as_ref().map_or_else(String::new, |engine| format!(" or ip_vs_pe_{engine}"));
    format!("the kernel has no module ip_vs_{}{engine}", service.scheduler)
}

fn bad_service(key: &ServiceKey, service: &Service) -> String {
    let mask = service.persistence.map(|persistence| persistence.netmask);
    match (key.family(), mask) {
        (Family::Inet6, Some(Netmask::Prefix(length))) if length.get() > 128 => {
            format!("an IPv6 prefix has at most 128 bits, and not {length}")
        }
        (Family::Inet6, Some(Netmask::Mask(mask))) => format!("{mask} is no mask for an IPv6 service"),
        _ => "the kernel does not take its persistence timeout, netmask or flags".to_owned(),
    }
}

fn bad_server(key: &ServiceKey, ip: IpAddr, server: &Destination) -> String {
    let link_local = matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    if matches!(server.forward, Forward::Tunnel(Tunnel::Gue { port: 0, .. })) {
        "GUE needs a UDP port".to_owned()
    } else if key.family() != Family::of(ip) && !matches!(server.forward, Forward::Tunnel(_)) {
        "another address family than the service's needs tunnelling".to_owned()
    } else if ip.is_multicast() || ip.is_unspecified() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) || link_local {
        let what = if link_local { "link-local" } else { "not unicast" };
        format!("the address {ip} is {what}")
    } else if key.family() != Family::of(ip) {
        "a server of another address family than the service's cannot be had while a sync daemon runs".to_owned()
    } else {
        format!(
            "{ip} is not unicast here: either it is a network's broadcast address, or this network namespace never \
             had an address; then try \"ip link set lo up\""
        )
    }
}

fn out_of_range(server: &Destination) -> String {
    let Destination { weight, upper_threshold: upper, lower_threshold: lower, .. } = *server;
    if weight > MAX_WEIGHT {
        format!("the weight {weight} is above {MAX_WEIGHT}")
    } else if lower > upper {
        format!("the lower threshold {lower} is above the upper one, {upper}")
    } else {
        "the weight or a threshold is out of range".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::Persistence;

    fn told(change: Change, errno: i32) -> String {
        Refusal::new(change, errno).to_string()
    }

    #[test]
    fn a_refusal_says_what_is_wrong_and_what_to_do() {
        let key = ServiceKey::tcp(([192, 0, 2, 1], 80).into());
        let add = |at: &str, server| Change::AddDestination(key, at.parse().expect("an address"), server);
        let gate = Destination::new(Forward::Gate, 1);
        let tunnel = Destination::new(Forward::Tunnel(Tunnel::Ipip), 1);
        let engine = Some("sip".parse().expect("a name"));
        let mask = Netmask::Mask([255, 0, 0, 0].into());
        let masked = Service { persistence: Some(Persistence { timeout: 1, netmask: mask }), ..Service::default() };
        let six = ServiceKey::tcp("[2001:db8::1]:80".parse().expect("an address"));
        let daemon = |group: Option<IpAddr>| {
            Change::StartDaemon(SyncDaemon {
                role: SyncRole::Master,
                interface: "eth0".into(),
                sync_id: 1,
                max_length: None,
                group,
                port: None,
                ttl: None,
            })
        };
        let cases = [
            (Change::AddService(key, Service::default()), libc::ENOENT, "no module ip_vs_wlc"),
            (Change::AddService(key, Service { engine, ..Service::default() }), libc::ENOENT, "ip_vs_pe_sip"),
            (Change::AddService(six, masked), libc::EINVAL, "255.0.0.0 is no mask for an IPv6 service"),
            (Change::Flush, libc::EPERM, "CAP_NET_ADMIN"),
            (add("10.0.0.1:80", gate), libc::EINVAL, "ip link set lo up"),
            (add("224.0.0.1:80", gate), libc::EINVAL, "224.0.0.1 is not unicast"),
            (add("[fe80::1]:80", tunnel), libc::EINVAL, "fe80::1 is link-local"),
            (add("[2001:db8::2]:80", gate), libc::EINVAL, "needs tunnelling"),
            (add("[2001:db8::2]:80", tunnel), libc::EINVAL, "while a sync daemon runs"),
            (add("10.0.0.1:80", Destination { weight: 1 << 31, ..gate }), libc::ERANGE, "weight 2147483648 is above"),
            (
                add("10.0.0.1:80", Destination { lower_threshold: 9, ..gate }),
                libc::ERANGE,
                "9 is above the upper one, 0",
            ),
            (daemon(None), libc::EINVAL, "another address family"),
            (daemon(Some([10, 0, 0, 1].into())), libc::EINVAL, "10.0.0.1 is no multicast group"),
            (daemon(None), libc::ENETUNREACH, "ip link set eth0 up"),
            (daemon(None), libc::ENODEV, "no such interface: eth0"),
        ];
        for (change, errno, expected) in cases {
            let text = told(change, errno);
            assert!(text.contains(expected), "{text}");
        }
    }
}
