//! What a newer kernel says of services and servers beyond what this program knows.
//!
//! An edit replaces a server as a whole, and the kernel takes what is missing for 0. So attributes without a
//! meaning here are set aside when an entry is read, and sent back when it is edited over the same socket. With
//! kernels that have none, nothing is held.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::ipvs::{Change, ServiceKey};

type Attributes = Box<[u8]>;

/// Attributes without a meaning here, by what they belong to, as they were when last read.
#[derive(Debug, Default)]
pub struct Newer {
    services: HashMap<ServiceKey, Attributes>,
    servers: HashMap<ServiceKey, HashMap<SocketAddr, Attributes>>,
}

impl Newer {
    /// The services are about to be listed.
    pub fn forget_services(&mut self) {
        self.services.clear();
    }

    /// The servers of a service are about to be listed.
    pub fn forget_servers(&mut self, key: &ServiceKey) {
        self.servers.remove(key);
    }

    /// A service was read; without such attributes, those of an earlier one of the same key count no more.
    pub fn note_service(&mut self, key: ServiceKey, attributes: &[u8]) {
        if attributes.is_empty() {
            self.services.remove(&key);
        } else {
            self.services.insert(key, attributes.into());
        }
    }

    pub fn note_server(&mut self, key: ServiceKey, at: SocketAddr, attributes: &[u8]) {
        self.servers.entry(key).or_default().insert(at, attributes.into());
    }

    /// What goes with a change; nothing, but for an edit.
    pub fn of(&self, change: &Change) -> &[u8] {
        let found = match change {
            Change::EditService(key, _) => self.services.get(key),
            Change::EditDestination(key, at, _) => self.servers.get(key).and_then(|servers| servers.get(at)),
            _ => None,
        };
        found.map(AsRef::as_ref).unwrap_or_default()
    }

    /// What has been deleted comes back as another one.
    pub fn carried_out(&mut self, change: &Change) {
        match change {
            Change::DeleteService(key) => {
                self.services.remove(key);
                self.servers.remove(key);
            }
            Change::DeleteDestination(key, at) => {
                if let Some(servers) = self.servers.get_mut(key) {
                    servers.remove(at);
                }
            }
            Change::Flush => *self = Self::default(),
            _ => {}
        }
    }
}
