//! One change to the table, and the kernel's refusal of one.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Destination, Forward, Service, ServiceKey, SyncDaemon, SyncRole, Timeouts, Tunnel};

/// One request to the kernel (spec/ipvs.md B.2). Requests are independent: there is no transaction.
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

fn explain(change: &Change, errno: i32) -> String {
    use Change::{
        AddDestination, AddService, DeleteDestination, DeleteService, EditDestination, EditService, SetTimeouts,
        StartDaemon, StopDaemon, Zero,
    };
    let known = match (change, errno) {
        (AddService(..), libc::EEXIST) => "the service already exists",
        (AddService(_, service) | EditService(_, service), libc::ENOENT) => {
            let engine = service.engine.as_ref().map_or_else(String::new, |e| format!(" or ip_vs_pe_{e}"));
            return format!("the kernel has no module ip_vs_{}{engine}", service.scheduler);
        }
        (EditService(..) | DeleteService(_) | Zero(_), libc::ESRCH) => "there is no such service",
        (AddDestination(..) | EditDestination(..) | DeleteDestination(..), libc::ESRCH) => {
            "its virtual service does not exist"
        }
        (AddDestination(..), libc::EEXIST) => "the real server already exists",
        (EditDestination(..) | DeleteDestination(..), libc::ENOENT) => "there is no such real server",
        (AddService(..) | EditService(..), libc::EINVAL) => {
            "the persistence timeout is too long, or the netmask is (an IPv6 prefix has at most 128 bits)"
        }
        (AddDestination(.., server) | EditDestination(.., server), libc::EINVAL)
            if matches!(server.forward, Forward::Tunnel(Tunnel::Gue { port: 0, .. })) =>
        {
            "GUE needs a UDP port"
        }
        (AddDestination(key, at, _) | EditDestination(key, at, _), libc::EINVAL) => {
            return if key.family() == super::Family::of(at.ip()) {
                "the address is not unicast or not usable here (a namespace without any address refuses all servers)"
                    .to_owned()
            } else {
                "another address family needs tunnelling, and no sync daemon may run".to_owned()
            };
        }
        (AddDestination(..) | EditDestination(..), libc::ERANGE) => {
            "the weight is out of range, or the lower threshold is above the upper one"
        }
        (SetTimeouts(_), libc::EINVAL) => "a timeout is longer than the kernel can count",
        (StartDaemon(_), libc::EEXIST) => "a sync daemon of this role already runs",
        (StartDaemon(_), libc::ENODEV) => "there is no such interface",
        (StartDaemon(_), libc::ENETUNREACH) => "the interface is down or has no route for the multicast group",
        (StartDaemon(_), libc::EINVAL) => {
            "the group is not multicast, or a real server of another family exists in this namespace"
        }
        (StopDaemon(_), libc::ESRCH) => "no such sync daemon runs",
        (_, libc::EPERM) => "it needs CAP_NET_ADMIN",
        (_, libc::EAFNOSUPPORT) => "the kernel lacks this address family",
        (_, libc::ENOBUFS) => "the kernel's answer was lost: it may have been carried out or not, look at the table",
        (_, libc::ENOMEM) => "the kernel is out of memory",
        _ => return std::io::Error::from_raw_os_error(errno).to_string(),
    };
    known.to_owned()
}
