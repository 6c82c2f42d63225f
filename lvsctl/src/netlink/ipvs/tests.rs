use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;

use super::newer::Newer;
use super::number::{daemon, dest, service, stats, top};
use super::{decode, encode};
use crate::ipvs::{
    Change, Destination, DestinationListing, Family, Forward, Mark, Netmask, Persistence, SchedulerFlags, Service,
    ServiceKey, Stats, SyncDaemon, SyncRole, Timeouts, Tunnel, TunnelChecksum,
};
use crate::netlink::attribute::{Writer, attributes};

const RECORDED: &str = include_str!("recorded.txt");
const GENL_HEADER: usize = 4;

/// A recorded message.
fn recorded(name: &str) -> Vec<u8> {
    let mut lines = RECORDED.lines().skip_while(|line| *line != name);
    assert!(lines.next().is_some(), "no {name:?} was recorded");
    let digits: String = lines.map_while(|line| line.strip_prefix("    ")).collect();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn reply(name: &str) -> Vec<u8> {
    recorded(name).split_off(GENL_HEADER)
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn scheduled(by: &str) -> Service {
    Service { scheduler: by.parse().expect("a name"), ..Service::default() }
}

fn prefix(length: u8) -> Netmask {
    Netmask::Prefix(length.try_into().expect("not 0"))
}

fn mark(number: u32, family: Family) -> ServiceKey {
    ServiceKey::Mark { family, mark: Mark::new(number).expect("not 0") }
}

fn six() -> (ServiceKey, Service) {
    let service = Service {
        persistence: Some(Persistence { timeout: 600, netmask: prefix(64) }),
        scheduler_flags: SchedulerFlags { flag_2: true, ..SchedulerFlags::default() },
        ..scheduled("sh")
    };
    (ServiceKey::tcp(at("[2001:db8::1]:443")), service)
}

#[test]
fn recorded_services_are_read() {
    let mask = Netmask::Mask([255, 255, 255, 0].into());
    let marked = Service {
        persistence: Some(Persistence { timeout: 300, netmask: mask }),
        engine: Some("sip".parse().expect("a name")),
        ..scheduled("rr")
    };
    let mut expected = vec![
        six(),
        (mark(7, Family::Inet6), scheduled("wlc")),
        (ServiceKey::tcp(at("192.0.2.1:80")), scheduled("wrr")),
        (ServiceKey::udp(at("192.0.2.1:53")), Service { one_packet: true, ..scheduled("rr") }),
        (mark(4_000_000_000, Family::Inet), marked),
    ];
    let names = (1..=5).map(|n| format!("reply service {n}"));
    let mut read: Vec<_> = names
        .map(|name| decode::service(&reply(&name), &mut Vec::new()).expect("a service"))
        .map(|listing| (listing.key, listing.service))
        .collect();
    expected.sort_by_key(|(key, _)| *key);
    read.sort_by_key(|(key, _)| *key);
    assert_eq!(read, expected);
}

#[test]
fn recorded_servers_are_read() {
    let gue = Tunnel::Gue { port: 6080, checksum: TunnelChecksum::Remote };
    let masq = Destination::new(Forward::Masq, 3);
    let expected = [
        ("10.0.0.2:80", Destination { weight: 0, upper_threshold: 10, lower_threshold: 5, ..masq }),
        ("10.0.0.1:8080", masq),
        ("[2001:db8::3]:53", Destination::new(Forward::Tunnel(Tunnel::Ipip), 1)),
        ("10.0.0.2:53", Destination::new(Forward::Tunnel(gue), 1)),
    ];
    for (n, (text, destination)) in (1..).zip(expected) {
        let read = decode::destination(&reply(&format!("reply server {n}")), Family::Inet, true, &mut Vec::new())
            .expect("a server");
        let expected = DestinationListing {
            at: at(text),
            destination,
            active_connections: 0,
            inactive_connections: 0,
            persistent_connections: 0,
            stats: Stats::default(),
        };
        assert_eq!(read, expected);
    }
}

#[test]
fn recorded_daemons_timeouts_and_version_are_read() {
    let master = SyncDaemon {
        role: SyncRole::Master,
        interface: "lo".into(),
        sync_id: 7,
        max_length: Some(1472),
        group: Some(IpAddr::from([224, 0, 0, 81])),
        port: Some(8848),
        ttl: Some(1),
    };
    assert_eq!(decode::sync_daemon(&reply("reply daemon 1")).expect("a daemon"), master);
    assert_eq!(decode::sync_daemon(&reply("reply daemon 2")).expect("a daemon"), backup());
    let timeouts = decode::timeouts(&reply("reply timeouts"));
    assert_eq!(timeouts, Timeouts { tcp: 900, tcp_fin: 120, udp: 300 });
    let info = decode::information(&reply("reply info")).expect("a version");
    assert_eq!((info.version, info.connection_table_size), (0x01_02_01, 4096));
}

fn backup() -> SyncDaemon {
    SyncDaemon {
        role: SyncRole::Backup,
        interface: "lo".into(),
        sync_id: 9,
        max_length: Some(1400),
        group: Some("ff02::81".parse().expect("an address")),
        port: Some(9000),
        ttl: Some(3),
    }
}

/// Attributes by their places, however they are ordered.
fn tree(attrs: &[u8]) -> BTreeMap<(u16, u16), Vec<u8>> {
    let mut found = BTreeMap::new();
    for (kind, value) in attributes(attrs) {
        match kind {
            top::SERVICE..=top::DAEMON => {
                found.extend(attributes(value.0).map(|(inner, value)| ((kind, inner), value.0.to_vec())));
            }
            _ => drop(found.insert((kind, 0), value.0.to_vec())),
        }
    }
    found
}

/// What ipvsadm says where only the identity of a service or a server is looked at.
fn unread(change: &Change, place: (u16, u16)) -> bool {
    match (change, place) {
        (Change::AddService(..) | Change::EditService(..), _) => false,
        (_, (top::SERVICE, service::SCHED_NAME..=service::NETMASK)) => true,
        (Change::DeleteDestination(..), (top::DEST, attribute)) => {
            ![dest::ADDR, dest::PORT, dest::ADDR_FAMILY].contains(&attribute)
        }
        (Change::StopDaemon(_), (top::DAEMON, attribute)) => attribute != daemon::STATE,
        _ => false,
    }
}

#[test]
fn changes_are_asked_for_as_ipvsadm_asks() {
    let (key, service) = six();
    let eight = mark(8, Family::Inet);
    let keeping = Service {
        persistence: Some(Persistence { timeout: 300, netmask: Netmask::host(Family::Inet) }),
        engine: Some("sip".parse().expect("a name")),
        ..scheduled("rr")
    };
    let gue = Tunnel::Gue { port: 6080, checksum: TunnelChecksum::Remote };
    let server = Destination { upper_threshold: 10, lower_threshold: 3, ..Destination::new(Forward::Tunnel(gue), 5) };
    let changes = [
        ("add-service", Change::AddService(key, service)),
        ("add-mark", Change::AddService(eight, keeping)),
        ("edit-service", Change::EditService(eight, scheduled("wlc"))),
        ("add-server", Change::AddDestination(eight, at("10.0.0.2:53"), server)),
        ("delete-server", Change::DeleteDestination(eight, at("10.0.0.2:53"))),
        ("zero", Change::Zero(Some(eight))),
        ("start-daemon", Change::StartDaemon(backup())),
        ("stop-daemon", Change::StopDaemon(SyncRole::Backup)),
        ("timeouts", Change::SetTimeouts(Timeouts { tcp: 1, tcp_fin: 2, udp: 3 })),
        ("flush", Change::Flush),
    ];
    for (name, change) in changes {
        let mut ours = Vec::new();
        encode::change(&mut ours, &change, &[]);
        let theirs = recorded(&format!("request {name}"));
        assert_eq!(ours[..GENL_HEADER], theirs[..GENL_HEADER], "{name}");
        let mut theirs = tree(&theirs[GENL_HEADER..]);
        theirs.retain(|place, _| !unread(&change, *place));
        let mut ours = tree(&ours[GENL_HEADER..]);
        // ipvsadm clears the flags that it does not know when it edits a service.
        if let Some(flags) = ours.get_mut(&(top::SERVICE, service::FLAGS)) {
            flags[4..].fill(0xff);
        }
        assert_eq!(ours, theirs, "{name}");
    }
}

/// The kernel lists 64-bit counters behind the 32-bit ones; before Linux 4.1 it has only those.
#[test]
fn wide_counters_are_preferred_and_narrow_ones_do() {
    let narrow = |w: &mut Writer| {
        w.u32(stats::CONNS, 1);
        w.u32(stats::INPKTS, u32::MAX);
    };
    let wide = |w: &mut Writer| {
        w.bytes(stats::CONNS, &1_u64.to_ne_bytes());
        w.bytes(stats::INPKTS, &(1_u64 << 40).to_ne_bytes());
    };
    let read = |with_wide: bool| {
        let mut attrs = Vec::new();
        Writer(&mut attrs).nested(top::DEST, |w| {
            w.bytes(dest::ADDR, &[10, 0, 0, 1]);
            w.port(dest::PORT, 80);
            w.nested(dest::STATS, narrow);
            if with_wide {
                w.nested(dest::STATS64, wide);
            }
        });
        decode::destination(&attrs, Family::Inet, true, &mut Vec::new()).expect("a server").stats
    };
    assert_eq!(read(false), Stats { connections: 1, packets_in: 0xffff_ffff, ..Stats::default() });
    assert_eq!(read(true), Stats { connections: 1, packets_in: 1 << 40, ..Stats::default() });
}

#[test]
fn what_must_be_there_is_missed_and_what_is_new_outlives_an_edit() {
    assert!(decode::service(&[], &mut Vec::new()).is_err());
    assert!(decode::destination(&[], Family::Inet, true, &mut Vec::new()).is_err());
    assert!(decode::sync_daemon(&[]).is_err());
    assert!(decode::information(&[]).is_err());
    let mut attrs = Vec::new();
    Writer(&mut attrs).nested(top::SERVICE, |w| {
        w.text(99, "of a newer kernel");
        w.u16(service::AF, 2);
        w.u32(service::FWMARK, 5);
        w.text(service::SCHED_NAME, "rr");
    });
    let mut unknown = Vec::new();
    let listing = decode::service(&attrs, &mut unknown).expect("a service");
    assert_eq!((listing.key, &listing.service), (mark(5, Family::Inet), &scheduled("rr")));
    let mut newer = Newer::default();
    newer.note_service(listing.key, &unknown);
    let sent = |change: &Change| {
        let mut request = Vec::new();
        encode::change(&mut request, change, newer.of(change));
        tree(&request[GENL_HEADER..])
    };
    let edited = sent(&Change::EditService(listing.key, scheduled("wlc")));
    assert_eq!(edited[&(top::SERVICE, 99)], b"of a newer kernel\0");
    // Flags: those outside of the mask stay as they are.
    assert_eq!(edited[&(top::SERVICE, service::FLAGS)][4..], 0x3d_u32.to_ne_bytes());
    assert!(!sent(&Change::AddService(listing.key, scheduled("wlc"))).contains_key(&(top::SERVICE, 99)));
}

fn decode_everything(attrs: &[u8]) {
    let _ = decode::service(attrs, &mut Vec::new());
    let _ = decode::destination(attrs, Family::Inet, true, &mut Vec::new());
    let _ = decode::destination(attrs, Family::Inet6, true, &mut Vec::new());
    let _ = decode::sync_daemon(attrs);
    let _ = decode::timeouts(attrs);
    let _ = decode::information(attrs);
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        decode_everything(&bytes);
    }

    #[test]
    fn no_damage_to_an_answer_makes_the_reader_panic(
        name in prop_oneof!["reply service 1", "reply server 4", "reply daemon 2", "reply info", "reply timeouts"],
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        length in any::<prop::sample::Index>(),
    ) {
        let mut bytes = reply(&name);
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let length = length.index(bytes.len() + 1);
        decode_everything(&bytes[..length]);
    }
}

#[test]
fn a_newer_attribute_of_a_server_goes_back_with_an_edit_until_the_server_is_deleted() {
    let key = ServiceKey::tcp(at("192.0.2.1:80"));
    let mut attrs = Vec::new();
    Writer(&mut attrs).nested(top::DEST, |w| {
        w.bytes(dest::ADDR, &[10, 0, 0, 1]);
        w.port(dest::PORT, 80);
        w.u32(77, 0x0102_0304);
    });
    let mut unknown = Vec::new();
    let server = decode::destination(&attrs, Family::Inet, false, &mut unknown).expect("a server");
    let mut newer = Newer::default();
    newer.note_server(key, server.at, &unknown);
    let edit = Change::EditDestination(key, server.at, Destination { weight: 0, ..server.destination });
    let mut request = Vec::new();
    encode::change(&mut request, &edit, newer.of(&edit));
    assert_eq!(tree(&request[GENL_HEADER..])[&(top::DEST, 77)], 0x0102_0304_u32.to_ne_bytes());
    newer.carried_out(&Change::DeleteDestination(key, server.at));
    assert!(newer.of(&edit).is_empty());
}
