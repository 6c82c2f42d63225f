use super::*;
use crate::ipvs::{Forward, Netmask, Persistence, Stats, VirtualService};
use std::net::Ipv4Addr;

fn key(last: u8) -> ServiceKey {
    ServiceKey::tcp(([10, 0, 0, last], 80).into())
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn table() -> Table {
    let server = Destination::new(Forward::Masq, 1);
    let service = |servers: &[&str]| VirtualService {
        service: Service::default(),
        destinations: servers.iter().map(|text| (at(text), server)).collect(),
    };
    [(key(1), service(&["10.1.0.1:80", "10.1.0.1:81", "10.1.0.2:80"])), (key(2), service(&["10.1.0.1:80"]))].into()
}

fn target(service: u8, server: &str) -> Target {
    Target { service: key(service), server: at(server) }
}

#[test]
fn a_server_is_meant_with_or_without_port_and_service() {
    let select = |service: Option<&str>, server: &str| {
        let service = service.map(|text| text.parse().expect("a service"));
        select(&table(), &[], service.as_ref(), server)
    };
    assert_eq!(select(None, "10.1.0.1:80"), Ok(vec![target(1, "10.1.0.1:80"), target(2, "10.1.0.1:80")]));
    assert_eq!(select(Some("tcp:10.0.0.2:80"), "10.1.0.1:80"), Ok(vec![target(2, "10.1.0.1:80")]));
    assert_eq!(select(Some("10.0.0.1:80"), "10.1.0.1"), Ok(vec![target(1, "10.1.0.1:80"), target(1, "10.1.0.1:81")]));
    let told = |answer: Result<Vec<Target>, SelectError>| answer.expect_err("nothing is meant").to_string();
    assert_eq!(
        told(select(Some("udp:10.0.0.1:80"), "10.1.0.1")),
        "there is no virtual service udp:10.0.0.1:80; there are: tcp 10.0.0.1:80, tcp 10.0.0.2:80"
    );
    assert_eq!(
        told(select(Some("10.0.0.2:80"), "10.1.0.2")),
        "there is no real server 10.1.0.2; there are: 10.1.0.1:80"
    );
    assert!(told(select(None, "web")).starts_with("\"web\" is no real server"));
}

#[test]
fn a_server_that_was_deleted_can_still_be_meant() {
    let gone = target(2, "10.1.0.9:80");
    assert_eq!(select(&table(), &[gone], None, "10.1.0.9"), Ok(vec![gone]));
}

fn listed(weight: u32, active: u32, inactive: u32, persistent: u32) -> DestinationListing {
    DestinationListing {
        at: at("10.1.0.1:80"),
        destination: Destination::new(Forward::Masq, weight),
        active_connections: active,
        inactive_connections: inactive,
        persistent_connections: persistent,
        stats: Stats::default(),
    }
}

#[test]
fn a_server_is_empty_when_its_connections_have_ended_and_late_at_its_time() {
    let timeout = Some(Duration::from_secs(30));
    let now = Duration::from_secs(10);
    let left = |active, inactive, persistent| Left { active, inactive, persistent };
    assert_eq!(step(Some(&listed(0, 1, 0, 0)), now, timeout), Step::Wait(left(1, 0, 0)));
    assert_eq!(step(Some(&listed(0, 0, 2, 0)), now, None), Step::Wait(left(0, 2, 0)));
    assert_eq!(step(Some(&listed(0, 0, 0, 5)), now, timeout), Step::Empty(left(0, 0, 5)), "templates hold up nothing");
    assert_eq!(step(Some(&listed(0, 0, 2, 0)), Duration::from_secs(30), timeout), Step::Late(left(0, 2, 0)));
    assert_eq!(step(Some(&listed(4, 0, 0, 0)), now, timeout), Step::Revived(4));
    assert_eq!(step(None, now, timeout), Step::Gone);
}

#[test]
fn persistence_is_warned_about_unless_the_kernel_lets_go() {
    let netmask = Netmask::Mask(Ipv4Addr::BROADCAST);
    let service = Service { persistence: Some(Persistence { timeout: 300, netmask }), ..Service::default() };
    assert!(sticky(&service, Some(false)).is_some_and(|text| text.contains("up to 300 s")));
    assert!(sticky(&service, None).is_some(), "nobody knows");
    assert_eq!(sticky(&service, Some(true)), None);
    assert_eq!(sticky(&Service::default(), Some(false)), None);
}

fn drained(weight: u32) -> Drained {
    let destination = Destination::new(Forward::Masq, weight);
    Drained { namespace: "net:[1]".into(), target: target(1, "10.1.0.1:80"), destination, since: 0 }
}

#[test]
fn draining_twice_forgets_nothing() {
    let mut memory = Memory::default();
    memory.remember(drained(3));
    memory.remember(drained(0));
    let target = target(1, "10.1.0.1:80");
    assert_eq!(memory.recall("net:[1]", &target).map(|old| old.destination.weight), Some(3));
    assert_eq!(memory.recall("net:[2]", &target), None, "another namespace has a table of its own");
    memory.remember(drained(5));
    assert_eq!(memory.drained, [drained(5)], "it had a weight again in the meantime");
    memory.forget("net:[1]", &target);
    assert_eq!(memory, Memory::default());
}

#[test]
fn a_server_gets_back_what_it_had() {
    let mut table = table();
    let target = target(1, "10.1.0.1:80");
    let old = Destination { upper_threshold: 9, ..Destination::new(Forward::Masq, 3) };
    let set = |table: &mut Table, weight| {
        let service = table.get_mut(&target.service).expect("a service");
        service.destinations.insert(target.server, Destination { weight, ..old });
    };
    let give = |weight| Change::EditDestination(target.service, target.server, Destination { weight, ..old });
    set(&mut table, 0);
    assert_eq!(undrain(&table, &target, Some(&old), None), Ok(Some(give(3))));
    assert_eq!(undrain(&table, &target, Some(&old), Some(7)), Ok(Some(give(7))));
    assert_eq!(undrain(&table, &target, None, None), Err(UndrainError::NoWeight(target)));
    set(&mut table, 5);
    assert_eq!(undrain(&table, &target, Some(&old), None), Ok(None), "somebody gave it another weight since");
    assert_eq!(undrain(&table, &target, None, None), Ok(None));
    assert_eq!(undrain(&table, &target, None, Some(7)), Ok(Some(give(7))));

    table.get_mut(&target.service).expect("a service").destinations.remove(&target.server);
    let add = Change::AddDestination(target.service, target.server, old);
    assert_eq!(undrain(&table, &target, Some(&old), None), Ok(Some(add)));
    assert_eq!(undrain(&table, &target, None, None), Err(UndrainError::Unknown(target)));
    table.clear();
    assert_eq!(undrain(&table, &target, Some(&old), None), Err(UndrainError::NoService(target.service)));
}

#[test]
fn a_weight_of_0_from_before_is_no_weight_to_give_back() {
    let mut table = table();
    let target = target(1, "10.1.0.1:80");
    let old = Destination::new(Forward::Masq, 0);
    let give = |weight| Destination { weight, ..old };
    table.get_mut(&target.service).expect("a service").destinations.insert(target.server, old);
    assert_eq!(undrain(&table, &target, Some(&old), None), Err(UndrainError::NoWeight(target)));
    let edit = Change::EditDestination(target.service, target.server, give(2));
    assert_eq!(undrain(&table, &target, Some(&old), Some(2)), Ok(Some(edit)));
    table.get_mut(&target.service).expect("a service").destinations.remove(&target.server);
    assert_eq!(undrain(&table, &target, Some(&old), None), Err(UndrainError::NoWeight(target)));
    let add = Change::AddDestination(target.service, target.server, give(2));
    assert_eq!(undrain(&table, &target, Some(&old), Some(2)), Ok(Some(add)));
}

#[test]
fn a_service_that_is_gone_keeps_no_other_from_getting_its_server_back() {
    let mut table = table();
    let targets = [target(1, "10.1.0.1:80"), target(2, "10.1.0.1:80")];
    let destination = Destination::new(Forward::Masq, 3);
    let mut memory = Memory::default();
    for target in targets {
        memory.remember(Drained { namespace: "net:[1]".into(), target, destination, since: 0 });
    }
    table.remove(&key(1));
    let quiet = Destination { weight: 0, ..destination };
    table.get_mut(&key(2)).expect("a service").destinations.insert(targets[1].server, quiet);
    let expected = [
        (targets[0], Err(UndrainError::NoService(key(1)))),
        (targets[1], Ok(Some(Change::EditDestination(key(2), targets[1].server, destination)))),
    ];
    assert_eq!(undrain_all(&table, &mut memory, "net:[1]", &targets, None), expected);
    assert_eq!(memory.of("net:[1]"), [targets[1]], "it is forgotten when it has its weight");
}

#[test]
fn behind_an_order_the_weight_may_be_there_for_a_while() {
    let soon = Duration::from_secs(1);
    let left = Left { active: 1, inactive: 0, persistent: 0 };
    let heavy = listed(4, 1, 0, 0);
    assert_eq!(step_behind(Some(&heavy), false, soon, None), Step::Wait(left));
    assert_eq!(step_behind(Some(&heavy), false, PROGRAMMED_WITHIN, None), Step::Unchanged(4));
    assert_eq!(step_behind(Some(&heavy), true, soon, None), Step::Revived(4), "it was 0 before");
    assert_eq!(step_behind(Some(&listed(0, 1, 0, 0)), false, soon, None), Step::Wait(left));
    assert_eq!(step_behind(Some(&listed(0, 0, 0, 0)), false, soon, None), Step::Empty(Left::default()));
}
