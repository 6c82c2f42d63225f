//! The kernel's connection-sync daemons, and handing connections over in a planned switch.
//!
//! A node always receives (backup), so that it knows the connections before it needs them,
//! and sends (master) while it serves. `LVSSyncDaemonSwap` in haresources says over which
//! interface. The kernel starts a thread for each, which takes a while: asked beside the loop.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use lvs::ipvs::{Change, Forward, ServiceKey, SyncDaemon, SyncRole, Table};
use lvs::netlink::ipvs::{Client, Worker};

use super::handover::{EVERY, Handover};
use crate::config::{Resource, ResourceKind};

/// Between two looks at how the virtual services forward.
const LOOK_EVERY: u32 = 10;

/// See the module.
pub struct Sync {
    worker: Option<Arc<Worker>>,
    over: Option<Over>,
    addresses: Vec<IpAddr>,
    serving: bool,
    /// The kernel has been told of `serving` and has taken it.
    told: Arc<AtomicBool>,
    /// An attempt failed; said once.
    failing: Arc<AtomicBool>,
    direct: Arc<AtomicBool>,
    seconds: u32,
    handing: Option<Handing>,
}

/// What the first `LVSSyncDaemonSwap` says.
#[derive(Debug, Clone)]
struct Over {
    interface: String,
    id: u8,
}

/// A switch under way.
struct Handing {
    ips: Vec<IpAddr>,
    next: Instant,
    attempt: Attempt,
}

/// What the attempts of one switch know of each other.
#[derive(Debug, Clone, Default)]
struct Attempt {
    /// One is being made.
    busy: Arc<AtomicBool>,
    /// One failed; said once in a switch, not fifty times a second.
    failed: Arc<AtomicBool>,
}

impl Sync {
    /// What the resources ask for. A kernel without IPVS is no error as long as they ask for nothing.
    #[must_use]
    pub fn open<'a>(mut resources: impl Iterator<Item = &'a Resource>, addresses: Vec<IpAddr>) -> Self {
        let over = resources.find_map(|resource| match &resource.kind {
            ResourceKind::SyncDaemon { interface, id, .. } => Some(Over { interface: interface.clone(), id: *id }),
            ResourceKind::Address(_) | ResourceKind::Ldirectord { .. } | ResourceKind::Script { .. } => None,
        });
        let worker = match Client::open().map_err(|e| lvs::diag::chain(&e)).map(Worker::start) {
            Ok(Ok(worker)) => Some(Arc::new(worker)),
            Ok(Err(e)) => {
                log::error!("no sync daemons: {e}");
                None
            }
            Err(why) => {
                if over.is_some() {
                    log::error!("no sync daemons: {why}");
                }
                None
            }
        };
        let flag = || Arc::new(AtomicBool::new(false));
        Self {
            worker,
            over,
            addresses,
            serving: false,
            told: flag(),
            failing: flag(),
            direct: flag(),
            seconds: 0,
            handing: None,
        }
    }

    /// Whether connections to the virtual addresses are only ever answered by real servers
    /// themselves (direct routing, tunnels). Known after a second.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.direct.load(Ordering::Relaxed)
    }

    /// This node serves connections, or does not.
    pub fn serve(&mut self, serving: bool) {
        self.serving = serving;
        self.told.store(false, Ordering::Relaxed);
        self.tell();
    }

    /// These addresses are on their way to the peer; none: the switch is over.
    pub fn hand_over(&mut self, ips: Vec<IpAddr>) {
        match &mut self.handing {
            _ if self.over.is_none() => {}
            Some(handing) if ips.is_empty() => {
                // What came while the peer was already taking over is sent as well, whatever is still being sent.
                let (last, attempt) = (std::mem::take(&mut handing.ips), handing.attempt.clone());
                self.handing = None;
                self.send(last, attempt);
            }
            Some(handing) => handing.ips = ips,
            None if ips.is_empty() => {}
            None => {
                self.handing = Some(Handing { ips, next: Instant::now(), attempt: Attempt::default() });
                self.push();
            }
        }
    }

    /// When [`Self::turn`] next has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.handing.as_ref().map(|handing| handing.next)
    }

    /// Sends what is due.
    pub fn turn(&mut self, now: Instant) {
        if self.deadline().is_some_and(|next| next <= now) {
            self.push();
        }
    }

    /// About once a second: tries again what failed, looks at the table now and then.
    pub fn keep_house(&mut self) {
        if !self.told.load(Ordering::Relaxed) {
            self.tell();
        }
        if self.seconds.is_multiple_of(LOOK_EVERY) {
            self.look();
        }
        self.seconds = self.seconds.wrapping_add(1);
    }

    fn tell(&self) {
        let (Some(worker), Some(over)) = (self.worker.clone(), self.over.clone()) else { return };
        let (serving, told, failing) = (self.serving, self.told.clone(), self.failing.clone());
        told.store(true, Ordering::Relaxed);
        tokio::spawn(async move {
            let result = worker.run(move |kernel| arrange(kernel, &over, serving)).await;
            let why = match result {
                Ok(Ok(())) => None,
                Ok(Err(why)) => Some(why),
                Err(died) => Some(died.to_string()),
            };
            told.store(why.is_none(), Ordering::Relaxed);
            match why {
                Some(why) if !failing.swap(true, Ordering::Relaxed) => log::warn!("{why}; trying again every second"),
                Some(_) => {}
                None => failing.store(false, Ordering::Relaxed),
            }
        });
    }

    /// Looks at the table now: at once when it has been filled, and now and then for who changes it by hand.
    pub fn look(&self) {
        let Some(worker) = self.worker.clone() else { return };
        let (direct, addresses) = (self.direct.clone(), self.addresses.clone());
        tokio::spawn(async move {
            let table = worker.run(|kernel| kernel.table()).await;
            let found = matches!(table, Ok(Ok(table)) if answers_directly(&table, &addresses));
            direct.store(found, Ordering::Relaxed);
        });
    }

    fn push(&mut self) {
        let Some(handing) = &mut self.handing else { return };
        handing.next = Instant::now() + EVERY;
        if !handing.attempt.busy.swap(true, Ordering::Relaxed) {
            let (ips, attempt) = (handing.ips.clone(), handing.attempt.clone());
            self.send(ips, attempt);
        }
    }

    /// Sends the connections to these addresses beside the loop.
    fn send(&self, ips: Vec<IpAddr>, attempt: Attempt) {
        let Some(over) = self.over.clone() else { return };
        tokio::task::spawn_blocking(move || {
            match Handover::open(&over.interface, over.id).and_then(|way| way.push(&ips)) {
                Ok(count) => log::debug!("handed {count} connections over"),
                Err(e) if !attempt.failed.swap(true, Ordering::Relaxed) => {
                    log::warn!(
                        "cannot hand connections over on {}: {e}; trying again while the switch lasts",
                        over.interface
                    );
                }
                Err(_) => {}
            }
            attempt.busy.store(false, Ordering::Relaxed);
        });
    }
}

/// Makes the kernel's daemons what they should be.
fn arrange(kernel: &mut Client, over: &Over, serving: bool) -> Result<(), String> {
    let running = kernel.daemons().map_err(|e| lvs::diag::chain(&e))?;
    let runs = |role| running.iter().find(|daemon: &&SyncDaemon| daemon.role == role);
    let mut changes = Vec::new();
    for (role, wanted) in [(SyncRole::Backup, true), (SyncRole::Master, serving)] {
        let right = |daemon: &SyncDaemon| daemon.interface == over.interface && daemon.sync_id == over.id;
        let found = runs(role);
        if found.is_some_and(|daemon| !wanted || !right(daemon)) {
            changes.push(Change::StopDaemon(role));
        }
        if wanted && !found.is_some_and(right) {
            let (interface, sync_id) = (over.interface.clone(), over.id);
            changes.push(Change::StartDaemon(SyncDaemon {
                role,
                interface,
                sync_id,
                max_length: None,
                group: None,
                port: None,
                ttl: None,
            }));
        }
    }
    let refusals = kernel.change(&changes).into_iter().filter_map(Result::err);
    let all: Vec<String> = refusals.map(|refusal| refusal.to_string()).collect();
    if all.is_empty() { Ok(()) } else { Err(all.join("; ")) }
}

/// Whether no packet from a virtual address starts on this machine.
fn answers_directly(table: &Table, addresses: &[IpAddr]) -> bool {
    let concerned = table.iter().filter(|(key, _)| match key {
        ServiceKey::Address { at, .. } => addresses.contains(&at.ip()),
        // Which addresses carry the mark is the firewall's business.
        ServiceKey::Mark { .. } => true,
    });
    let mut servers = concerned.flat_map(|(_, entry)| &entry.destinations).peekable();
    servers.peek().is_some()
        && servers
            .all(|(at, server)| matches!(server.forward, Forward::Gate | Forward::Tunnel(_)) && !at.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lvs::ipvs::{Destination, Service, VirtualService};
    use std::net::SocketAddr;

    #[test]
    fn a_fallback_on_this_machine_answers_from_the_virtual_address() {
        let vip: SocketAddr = "192.168.60.200:80".parse().expect("an address");
        let mut table = Table::new();
        let entry = VirtualService { service: Service::default(), destinations: Default::default() };
        let entry = table.entry(ServiceKey::tcp(vip)).or_insert(entry);
        let mut add = |at: &str, forward| {
            entry.destinations.insert(at.parse().expect("an address"), Destination::new(forward, 1));
        };
        assert!(!answers_directly(&Table::new(), &[vip.ip()]));
        add("192.168.60.132:80", Forward::Gate);
        let direct = table.clone();
        assert!(answers_directly(&direct, &[vip.ip()]));
        table.values_mut().for_each(|entry| {
            let local = "127.0.0.1:80".parse().expect("an address");
            entry.destinations.insert(local, Destination::new(Forward::Gate, 1));
        });
        assert!(!answers_directly(&table, &[vip.ip()]));
        table.values_mut().for_each(|entry| entry.destinations.values_mut().for_each(|d| d.forward = Forward::Masq));
        assert!(!answers_directly(&table, &[vip.ip()]));
    }
}
