//! What the helper does in the kernel for each request, in one go.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::control::lvsctl::{Applied, COUNTERS_PAGE, Counters, Entry, MAX_CHANGES, Outcome};
use crate::ipvs::{Change, ServiceKey, SyncDaemon, SyncRole, Table, VirtualService, diff, table_of};
use crate::netlink::RequestError;
use crate::netlink::ipvs::Client;

/// Carries out changes in their order.
pub fn change(client: &mut Client, changes: Vec<Change>) -> Result<Applied, RequestError> {
    let results = client.change(&changes);
    let outcomes = changes.into_iter().zip(results).map(|(change, result)| Outcome::of(change, result)).collect();
    Ok(Applied { outcomes, more: false })
}

/// Makes these services what is said, as far as one answer has room for.
pub fn apply(client: &mut Client, services: Vec<Entry>) -> Result<Applied, RequestError> {
    let wanted = gather(services);
    let live = present(client, wanted.keys())?;
    let mut changes = diff(&live, &wanted);
    let more = changes.len() > MAX_CHANGES;
    changes.truncate(MAX_CHANGES);
    Ok(Applied { more, ..change(client, changes)? })
}

/// A service that is said twice is what both say together: pages of a table can be sent back.
fn gather(services: Vec<Entry>) -> Table {
    let mut table = Table::new();
    for Entry { key, service, destinations } in services {
        let entry = VirtualService { service, destinations: Default::default() };
        table.entry(key).or_insert(entry).destinations.extend(destinations);
    }
    table
}

/// Deletes those of the services that exist.
pub fn remove(client: &mut Client, services: &[ServiceKey]) -> Result<Applied, RequestError> {
    let mut changes = Vec::new();
    for key in services.iter().collect::<BTreeSet<_>>() {
        if client.service(key)?.is_some() {
            changes.push(Change::DeleteService(*key));
        }
    }
    change(client, changes)
}

/// What there is of these services.
fn present<'a>(client: &mut Client, keys: impl Iterator<Item = &'a ServiceKey>) -> Result<Table, RequestError> {
    let mut found = Vec::new();
    for key in keys {
        if let Some(mut service) = client.service(key)? {
            service.destinations = client.destinations(key)?;
            found.push(service);
        }
    }
    Ok(table_of(&found))
}

/// The counters of a service and of its servers behind `after`; `None` if there is no such service.
pub fn counters(
    client: &mut Client,
    key: &ServiceKey,
    after: Option<SocketAddr>,
) -> Result<Option<Counters>, RequestError> {
    let Some(mut service) = client.service(key)? else { return Ok(None) };
    let mut servers = client.destinations(key)?;
    servers.retain(|server| after.is_none_or(|after| server.at > after));
    servers.sort_by_key(|server| server.at);
    let more = servers.len() > COUNTERS_PAGE;
    servers.truncate(COUNTERS_PAGE);
    let more = servers.last().filter(|_| more).map(|server| server.at);
    service.destinations = servers;
    Ok(Some(Counters { service, more }))
}

/// Sees to it that the sync daemon of this role runs as wanted, or does not run.
pub fn sync_daemon(client: &mut Client, role: SyncRole, wanted: Option<SyncDaemon>) -> Result<Applied, RequestError> {
    let running = client.daemons()?.into_iter().find(|daemon| daemon.role == role);
    change(client, sync_changes(running, role, wanted))
}

fn sync_changes(running: Option<SyncDaemon>, role: SyncRole, wanted: Option<SyncDaemon>) -> Vec<Change> {
    let wanted = wanted.map(|daemon| SyncDaemon { role, ..daemon });
    match (running, wanted) {
        (Some(running), Some(wanted)) if running.satisfies(&wanted) => vec![],
        (Some(_), Some(wanted)) => vec![Change::StopDaemon(role), Change::StartDaemon(wanted)],
        (Some(_), None) => vec![Change::StopDaemon(role)],
        (None, Some(wanted)) => vec![Change::StartDaemon(wanted)],
        (None, None) => vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::{Destination, Forward, Service};

    fn daemon(interface: &str) -> SyncDaemon {
        SyncDaemon {
            role: SyncRole::Master,
            interface: interface.into(),
            sync_id: 1,
            max_length: None,
            group: None,
            port: None,
            ttl: None,
        }
    }

    #[test]
    fn a_sync_daemon_that_runs_as_wanted_is_left_alone() {
        let running = SyncDaemon { max_length: Some(1472), port: Some(8848), ttl: Some(1), ..daemon("eth0") };
        let to = |wanted| sync_changes(Some(running.clone()), SyncRole::Master, wanted);
        assert_eq!(to(Some(daemon("eth0"))), []);
        let other = SyncDaemon { port: Some(9000), ..daemon("eth0") };
        assert_eq!(to(Some(other.clone())), [Change::StopDaemon(SyncRole::Master), Change::StartDaemon(other)]);
        assert_eq!(to(None), [Change::StopDaemon(SyncRole::Master)]);
        assert_eq!(sync_changes(None, SyncRole::Backup, None), []);
    }

    #[test]
    fn the_role_that_is_asked_for_counts() {
        let wanted = sync_changes(None, SyncRole::Backup, Some(daemon("eth0")));
        assert_eq!(wanted, [Change::StartDaemon(SyncDaemon { role: SyncRole::Backup, ..daemon("eth0") })]);
    }

    #[test]
    fn pages_of_one_service_are_one_service() {
        let key = ServiceKey::tcp(SocketAddr::from(([192, 0, 2, 1], 80)));
        let page = |last| {
            let at = SocketAddr::from(([10, 0, 0, last], 80));
            let destinations = [(at, Destination::new(Forward::Gate, 1))].into();
            Entry { key, service: Service::default(), destinations }
        };
        let table = gather(vec![page(1), page(2)]);
        assert_eq!(table[&key].destinations.len(), 2);
    }
}
