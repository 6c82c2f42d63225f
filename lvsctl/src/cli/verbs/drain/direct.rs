//! Draining in the kernel's table itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use super::report::{Event, Report};
use super::{Named, fail};
use crate::diag::chain;
use crate::drain::store::{self, Store, StoreError};
use crate::drain::{self, Drained, Left, SelectError, Step, Target, UndrainError};
use crate::ipvs::{Change, Destination, DestinationListing, Refusal, Table};
use crate::netlink::RequestError;
use crate::netlink::ipvs::{Client, OpenError};
use crate::state::{ServiceName, ServiceNameError};

/// The kernel's counts are exact at any time; more often than this nobody can read them.
const LOOK_EVERY: Duration = Duration::from_secs(1);

const EXPIRES: &str = "/proc/sys/net/ipv4/vs/expire_quiescent_template";

/// What is to be done.
pub(super) struct Order<'a> {
    pub named: &'a Named,
    pub timeout: Option<Duration>,
    pub delete: bool,
    pub follow: bool,
    /// The weight is ldirectord's business, which has the order; only the waiting is ours.
    pub ldirectord: bool,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Service(#[from] ServiceNameError),
    #[error(transparent)]
    Select(#[from] SelectError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Kernel(#[from] RequestError),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Undrain(#[from] UndrainError),
    #[error("cannot tell in which network namespace this is")]
    Namespace(#[source] std::io::Error),
    #[error("ldirectord drains it, but the end of that cannot be awaited here")]
    Unseen(#[source] Box<Error>),
}

/// `lvsctl drain` without ldirectord, or behind it.
pub(super) fn drain(order: &Order<'_>, report: &mut Report) -> u8 {
    match try_drain(order, report) {
        Ok(true) => 0,
        Ok(false) => super::super::FAILED,
        Err(error) => fail(&error),
    }
}

/// Whether every server was drained, and none taken back by somebody else.
fn try_drain(order: &Order<'_>, report: &mut Report) -> Result<bool, Error> {
    let (mut kernel, table, targets) = match look(order.named) {
        Ok(seen) => seen,
        Err(error) if order.ldirectord && order.follow => return Err(Error::Unseen(Box::new(error))),
        // The server is drained all the same.
        Err(error) if order.ldirectord => {
            report.tell(&Event::Unseen { why: chain(&error) });
            return Ok(true);
        }
        Err(error) => return Err(error),
    };
    let namespace = if order.ldirectord { None } else { Some(namespace()?) };
    if let Some(namespace) = &namespace {
        set_aside(&mut kernel, &table, &targets, namespace, report)?;
    }
    let expires = fs::read_to_string(EXPIRES).ok().map(|text| text.trim() != "0");
    for service in targets.iter().map(|t| t.service).collect::<BTreeSet<_>>() {
        let sticky = table.get(&service).and_then(|entry| drain::sticky(&entry.service, expires));
        sticky.into_iter().for_each(|warning| report.tell(&Event::Warning { service, warning }));
    }
    if !order.follow {
        return Ok(true);
    }
    follow(&mut kernel, &targets, namespace.as_deref(), order, report)
}

fn look(named: &Named) -> Result<(Client, Table, Vec<Target>), Error> {
    let mut kernel = Client::open()?;
    let table = kernel.table()?;
    let targets = select(&table, &[], named)?;
    Ok((kernel, table, targets))
}

fn select(table: &Table, also: &[Target], Named { service, server }: &Named) -> Result<Vec<Target>, Error> {
    let service: Option<ServiceName> = service.as_deref().map(str::parse).transpose()?;
    Ok(drain::select(table, also, service.as_ref(), server)?)
}

/// Remembers the weights and sets them to 0. What cannot be remembered is not touched.
fn set_aside(
    kernel: &mut Client,
    table: &Table,
    targets: &[Target],
    namespace: &str,
    report: &mut Report,
) -> Result<(), Error> {
    let since = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    let mut store = Store::open(Path::new(store::PATH))?;
    let (mut changes, mut drained) = (Vec::new(), Vec::new());
    for &target in targets {
        let Some(&destination) = table.get(&target.service).and_then(|entry| entry.destinations.get(&target.server))
        else {
            continue;
        };
        store.memory.remember(Drained { namespace: namespace.to_owned(), target, destination, since });
        let remembered = store.memory.recall(namespace, &target).map_or(0, |drained| drained.destination.weight);
        if destination.weight > 0 {
            let quiet = Destination { weight: 0, ..destination };
            changes.push(Change::EditDestination(target.service, target.server, quiet));
        }
        drained.push((target, destination.weight, remembered));
    }
    store.save()?;
    drop(store);
    let refusals: Vec<Refusal> = kernel.change(&changes).into_iter().filter_map(Result::err).collect();
    let refused = |target: &Target| {
        let is_it = |change: &Change| matches!(change, Change::EditDestination(service, server, _) if (*service, *server) == (target.service, target.server));
        refusals.iter().any(|refusal| is_it(&refusal.change))
    };
    for &(target, weight, remembered) in drained.iter().filter(|(target, ..)| !refused(target)) {
        report.tell(&Event::Draining { target, weight, remembered });
    }
    // The others have weight 0 now, and keep their order to drain.
    refusals.into_iter().next().map_or(Ok(()), |refusal| Err(refusal.into()))
}

fn follow(
    kernel: &mut Client,
    targets: &[Target],
    namespace: Option<&str>,
    order: &Order<'_>,
    report: &mut Report,
) -> Result<bool, Error> {
    let start = Instant::now();
    let mut open: Vec<Target> = targets.to_vec();
    let mut drained = true;
    let mut quiet = BTreeSet::new();
    while !open.is_empty() {
        let listed = listings(kernel, &open)?;
        let mut left = BTreeMap::new();
        let mut still = Vec::new();
        for target in open {
            let listing = listed.get(&target);
            if !order.ldirectord || listing.is_some_and(|listing| listing.destination.weight == 0) {
                quiet.insert(target);
            }
            match drain::step_behind(listing, quiet.contains(&target), start.elapsed(), order.timeout) {
                Step::Wait(count) => {
                    left.insert(target, count);
                    still.push(target);
                }
                Step::Empty(count) | Step::Late(count) => end(kernel, target, count, order, report)?,
                Step::Gone => report.tell(&Event::Gone { target }),
                Step::Revived(weight) => {
                    drained = false;
                    if let Some(namespace) = namespace {
                        forget(namespace, &target)?;
                    }
                    report.tell(&Event::Revived { target, weight });
                }
                Step::Unchanged(weight) => {
                    drained = false;
                    report.tell(&Event::Unchanged { target, weight });
                }
            }
        }
        open = still;
        if !open.is_empty() {
            report.tell(&Event::Left { servers: left, seconds: start.elapsed().as_secs() });
            let rest = order.timeout.map_or(LOOK_EVERY, |timeout| timeout.saturating_sub(start.elapsed()));
            sleep(LOOK_EVERY.min(rest.max(Duration::from_millis(1))));
        }
    }
    Ok(drained)
}

fn listings(kernel: &mut Client, targets: &[Target]) -> Result<BTreeMap<Target, DestinationListing>, Error> {
    let mut found = BTreeMap::new();
    for service in targets.iter().map(|target| target.service).collect::<BTreeSet<_>>() {
        let servers = kernel.destinations(&service)?;
        found.extend(servers.into_iter().map(|listing| (Target { service, server: listing.at }, listing)));
    }
    Ok(found)
}

fn end(kernel: &mut Client, target: Target, left: Left, order: &Order<'_>, report: &mut Report) -> Result<(), Error> {
    if order.delete {
        let change = Change::DeleteDestination(target.service, target.server);
        match kernel.change(&[change]).remove(0) {
            // Somebody was faster.
            Err(refusal) if !matches!(refusal.errno, libc::ENOENT | libc::ESRCH) => return Err(refusal.into()),
            Ok(()) | Err(_) => {}
        }
    }
    report.tell(&Event::Ended { target, deleted: order.delete, left });
    Ok(())
}

fn forget(namespace: &str, target: &Target) -> Result<(), Error> {
    let mut store = Store::open(Path::new(store::PATH))?;
    store.memory.forget(namespace, target);
    Ok(store.save()?)
}

/// The tables of two namespaces are different ones, and /run is often the same.
fn namespace() -> Result<String, Error> {
    let link = fs::read_link("/proc/self/ns/net").map_err(Error::Namespace)?;
    Ok(link.to_string_lossy().into_owned())
}

/// `lvsctl undrain` without ldirectord.
pub(super) fn undrain(named: &Named, weight: Option<u32>, json: bool) -> u8 {
    let mut report = Report::new(json);
    match try_undrain(named, weight, &mut report) {
        Ok(true) => 0,
        Ok(false) => super::super::FAILED,
        Err(error) => fail(&error),
    }
}

/// Whether every server that is meant serves again; why one does not has been told.
fn try_undrain(named: &Named, weight: Option<u32>, report: &mut Report) -> Result<bool, Error> {
    let mut kernel = Client::open()?;
    let table = kernel.table()?;
    let namespace = namespace()?;
    let mut store = Store::open(Path::new(store::PATH))?;
    let targets = select(&table, &store.memory.of(&namespace), named)?;
    let outcomes = drain::undrain_all(&table, &mut store.memory, &namespace, &targets, weight);
    let mut all = true;
    for (target, outcome) in outcomes {
        let change = outcome.map_err(Error::from).and_then(|change| {
            let results = kernel.change(change.as_slice());
            results.into_iter().collect::<Result<Vec<()>, Refusal>>()?;
            Ok(change)
        });
        match change {
            Ok(change) => {
                store.memory.forget(&namespace, &target);
                store.save()?;
                report.tell(&Event::Undrained { target, change });
            }
            Err(error) => {
                all = false;
                fail(&error);
            }
        }
    }
    // Those whose service is gone are forgotten too.
    store.save()?;
    Ok(all)
}
