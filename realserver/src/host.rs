//! The kernel's side: looking, and carrying out steps.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use lvs::netlink::RequestError;
use lvs::netlink::address::Address;
use lvs::netlink::route::Client;

use crate::memory::{self, MemoryError};
use crate::plan::{Memory, Now, Present, Setting, Step, host_prefix};

/// Something about the kernel could not be learnt or changed.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// No netlink socket.
    #[error("cannot ask the kernel for its addresses")]
    Open(#[source] io::Error),
    /// The kernel refused.
    #[error(transparent)]
    Netlink(#[from] RequestError),
    /// There is no `lo`.
    #[error("this network namespace has no interface lo")]
    NoLo,
    /// A setting cannot be read.
    #[error("cannot read {name}")]
    Read {
        /// As sysctl names it.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A setting cannot be changed.
    #[error("cannot set {setting} to {value}")]
    Set {
        /// Which.
        setting: Setting,
        /// The value it should have.
        value: u32,
        /// The system's reason.
        source: io::Error,
    },
    /// The memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

/// This machine, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Host {
    route: Client,
    memory: PathBuf,
}

impl Host {
    /// Connects to the kernel; `memory` is the file for [`Memory`].
    ///
    /// # Errors
    /// If there is no room for a socket.
    pub fn open(memory: &Path) -> Result<Self, HostError> {
        Ok(Self { route: Client::open().map_err(HostError::Open)?, memory: memory.to_owned() })
    }

    /// What is remembered from before.
    ///
    /// # Errors
    /// If the file is there and cannot be used.
    pub fn memory(&self) -> Result<Memory, MemoryError> {
        memory::load(&self.memory)
    }

    /// What the machine looks like now. Needs no privilege.
    ///
    /// # Errors
    /// If the kernel does not say.
    pub fn look(&mut self) -> Result<Now, HostError> {
        let links: BTreeMap<u32, _> = self.route.links()?.into_iter().map(|link| (link.index, link)).collect();
        let lo = links.values().find(|link| link.loopback).ok_or(HostError::NoLo)?;
        let present = self.route.addresses()?.into_iter().filter_map(|state| {
            let Address { interface, ip: address, prefix, label, .. } = state.address;
            let link = links.get(&interface)?;
            Some(Present { interface: link.name.clone(), address, prefix, label, answers: link.resolves })
        });
        let mut now = Now { lo_up: lo.up, addresses: present.collect(), ..Now::default() };
        for setting in Setting::ALL {
            now.settings.insert(setting, read(setting.name())?);
        }
        for link in links.values().filter(|link| link.resolves) {
            // An interface that has just gone has no setting any more, and needs none.
            if let Ok(value) = read_at(&conf(&link.name).join("arp_ignore")) {
                now.arp_ignore.insert(link.name.clone(), value);
            }
        }
        Ok(now)
    }

    /// Carries out steps in order and says what became of each that was tried. One that fails does
    /// not keep the next from being tried, with two exceptions: without a memory nothing is changed,
    /// and nothing is forgotten that may still be needed.
    pub fn carry_out(&mut self, steps: Vec<Step>) -> Vec<(Step, Result<(), HostError>)> {
        let mut done: Vec<(Step, Result<(), HostError>)> = Vec::new();
        for step in steps {
            let keeps_book = matches!(step, Step::Remember(_) | Step::Forget);
            if keeps_book && done.iter().any(|(_, result)| result.is_err()) {
                break;
            }
            let result = self.carry_out_one(&step);
            let over = keeps_book && result.is_err();
            done.push((step, result));
            if over {
                break;
            }
        }
        done
    }

    fn carry_out_one(&mut self, step: &Step) -> Result<(), HostError> {
        match step {
            Step::Remember(memory) => memory::store(&self.memory, memory)?,
            Step::Forget => memory::forget(&self.memory)?,
            Step::Set { setting, value, .. } => fs::write(path(setting.name()), format!("{value}\n"))
                .map_err(|source| HostError::Set { setting: *setting, value: *value, source })?,
            Step::Add { address, label } => {
                let address = Address { label: label.clone(), ..self.on_lo(*address)? };
                self.route.set_address(&address)?;
            }
            Step::Remove { address } => {
                let address = self.on_lo(*address)?;
                // Somebody else was quicker: it is off, as it should be.
                let _was_there = self.route.delete_address(&address)?;
            }
        }
        Ok(())
    }

    fn on_lo(&mut self, address: IpAddr) -> Result<Address, HostError> {
        let lo = self.route.links()?.into_iter().find(|link| link.loopback).ok_or(HostError::NoLo)?;
        Ok(Address::new(lo.index, address, host_prefix(address)))
    }
}

fn path(name: &str) -> PathBuf {
    Path::new("/proc/sys").join(name.replace('.', "/"))
}

/// Where an interface has its settings. Its name may hold dots, so it is not part of a sysctl name.
fn conf(interface: &str) -> PathBuf {
    Path::new("/proc/sys/net/ipv4/conf").join(interface)
}

fn read(name: &str) -> Result<u32, HostError> {
    read_at(&path(name)).map_err(|source| HostError::Read { name: name.to_owned(), source })
}

fn read_at(path: &Path) -> io::Result<u32> {
    fs::read_to_string(path)?.trim().parse().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}
