//! Carrying out a plan so that a refusal leaves the rest alone, and the changes that take back what was done.

use std::net::SocketAddr;

use crate::ipvs::{Change, Destination, Refusal, ServiceKey, Timeouts, apply_to};
use crate::state::State;

/// As many as the kernel's client sends at once.
const BATCH: usize = 64;

/// What became of a plan.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// The changes that the kernel made, or may have made, in their order.
    pub done: Vec<Change>,
    pub refusals: Vec<Refusal>,
}

/// Sends the changes in their order, until one is refused. What takes something away for good is sent alone, so
/// that nothing is lost behind a refusal: counters and connections do not come back.
pub(super) fn until_refused(
    changes: &[Change],
    mut send: impl FnMut(&[Change]) -> Vec<Result<(), Refusal>>,
) -> Carried {
    let mut carried = Carried::default();
    let mut rest = changes;
    while !rest.is_empty() && carried.refusals.is_empty() {
        let together = rest.iter().take(BATCH).take_while(|change| !takes_away(change)).count().max(1);
        let (batch, later) = rest.split_at(together);
        for (change, result) in batch.iter().zip(send(batch)) {
            if result.as_ref().err().is_none_or(unanswered) {
                carried.done.push(change.clone());
            }
            carried.refusals.extend(result.err());
        }
        rest = later;
    }
    carried
}

fn takes_away(change: &Change) -> bool {
    matches!(change, Change::DeleteService(_) | Change::DeleteDestination(..) | Change::StopDaemon(_) | Change::Flush)
}

/// The kernel may have made the change all the same.
fn unanswered(refusal: &Refusal) -> bool {
    matches!(refusal.errno, libc::ENOBUFS | libc::EIO)
}

/// The changes that take back those that are `done`, the last one first, and what there is behind them. What somebody
/// else has changed since is theirs: it is not touched.
pub(super) fn undo(before: &State, done: &[Change], mut now: State) -> (Vec<Change>, State) {
    let mut back = Vec::new();
    for change in done.iter().rev() {
        for inverse in inverse(before, change, &now) {
            match &inverse {
                Change::StopDaemon(role) => now.daemons.retain(|daemon| daemon.role != *role),
                Change::StartDaemon(daemon) => now.daemons.push(daemon.clone()),
                Change::SetTimeouts(timeouts) => now.timeouts = timeouts.over(now.timeouts),
                other => {
                    // It was made to fit the table.
                    let _ = apply_to(&mut now.table, other);
                }
            }
            back.push(inverse);
        }
    }
    (back, now)
}

fn inverse(before: &State, change: &Change, now: &State) -> Vec<Change> {
    match change {
        // Servers that are still in it were added by somebody else: ours are out by now.
        Change::AddService(key, ours)
            if now.table.get(key).is_some_and(|is| is.service == *ours && is.destinations.is_empty()) =>
        {
            vec![Change::DeleteService(*key)]
        }
        Change::EditService(key, ours) => match (before.table.get(key), now.table.get(key)) {
            (Some(old), Some(is)) if is.service == *ours => vec![Change::EditService(*key, old.service.clone())],
            _ => vec![],
        },
        Change::DeleteService(key) if !now.table.contains_key(key) => {
            let Some(old) = before.table.get(key) else { return vec![] };
            let servers = old.destinations.iter().map(|(at, server)| Change::AddDestination(*key, *at, *server));
            std::iter::once(Change::AddService(*key, old.service.clone())).chain(servers).collect()
        }
        Change::AddDestination(key, at, ours) if server(now, key, at) == Some(ours) => {
            vec![Change::DeleteDestination(*key, *at)]
        }
        Change::EditDestination(key, at, ours) if server(now, key, at) == Some(ours) => {
            server(before, key, at).map(|old| Change::EditDestination(*key, *at, *old)).into_iter().collect()
        }
        Change::DeleteDestination(key, at) if now.table.contains_key(key) && server(now, key, at).is_none() => {
            server(before, key, at).map(|old| Change::AddDestination(*key, *at, *old)).into_iter().collect()
        }
        Change::SetTimeouts(ours) => {
            // 0 keeps what there is.
            let old = |ours: u32, now: u32, before: u32| if ours != 0 && ours == now { before } else { 0 };
            let back = Timeouts {
                tcp: old(ours.tcp, now.timeouts.tcp, before.timeouts.tcp),
                tcp_fin: old(ours.tcp_fin, now.timeouts.tcp_fin, before.timeouts.tcp_fin),
                udp: old(ours.udp, now.timeouts.udp, before.timeouts.udp),
            };
            if back == Timeouts::default() { vec![] } else { vec![Change::SetTimeouts(back)] }
        }
        Change::StartDaemon(ours) if now.daemons.iter().any(|daemon| daemon.role == ours.role) => {
            vec![Change::StopDaemon(ours.role)]
        }
        Change::StopDaemon(role) if now.daemons.iter().all(|daemon| daemon.role != *role) => {
            let old = before.daemons.iter().find(|daemon| daemon.role == *role);
            old.cloned().map(Change::StartDaemon).into_iter().collect()
        }
        _ => vec![],
    }
}

fn server<'a>(state: &'a State, key: &ServiceKey, at: &SocketAddr) -> Option<&'a Destination> {
    state.table.get(key)?.destinations.get(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::{Forward, Service, SyncDaemon, SyncRole, Table, VirtualService};
    use crate::programmer::{Fake, Programmer};
    use crate::state::{Wanted, plan};

    fn key(last: u8) -> ServiceKey {
        ServiceKey::tcp(([10, 0, 0, last], 80).into())
    }

    fn at(last: u8) -> SocketAddr {
        ([10, 1, 0, last], 80).into()
    }

    fn weight(weight: u32) -> Destination {
        Destination::new(Forward::Masq, weight)
    }

    fn service(scheduler: &str, servers: &[(u8, u32)]) -> VirtualService {
        VirtualService {
            service: Service { scheduler: scheduler.parse().expect("a name"), ..Service::default() },
            destinations: servers.iter().map(|&(last, heavy)| (at(last), weight(heavy))).collect(),
        }
    }

    fn send(fake: &Fake, batch: &[Change]) -> Vec<Result<(), Refusal>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(fake.clone().change(batch)).expect("it is in memory")
    }

    fn tables() -> (Table, Table) {
        let before = [(key(1), service("rr", &[(1, 1), (2, 1), (3, 1)])), (key(2), service("rr", &[(1, 1)]))].into();
        let wanted = [(key(1), service("wrr", &[(1, 5), (2, 5), (4, 1)])), (key(3), service("rr", &[(1, 1)]))].into();
        (before, wanted)
    }

    #[test]
    fn a_refusal_leaves_the_rest_alone_and_only_what_was_done_is_taken_back() {
        let (table, wanted) = tables();
        let before = State { table, ..State::default() };
        let changes = plan(&before, &Wanted { table: wanted, ..Wanted::default() });
        let fake = Fake::with(before.table.clone());
        let refused = Change::AddService(key(3), service("rr", &[]).service);
        fake.refuse(refused.clone(), libc::ENOENT);
        let carried = until_refused(&changes, |batch| send(&fake, batch));
        assert_eq!(*carried.refusals[0].change, refused);
        assert_eq!(carried.done, fake.take_changes());
        assert!(!carried.done.is_empty() && !carried.done.iter().any(takes_away), "{:?}", carried.done);

        // A health checker takes one of the servers out that were edited, and adds one.
        let theirs = |table: &mut Table| {
            let servers = &mut table.get_mut(&key(1)).expect("a service").destinations;
            servers.insert(at(1), weight(0));
            servers.insert(at(9), weight(1));
        };
        fake.meddle(theirs);
        let (back, left) = undo(&before, &carried.done, State { table: fake.now(), ..State::default() });
        assert!(send(&fake, &back).iter().all(Result::is_ok), "{back:?}");
        let mut expected = before.table;
        theirs(&mut expected);
        assert_eq!((fake.now(), left.table), (expected.clone(), expected));
    }

    #[test]
    fn what_others_made_of_new_services_and_servers_stays() {
        let before = State { table: [(key(1), service("rr", &[(1, 1)]))].into(), ..State::default() };
        let new = [(2, [(1, 1)]), (3, [(1, 1)]), (4, [(1, 1)])].map(|(at, servers)| (key(at), service("rr", &servers)));
        let table = before.table.clone().into_iter().chain(new).collect();
        let changes = plan(&before, &Wanted { table, ..Wanted::default() });
        let fake = Fake::with(before.table.clone());
        assert!(send(&fake, &changes).iter().all(Result::is_ok));
        // A server of the second service is taken out, the third gets one more, the fourth another scheduler.
        fake.meddle(|table| {
            table.get_mut(&key(2)).expect("a service").destinations.insert(at(1), weight(0));
            table.get_mut(&key(3)).expect("a service").destinations.insert(at(2), weight(1));
            table.get_mut(&key(4)).expect("a service").service.scheduler = "wlc".parse().expect("a name");
        });
        let (back, left) = undo(&before, &changes, State { table: fake.now(), ..State::default() });
        assert!(send(&fake, &back).iter().all(Result::is_ok), "{back:?}");
        let mut expected = before.table;
        expected.insert(key(2), service("rr", &[(1, 0)]));
        expected.insert(key(3), service("rr", &[(2, 1)]));
        expected.insert(key(4), service("wlc", &[]));
        assert_eq!((fake.now(), left.table), (expected.clone(), expected));
    }

    #[test]
    fn a_deletion_that_is_refused_keeps_the_later_ones_from_being_sent() {
        let (table, wanted) = tables();
        let before = State { table, ..State::default() };
        let changes = plan(&before, &Wanted { table: wanted, ..Wanted::default() });
        let fake = Fake::with(before.table.clone());
        fake.refuse(Change::DeleteDestination(key(1), at(3)), libc::ENOENT);
        let carried = until_refused(&changes, |batch| send(&fake, batch));
        assert_eq!(carried.refusals.len(), 1);
        assert!(fake.now().contains_key(&key(2)), "the service behind it is still there");
        let (back, left) = undo(&before, &carried.done, State { table: fake.now(), ..State::default() });
        assert!(send(&fake, &back).iter().all(Result::is_ok), "{back:?}");
        assert_eq!((fake.now(), left), (before.table.clone(), before));
    }

    #[test]
    fn everything_that_was_done_can_be_taken_back() {
        let daemon = |id| SyncDaemon {
            role: SyncRole::Master,
            interface: "eth0".into(),
            sync_id: id,
            max_length: None,
            group: None,
            port: None,
            ttl: None,
        };
        let (table, wanted) = tables();
        let timeouts = Timeouts { tcp: 900, tcp_fin: 120, udp: 300 };
        let before = State { table, timeouts, daemons: vec![daemon(7)] };
        let ours = Timeouts { tcp: 60, tcp_fin: 60, udp: 0 };
        let goal =
            Wanted { table: wanted.clone(), timeouts: ours, daemons: Some(vec![daemon(8)]), ..Wanted::default() };
        let changes = plan(&before, &goal);
        let fake = Fake::with(before.table.clone());
        let carried = until_refused(&changes, |batch| send(&fake, batch));
        assert_eq!((carried.done.as_slice(), fake.now()), (changes.as_slice(), wanted));

        // Somebody else has set one of the timeouts since.
        let timeouts = Timeouts { tcp: 60, tcp_fin: 30, udp: 300 };
        let now = State { table: fake.now(), timeouts, daemons: vec![daemon(8)] };
        let (back, left) = undo(&before, &carried.done, now);
        assert!(send(&fake, &back).iter().all(Result::is_ok), "{back:?}");
        assert_eq!((fake.now(), left.timeouts), (before.table, Timeouts { tcp: 900, tcp_fin: 30, udp: 300 }));
        assert_eq!(left.daemons, before.daemons);
        assert!(back.contains(&Change::SetTimeouts(Timeouts { tcp: 900, tcp_fin: 0, udp: 0 })), "{back:?}");
        assert_eq!(back[0], Change::StopDaemon(SyncRole::Master));
        assert_eq!(back.last(), Some(&Change::StartDaemon(daemon(7))));
    }
}
