//! What has to change so that one table becomes another.

use std::collections::BTreeMap;

use super::{Change, Table, VirtualService};

/// The changes that turn `live` into `wanted`, and nothing more.
///
/// Everything that adds comes before everything that removes, so a service that has a
/// server before and after has one throughout. What exists is edited in place: its
/// connections go on.
///
/// ```
/// use lvs::ipvs::{Change, ServiceKey, Table, VirtualService, apply_to, diff};
///
/// let web = ServiceKey::tcp("192.0.2.1:80".parse()?);
/// let service = VirtualService { service: Default::default(), destinations: Default::default() };
/// let (mut live, wanted) = (Table::new(), Table::from([(web, service)]));
/// for change in diff(&live, &wanted) {
///     apply_to(&mut live, &change).expect("nothing in the way");
/// }
/// assert_eq!(live, wanted);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[must_use]
pub fn diff(live: &Table, wanted: &Table) -> Vec<Change> {
    let (mut grow, mut shrink) = (Vec::new(), Vec::new());
    let nothing = BTreeMap::new();
    for (&key, want) in wanted {
        let have = live.get(&key);
        match have {
            None => grow.push(Change::AddService(key, want.service.clone())),
            Some(have) if have.service != want.service => grow.push(Change::EditService(key, want.service.clone())),
            Some(_) => {}
        }
        let have = have.map_or(&nothing, |have| &have.destinations);
        for (&at, &destination) in &want.destinations {
            match have.get(&at) {
                None => grow.push(Change::AddDestination(key, at, destination)),
                Some(&old) if old != destination => {
                    // Less weight is a kind of removal: the servers that take over come first.
                    let order = if destination.weight < old.weight { &mut shrink } else { &mut grow };
                    order.push(Change::EditDestination(key, at, destination));
                }
                Some(_) => {}
            }
        }
        let gone = have.keys().filter(|at| !want.destinations.contains_key(at));
        shrink.extend(gone.map(|&at| Change::DeleteDestination(key, at)));
    }
    let gone = live.keys().filter(|key| !wanted.contains_key(key));
    shrink.extend(gone.map(|&key| Change::DeleteService(key)));
    grow.append(&mut shrink);
    grow
}

/// The change would not have been accepted by the kernel: the errno it would give.
///
/// ```
/// use lvs::ipvs::{Change, ModelRefusal, ServiceKey, Table, apply_to};
///
/// let web = ServiceKey::tcp("192.0.2.1:80".parse()?);
/// const ESRCH: i32 = 3;
/// assert_eq!(apply_to(&mut Table::new(), &Change::DeleteService(web)), Err(ModelRefusal(ESRCH)));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelRefusal(pub i32);

/// Carries out a change on a value, refusing what the kernel refuses with the same errno
/// (spec/ipvs.md B.4): the model that tests and dry runs compare with.
///
/// # Errors
/// The errno of the kernel's refusal. Timeouts, counters and sync daemons are not part of a
/// [`Table`]; such changes succeed and change nothing.
pub fn apply_to(table: &mut Table, change: &Change) -> Result<(), ModelRefusal> {
    let missing_service = ModelRefusal(libc::ESRCH);
    match change {
        Change::AddService(key, service) => {
            if table.contains_key(key) {
                return Err(ModelRefusal(libc::EEXIST));
            }
            let fresh = VirtualService { service: service.clone(), destinations: BTreeMap::new() };
            table.insert(*key, fresh);
        }
        Change::EditService(key, service) => {
            table.get_mut(key).ok_or(missing_service)?.service = service.clone();
        }
        Change::DeleteService(key) => {
            table.remove(key).ok_or(missing_service)?;
        }
        Change::AddDestination(key, at, destination) => {
            let servers = &mut table.get_mut(key).ok_or(missing_service)?.destinations;
            if servers.contains_key(at) {
                return Err(ModelRefusal(libc::EEXIST));
            }
            servers.insert(*at, *destination);
        }
        Change::EditDestination(key, at, destination) => {
            let servers = &mut table.get_mut(key).ok_or(missing_service)?.destinations;
            *servers.get_mut(at).ok_or(ModelRefusal(libc::ENOENT))? = *destination;
        }
        Change::DeleteDestination(key, at) => {
            let servers = &mut table.get_mut(key).ok_or(missing_service)?.destinations;
            servers.remove(at).ok_or(ModelRefusal(libc::ENOENT))?;
        }
        Change::Zero(Some(key)) if !table.contains_key(key) => return Err(missing_service),
        Change::Flush => table.clear(),
        Change::Zero(_) | Change::SetTimeouts(_) | Change::StartDaemon(_) | Change::StopDaemon(_) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::{Destination, Forward, Service, ServiceKey};
    use proptest::collection::btree_map;
    use proptest::prelude::*;
    use std::net::SocketAddr;

    fn any_table() -> impl Strategy<Value = Table> {
        let key = (1u8..4).prop_map(|n| ServiceKey::tcp(SocketAddr::from(([10, 0, 0, n], 80))));
        let server = (1u8..5).prop_map(|n| SocketAddr::from(([10, 1, 0, n], 80)));
        let destination = (0u32..3, any::<bool>())
            .prop_map(|(weight, masq)| Destination::new(if masq { Forward::Masq } else { Forward::Gate }, weight));
        let service = prop_oneof!["rr", "wlc"]
            .prop_map(|name| Service { scheduler: name.parse().expect("short"), ..Service::default() });
        let virtual_service = (service, btree_map(server, destination, 0..4))
            .prop_map(|(service, destinations)| VirtualService { service, destinations });
        btree_map(key, virtual_service, 0..4)
    }

    proptest! {
        #[test]
        fn applying_the_diff_reaches_the_wanted_table(live in any_table(), wanted in any_table()) {
            let mut table = live.clone();
            for change in diff(&live, &wanted) {
                prop_assert_eq!(apply_to(&mut table, &change), Ok(()));
            }
            prop_assert_eq!(table, wanted);
        }

        #[test]
        fn a_service_that_serves_before_and_after_serves_throughout(live in any_table(), wanted in any_table()) {
            let serves = |table: &Table, key: &ServiceKey| {
                table.get(key).is_some_and(|s| s.destinations.values().any(|d| d.weight > 0))
            };
            let keys: Vec<_> = live.keys().filter(|k| serves(&live, k) && serves(&wanted, k)).copied().collect();
            let mut table = live.clone();
            for change in diff(&live, &wanted) {
                prop_assert_eq!(apply_to(&mut table, &change), Ok(()));
                for key in &keys {
                    prop_assert!(serves(&table, key), "{key} has no server after: {change}");
                }
            }
        }

        #[test]
        fn there_is_nothing_to_change_between_equal_tables(table in any_table()) {
            prop_assert_eq!(diff(&table, &table), vec![]);
        }
    }
}
