//! Virtual addresses on this machine: put on with a lease, renewed, announced, taken off.
//!
//! What is due when is decided in [`super::lease`] and [`super::announce`]; here it is done. All
//! calls are short requests to the kernel, none waits.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::time::Instant;

use lvs::netlink::RequestError;
use lvs::netlink::address::{Address, Lifetime};
use lvs::netlink::announce::Announcer;
use lvs::netlink::link::Link;
use lvs::netlink::route::Client;

use super::announce::{Announcements, Schedule};
use super::guard::{Guard, Watched};
use super::lease::{Due, Lease, Leases};
use super::probe::{Neighbourhood, Place};
use super::silence::Silence;
use crate::config::VipSpec;
use crate::media::Interfaces;
use crate::media::interface::computed_broadcast;

/// Why an address is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum VipError {
    /// The interface that haresources names is not there.
    #[error("there is no interface {0}")]
    NoInterface(String),
    /// haresources names no interface, and no network of this machine holds the address.
    #[error("no interface is in the network of {0}: write the interface behind it, {0}/24/eth0")]
    NotCovered(IpAddr),
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] RequestError),
}

/// What happened to an address between two calls; each is told once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Notice {
    /// Its lease ran out before we came to renew it. It is off, and not ours any longer.
    #[error("the lease of {0} ran out before it could be renewed")]
    Lapsed(IpAddr),
    /// The kernel does not renew it. It is tried again until the lease ends.
    #[error("cannot renew {address}: {why}")]
    NotRenewed {
        /// The address.
        address: IpAddr,
        /// The kernel's reason.
        why: String,
    },
    /// The neighbours could not be told; the next repetition tries again.
    #[error("cannot announce {address}: {why}")]
    NotAnnounced {
        /// The address.
        address: IpAddr,
        /// The kernel's reason.
        why: String,
    },
    /// The guard is gone: until there is another one ([`Vips::guarded_by`]) only the leases
    /// protect against our death.
    #[error("nobody takes the addresses off at once should heartbeatd die: {0}")]
    Unguarded(String),
}

/// The virtual addresses this node has put on.
#[derive(Debug)]
pub struct Vips {
    guard: Option<Guard>,
    unguarded: Option<io::Error>,
    kernel: Client,
    announcer: Announcer,
    leases: Leases,
    announcements: Announcements,
    silence: Silence,
    held: BTreeMap<IpAddr, Held>,
    /// Where addresses that are off belong, of those to which haresources gives no interface: the kernel lists all its routes to
    /// tell it.
    places: BTreeMap<IpAddr, u32>,
}

#[derive(Debug)]
struct Held {
    address: Address,
    /// Told that it could not be renewed.
    not_renewed: bool,
    /// Told that it could not be announced.
    not_announced: bool,
}

impl Vips {
    /// None yet.
    ///
    /// # Errors
    /// Sockets to the kernel cannot be had: `CAP_NET_RAW` is needed to announce.
    pub fn open(lease: Lease, schedule: Schedule) -> io::Result<Self> {
        Ok(Self {
            guard: None,
            unguarded: None,
            kernel: Client::open()?,
            announcer: Announcer::open()?,
            leases: Leases::new(lease),
            announcements: Announcements::new(schedule),
            silence: Silence::open()?,
            held: BTreeMap::new(),
            places: BTreeMap::new(),
        })
    }

    /// This address is announced by a schedule of its own.
    pub fn announce_by(&mut self, ip: IpAddr, schedule: Schedule) {
        self.announcements.by(ip, schedule);
    }

    /// From now on the guard takes the addresses off should we die, those that are on already too.
    pub fn guarded_by(&mut self, guard: Guard) {
        self.guard = Some(guard);
        let held: Vec<Address> = self.held.values().map(|held| held.address.clone()).collect();
        held.iter().for_each(|address| self.tell(|guard| guard.watch(address)));
    }

    /// Lets the guard go and leaves the addresses on, until their leases end or the next life
    /// adopts them: for a restart that keeps them.
    pub fn dismiss_guard(&mut self) {
        if let Some(guard) = self.guard.take() {
            // If it is gone already it does nothing any more either.
            _ = guard.dismiss();
        }
    }

    fn tell(&mut self, order: impl FnOnce(&Guard) -> io::Result<()>) {
        if let Some(Err(why)) = self.guard.as_ref().map(order) {
            self.guard.take().into_iter().for_each(Guard::kill);
            self.unguarded = Some(why);
        }
    }

    /// Puts the address on, or adopts it where it is on already. Tells nobody yet.
    ///
    /// # Errors
    /// There is no interface for it, or the kernel refuses.
    pub fn put_on(&mut self, now: Instant, vip: &VipSpec) -> Result<(), VipError> {
        let address = self.resolve(vip)?.lasting(Lifetime::Seconds(self.leases.lease().seconds));
        self.tell(|guard| guard.watch(&address));
        self.kernel.set_address(&address)?;
        self.leases.renewed(now, vip.address);
        self.held.insert(vip.address, Held { address, not_renewed: false, not_announced: false });
        Ok(())
    }

    /// For a moment this node answers nothing that it does not know at this address: the peer
    /// still serves it and hands its connections over. To be called before it is put on.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn be_silent(&mut self, now: Instant, ip: IpAddr) -> Result<(), VipError> {
        self.tell(|guard| guard.watch(Watched::Silence(ip)));
        Ok(self.silence.begin(now, ip)?)
    }

    fn end_silence(&mut self, ip: IpAddr) {
        if self.silence.lasts(ip) {
            self.silence.end(ip);
            self.tell(|guard| guard.forget(Watched::Silence(ip)));
        }
    }

    /// Takes the address off, announced no more; whether it was on. An address that was never
    /// put on is looked for where it would have been.
    ///
    /// # Errors
    /// The kernel refuses. Whatever happens, the lease is not renewed any longer.
    pub fn take_off(&mut self, vip: &VipSpec) -> Result<bool, VipError> {
        self.announcements.stop(vip.address);
        self.leases.ended(vip.address);
        self.end_silence(vip.address);
        let interface = match self.held.remove(&vip.address) {
            Some(held) => held.address.interface,
            None => match self.resolve(vip) {
                Ok(address) => address.interface,
                // Where there is no interface there is no address.
                Err(VipError::NoInterface(_) | VipError::NotCovered(_)) => return Ok(false),
                Err(e) => return Err(e),
            },
        };
        self.remove(interface, vip.address)
    }

    /// The address in whatever network it is on the interface: another mask may have been in force
    /// when it was put on.
    fn remove(&mut self, interface: u32, ip: IpAddr) -> Result<bool, VipError> {
        let found = self.kernel.addresses()?.into_iter().map(|state| state.address);
        let mut removed = false;
        for address in found.filter(|address| address.interface == interface && address.ip == ip) {
            removed |= self.kernel.delete_address(&address)?;
            self.tell(|guard| guard.forget(&address));
        }
        Ok(removed)
    }

    /// Whether the address is on where it belongs, whoever put it there.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn is_on(&mut self, vip: &VipSpec) -> Result<bool, VipError> {
        let interface = match self.resolve(vip) {
            Ok(address) => address.interface,
            Err(VipError::NoInterface(_) | VipError::NotCovered(_)) => return Ok(false),
            Err(e) => return Err(e),
        };
        let on = |address: &Address| address.interface == interface && address.ip == vip.address;
        Ok(self.kernel.addresses()?.iter().any(|state| on(&state.address) && !state.duplicate))
    }

    /// Tells the neighbours that the address is here: the first time before this returns, then as
    /// the schedule has it. What is being repeated starts over.
    pub fn announce(&mut self, now: Instant, vip: &VipSpec) -> Vec<Notice> {
        self.announcements.start(now, vip.address);
        self.announce_due(now)
    }

    /// Renews and announces what is due. Only addresses that are to be `kept` are renewed; others
    /// go when their lease ends.
    pub fn tick(&mut self, now: Instant, kept: impl Fn(IpAddr) -> bool) -> Vec<Notice> {
        let Due { renew, lapsed } = self.leases.due(now);
        let mut notices = Vec::new();
        for ip in lapsed {
            self.announcements.stop(ip);
            if let Some(held) = self.held.remove(&ip) {
                // The kernel is up to a quarter of a second behind.
                _ = self.remove(held.address.interface, ip);
            }
            notices.push(Notice::Lapsed(ip));
        }
        for ip in renew {
            let Some(held) = self.held.get_mut(&ip).filter(|_| kept(ip)) else {
                self.leases.postponed(now, ip);
                continue;
            };
            match self.kernel.set_address(&held.address) {
                Ok(()) => {
                    held.not_renewed = false;
                    self.leases.renewed(now, ip);
                    // Said again, because it may have gone off meanwhile; and so the death of the guard is noticed.
                    let address = held.address.clone();
                    self.tell(|guard| guard.watch(&address));
                }
                Err(e) => {
                    self.leases.postponed(now, ip);
                    if !std::mem::replace(&mut held.not_renewed, true) {
                        notices.push(Notice::NotRenewed { address: ip, why: lvs::diag::chain(&e) });
                    }
                }
            }
        }
        notices.append(&mut self.announce_due(now));
        self.silence.over(now).into_iter().for_each(|ip| self.end_silence(ip));
        notices.extend(self.unguarded.take().map(|why| Notice::Unguarded(why.to_string())));
        notices
    }

    /// When [`Self::tick`] next has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        [self.leases.deadline(), self.announcements.deadline(), self.silence.deadline()].into_iter().flatten().min()
    }

    /// The interface on which we have put the address on.
    #[must_use]
    pub fn interface_of(&self, ip: IpAddr) -> Option<u32> {
        self.held.get(&ip).map(|held| held.address.interface)
    }

    /// Where these addresses can be asked for. An interface that is gone or has no carrier has nobody to ask now.
    pub fn neighbourhood(&mut self, ips: &[IpAddr]) -> Neighbourhood {
        match self.kernel.links() {
            Ok(links) => neighbourhood(&links, ips.iter().filter_map(|ip| Some((*ip, self.interface_of(*ip)?)))),
            Err(e) => {
                log::debug!("cannot ask who else has {ips:?}: {}", lvs::diag::chain(&e));
                Neighbourhood::default()
            }
        }
    }

    /// Networks and interfaces have changed: where addresses belong is looked up again.
    pub fn forget_places(&mut self) {
        self.places.clear();
    }

    /// Whether somebody could reach the address, were it on here: not where its interface has no carrier. `None` where
    /// there is no interface, which the group's own scripts may bring.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn is_plugged(&mut self, links: &Interfaces, vip: &VipSpec) -> Result<Option<bool>, RequestError> {
        let on = self.interface_of(vip.address);
        let with_index = |index| links.links().find(|link| link.index == index);
        let link = match (on, &vip.interface) {
            (Some(index), _) => with_index(index),
            (None, Some(name)) => links.links().find(|link| link.name == *name),
            (None, None) => match self.places.get(&vip.address).and_then(|index| with_index(*index)) {
                Some(link) => Some(link),
                None => {
                    let cover = self.kernel.covering(vip.address)?;
                    self.places.extend(cover.as_ref().map(|cover| (vip.address, cover.interface)));
                    cover.and_then(|cover| with_index(cover.interface))
                }
            },
        };
        Ok(match link {
            Some(link) => Some(link.running || !link.resolves),
            None => on.is_some().then_some(false),
        })
    }

    /// The addresses we have put on.
    pub fn held(&self) -> impl Iterator<Item = IpAddr> {
        self.held.keys().copied()
    }

    fn announce_due(&mut self, now: Instant) -> Vec<Notice> {
        let due = self.announcements.due(now);
        if due.is_empty() {
            return Vec::new();
        }
        // Asked anew each time: a bond changes its hardware address when a port fails.
        let links = self.kernel.links();
        let mut notices = Vec::new();
        for ip in due {
            let Some(held) = self.held.get_mut(&ip) else {
                self.announcements.stop(ip);
                continue;
            };
            let sent = match &links {
                Ok(links) => announce(&self.announcer, links, &held.address),
                Err(e) => Err(lvs::diag::chain(e)),
            };
            match sent {
                Ok(()) => held.not_announced = false,
                Err(why) if !std::mem::replace(&mut held.not_announced, true) => {
                    notices.push(Notice::NotAnnounced { address: ip, why });
                }
                Err(_) => {}
            }
        }
        notices
    }

    /// Where and how the address is to be put on.
    fn resolve(&mut self, vip: &VipSpec) -> Result<Address, VipError> {
        let ip = vip.address;
        let whole = if ip.is_ipv4() { 32 } else { 128 };
        let (interface, prefix) = match (&vip.interface, vip.prefix) {
            (Some(name), prefix) => {
                let link = self.kernel.link(name)?.ok_or_else(|| VipError::NoInterface(name.clone()))?;
                let prefix = match prefix {
                    Some(prefix) => prefix,
                    None => {
                        let cover = self.kernel.covering(ip)?.filter(|cover| cover.interface == link.index);
                        cover.map_or(whole, |cover| cover.prefix)
                    }
                };
                (link.index, prefix)
            }
            (None, prefix) => {
                let cover = self.kernel.covering(ip)?.ok_or(VipError::NotCovered(ip))?;
                (cover.interface, prefix.unwrap_or(cover.prefix))
            }
        };
        let broadcast = match ip {
            IpAddr::V4(ip) => vip.broadcast.or_else(|| computed_broadcast(ip, prefix)),
            IpAddr::V6(_) => None,
        };
        Ok(Address { label: vip.label.clone(), broadcast, ..Address::new(interface, ip, prefix) })
    }
}

/// `ips`: the addresses, and the interfaces they are on.
fn neighbourhood(links: &[Link], ips: impl Iterator<Item = (IpAddr, u32)>) -> Neighbourhood {
    let mut around = Neighbourhood { ours: links.iter().filter_map(|link| link.mac).collect(), ..Default::default() };
    for (ip, interface) in ips {
        let Some(link) = links.iter().find(|link| link.index == interface) else { continue };
        match link.mac.filter(|_| link.resolves) {
            Some(mac) if link.running => around.places.push(Place { ip, interface, mac }),
            Some(_) => {}
            None => around.alone.push(ip),
        }
    }
    around
}

/// One announcement; an interface without neighbours needs none.
pub(super) fn announce(announcer: &Announcer, links: &[Link], address: &Address) -> Result<(), String> {
    let link = links.iter().find(|link| link.index == address.interface).ok_or("its interface is gone")?;
    let Some(mac) = link.mac.filter(|_| link.resolves) else { return Ok(()) };
    let router = address.ip.is_ipv6() && is_router(&link.name);
    announcer.announce(link.index, mac, address.ip, router).map_err(|e| format!("on {}: {e}", link.name))
}

/// Whether this machine forwards IPv6 that comes in there, which advertisements have to say.
fn is_router(interface: &str) -> bool {
    fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{interface}/forwarding")).is_ok_and(|text| text.trim() != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_cannot_be_used_is_not_one_without_neighbours() {
        let mac = [2, 0, 0, 0, 0, 1];
        let link = |index, running, resolves| Link {
            index,
            name: format!("eth{index}"),
            mac: Some(mac),
            up: true,
            running,
            loopback: false,
            resolves,
            mtu: 1500,
        };
        let links = [link(1, true, true), link(2, false, true), link(3, true, false)];
        let ip = |last: u8| IpAddr::from([192, 0, 2, last]);
        // The last is on an interface that is gone.
        let around = neighbourhood(&links, (1..=4).map(|at| (ip(at), u32::from(at))));
        assert_eq!(around.places, [Place { ip: ip(1), interface: 1, mac }]);
        assert_eq!(around.alone, [ip(3)]);
    }
}
