//! Virtual addresses on an interface made for the test, in a network namespace of its own.

mod network;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use heartbeatd::act::address::{Notice, VipError, Vips};
use heartbeatd::act::announce::Schedule;
use heartbeatd::act::guard::{self, Guard};
use heartbeatd::act::lease::Lease;
use heartbeatd::config::VipSpec;
use lvs::netlink::address::{Address, Lifetime};
use lvs::netlink::route::Client;
use network::{cable, in_a_network_of_its_own, ip};

fn vip(address: &str, prefix: Option<u8>, interface: Option<&str>) -> VipSpec {
    VipSpec {
        address: address.parse().unwrap(),
        prefix,
        interface: interface.map(str::to_owned),
        label: None,
        broadcast: None,
    }
}

fn vips(seconds: u32) -> Vips {
    let seconds = NonZeroU32::new(seconds).unwrap();
    Vips::open(Lease { seconds, renew: Duration::from_millis(250) }, Schedule::default()).unwrap()
}

/// The address on the interfaces of the machine.
fn seen(address: &str) -> Vec<Address> {
    let wanted: IpAddr = address.parse().unwrap();
    let found = Client::open().unwrap().addresses().unwrap();
    found.into_iter().map(|state| state.address).filter(|address| address.ip == wanted).collect()
}

/// Packets that have left hb0.
fn sent() -> u64 {
    let table = std::fs::read_to_string("/proc/net/dev").unwrap();
    let line = table.lines().find_map(|line| line.trim().strip_prefix("hb0:")).unwrap();
    line.split_whitespace().nth(9).unwrap().parse().unwrap()
}

#[test]
fn an_address_comes_on_with_a_lease_in_the_network_that_covers_it() {
    in_a_network_of_its_own("an_address_comes_on_with_a_lease_in_the_network_that_covers_it", async {
        cable("10.99.0.1/24");
        let index = Client::open().unwrap().link("hb0").unwrap().unwrap().index;
        let mut vips = vips(9);
        let now = Instant::now();
        for (spec, prefix, broadcast) in [
            (vip("10.99.0.50", None, None), 24, Some("10.99.0.255")),
            (vip("10.99.0.51", Some(32), None), 32, None),
            (vip("10.99.0.52", None, Some("hb0")), 24, Some("10.99.0.255")),
            (vip("172.16.0.1", None, Some("hb0")), 32, None),
            (vip("172.16.0.2", Some(16), Some("hb0")), 16, Some("172.16.255.255")),
            (vip("2001:db8::50", Some(64), Some("hb0")), 64, None),
        ] {
            assert!(!vips.is_on(&spec).unwrap());
            vips.put_on(now, &spec).unwrap();
            let [on] = &seen(&spec.address.to_string())[..] else { panic!("{spec:?} once") };
            assert_eq!((on.interface, on.prefix), (index, prefix), "{spec:?}");
            assert_eq!(on.broadcast.map(|b| b.to_string()).as_deref(), broadcast, "{spec:?}");
            assert!(matches!(on.lifetime, Lifetime::Seconds(left) if left.get() <= 9), "{on:?}");
            assert!(vips.is_on(&spec).unwrap());
            // Once more is the same address, not a second one.
            vips.put_on(now, &spec).unwrap();
            assert_eq!(seen(&spec.address.to_string()).len(), 1);
            assert!(vips.take_off(&spec).unwrap());
            assert!(!vips.take_off(&spec).unwrap());
            assert!(seen(&spec.address.to_string()).is_empty());
        }
        assert_eq!(vips.deadline(), None);
    });
}

#[test]
fn label_and_broadcast_are_those_of_the_file() {
    in_a_network_of_its_own("label_and_broadcast_are_those_of_the_file", async {
        cable("10.99.0.1/24");
        let mut vips = vips(9);
        let labelled = VipSpec {
            label: Some("hb0:0".into()),
            broadcast: Some("10.99.0.127".parse().unwrap()),
            ..vip("10.99.0.50", Some(32), Some("hb0"))
        };
        vips.put_on(Instant::now(), &labelled).unwrap();
        let [on] = &seen("10.99.0.50")[..] else { panic!("once") };
        assert_eq!((on.prefix, on.label.as_deref(), on.broadcast), (32, Some("hb0:0"), labelled.broadcast));
        // With a whole mask the network of the cable is not this address's.
        let routes = std::process::Command::new("ip").args(["route", "show"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&routes.stdout).lines().count(), 1, "{routes:?}");
        assert!(vips.take_off(&labelled).unwrap());
    });
}

#[test]
fn an_address_without_an_interface_says_what_to_write() {
    in_a_network_of_its_own("an_address_without_an_interface_says_what_to_write", async {
        cable("10.99.0.1/24");
        let mut vips = vips(9);
        let error = vips.put_on(Instant::now(), &vip("192.0.2.1", None, None)).unwrap_err();
        assert!(matches!(error, VipError::NotCovered(_)), "{error}");
        let error = vips.put_on(Instant::now(), &vip("192.0.2.1", Some(24), Some("lan7"))).unwrap_err();
        assert_eq!(error.to_string(), "there is no interface lan7");
        assert!(!vips.take_off(&vip("192.0.2.1", Some(24), Some("lan7"))).unwrap());
    });
}

#[test]
fn what_an_earlier_life_left_on_is_adopted_or_taken_off_and_lo_is_let_be() {
    in_a_network_of_its_own("what_an_earlier_life_left_on_is_adopted_or_taken_off_and_lo_is_let_be", async {
        cable("10.99.0.1/24");
        ip("addr add 10.99.0.50/24 dev hb0");
        ip("addr add 10.99.0.51/24 dev hb0");
        // A director is also a real server of the other one's.
        ip("addr add 10.99.0.50/32 dev lo");
        let mut vips = vips(9);
        let spec = vip("10.99.0.50", Some(24), Some("hb0"));
        vips.put_on(Instant::now(), &spec).unwrap();
        let on = seen("10.99.0.50");
        assert_eq!(on.len(), 2);
        assert!(on.iter().any(|address| address.prefix == 24 && address.lifetime != Lifetime::Forever));
        assert!(vips.take_off(&spec).unwrap());
        assert_eq!(seen("10.99.0.50").iter().map(|address| address.prefix).collect::<Vec<_>>(), [32]);
        assert!(vips.take_off(&vip("10.99.0.51", None, None)).unwrap());
        assert!(seen("10.99.0.51").is_empty());
    });
}

#[test]
fn a_lease_is_renewed_while_the_address_is_kept_and_ends_when_it_is_not() {
    in_a_network_of_its_own("a_lease_is_renewed_while_the_address_is_kept_and_ends_when_it_is_not", async {
        cable("10.99.0.1/24");
        let mut vips = vips(1);
        let spec = vip("10.99.0.50", None, None);
        let start = Instant::now();
        vips.put_on(start, &spec).unwrap();
        while start.elapsed() < Duration::from_secs(3) {
            let next = vips.deadline().unwrap();
            tokio::time::sleep_until(next.into()).await;
            assert_eq!(vips.tick(Instant::now(), |_| true), []);
            assert_eq!(seen("10.99.0.50").len(), 1);
        }
        // Somebody removes it: the next renewal puts it back.
        ip("addr del 10.99.0.50/24 dev hb0");
        tokio::time::sleep_until(vips.deadline().unwrap().into()).await;
        assert_eq!(vips.tick(Instant::now(), |_| true), []);
        assert_eq!(seen("10.99.0.50").len(), 1);
        // No longer to be kept.
        let lapsed = loop {
            tokio::time::sleep_until(vips.deadline().unwrap().into()).await;
            let notices = vips.tick(Instant::now(), |_| false);
            if !notices.is_empty() {
                break notices;
            }
        };
        assert_eq!(lapsed, [Notice::Lapsed(spec.address)]);
        assert!(seen("10.99.0.50").is_empty());
        assert_eq!(vips.deadline(), None);
    });
}

#[test]
fn the_kernel_takes_an_address_off_when_nobody_renews_it() {
    in_a_network_of_its_own("the_kernel_takes_an_address_off_when_nobody_renews_it", async {
        cable("10.99.0.1/24");
        let mut vips = vips(1);
        let start = Instant::now();
        vips.put_on(start, &vip("10.99.0.50", None, None)).unwrap();
        while !seen("10.99.0.50").is_empty() {
            assert!(start.elapsed() < Duration::from_secs(10));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(start.elapsed() >= Duration::from_secs(1));
        // Whoever slept through that does not put it back.
        assert_eq!(vips.tick(Instant::now(), |_| true).len(), 1);
        assert!(seen("10.99.0.50").is_empty());
    });
}

#[test]
fn both_forms_are_announced_at_once_and_none_after_the_release() {
    in_a_network_of_its_own("both_forms_are_announced_at_once_and_none_after_the_release", async {
        // Nothing but ours on the cable.
        std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
        cable("10.99.0.1/24");
        let mut vips = vips(9);
        let spec = vip("10.99.0.50", None, None);
        let start = Instant::now();
        vips.put_on(start, &spec).unwrap();
        let before = sent();
        assert_eq!(vips.announce(start, &spec), []);
        assert_eq!(sent(), before + 2);
        // Time may be what the caller says it is.
        assert_eq!(vips.tick(start + Duration::from_millis(60), |_| true), []);
        assert_eq!(sent(), before + 4);
        vips.take_off(&spec).unwrap();
        assert_eq!(vips.tick(start + Duration::from_secs(2), |_| true), []);
        assert_eq!(sent(), before + 4);
    });
}

#[test]
fn each_address_is_announced_as_often_as_its_own_schedule_says() {
    in_a_network_of_its_own("each_address_is_announced_as_often_as_its_own_schedule_says", async {
        std::fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0").unwrap();
        std::fs::write("/proc/sys/net/ipv6/conf/default/router_solicitations", "0").unwrap();
        cable("10.99.0.1/24");
        let ms = Duration::from_millis;
        let mut vips = vips(9);
        let (four, six) = (vip("10.99.0.50", None, None), vip("2001:db8::50", Some(128), Some("hb0")));
        vips.announce_by(four.address, Schedule { after: vec![ms(0), ms(200)], refresh: None });
        vips.announce_by(six.address, Schedule { after: vec![ms(0)], refresh: Some(ms(1000)) });
        let start = Instant::now();
        for spec in [&four, &six] {
            vips.put_on(start, spec).unwrap();
        }
        // What the kernel itself sends for new addresses (MLD) has gone out.
        tokio::time::sleep(ms(1500)).await;
        let before = sent();
        // An ARP request and a reply, and one neighbour advertisement.
        assert_eq!((vips.announce(start, &four), vips.announce(start, &six)), (vec![], vec![]));
        assert_eq!(sent() - before, 3);
        for (at, frames) in [(100, 3), (250, 5), (900, 5), (1050, 6), (1500, 6), (2100, 7)] {
            assert_eq!(vips.tick(start + ms(at), |_| true), [], "{at}");
            assert_eq!(sent() - before, frames, "{at}");
        }
    });
}

#[test]
fn an_interface_that_is_down_is_told_once() {
    in_a_network_of_its_own("an_interface_that_is_down_is_told_once", async {
        cable("10.99.0.1/24");
        let mut vips = vips(9);
        let spec = vip("10.99.0.50", Some(24), Some("hb0"));
        let start = Instant::now();
        vips.put_on(start, &spec).unwrap();
        ip("link set hb0 down");
        let notices = vips.announce(start, &spec);
        assert!(matches!(&notices[..], [Notice::NotAnnounced { .. }]), "{notices:?}");
        assert_eq!(vips.tick(start + Duration::from_millis(60), |_| true), []);
        ip("link del hb0");
        let notices = vips.tick(start + Duration::from_millis(400), |_| true);
        assert!(matches!(&notices[..], [Notice::NotRenewed { .. }]), "{notices:?}");
        assert!(!vips.take_off(&spec).unwrap());
    });
}

#[test]
fn the_guard_takes_off_what_is_watched_when_the_pipe_is_closed() {
    in_a_network_of_its_own("the_guard_takes_off_what_is_watched_when_the_pipe_is_closed", async {
        cable("10.99.0.1/24");
        let mut kernel = Client::open().unwrap();
        let index = kernel.link("hb0").unwrap().unwrap().index;
        let on = || (50..53).map(|last| seen(&format!("10.99.0.{last}")).len()).collect::<Vec<_>>();
        (50..53).for_each(|last| ip(&format!("addr add 10.99.0.{last}/24 dev hb0")));
        let orders =
            format!("watch {index} 10.99.0.50 24\nwatch {index} 10.99.0.51 24\nforget {index} 10.99.0.51 24\n");
        guard::watch(format!("{orders}dismissed\n").as_bytes(), &mut kernel).await.unwrap();
        assert_eq!(on(), [1, 1, 1]);
        guard::watch(orders.as_bytes(), &mut kernel).await.unwrap();
        assert_eq!(on(), [0, 1, 1]);
    });
}

#[test]
fn the_guard_is_told_what_to_watch_and_its_death_is_noticed() {
    in_a_network_of_its_own("the_guard_is_told_what_to_watch_and_its_death_is_noticed", async {
        cable("10.99.0.1/24");
        let index = Client::open().unwrap().link("hb0").unwrap().unwrap().index;
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("orders");
        let heard = async |count: usize| loop {
            let text = std::fs::read_to_string(&list).unwrap_or_default();
            if text.lines().count() >= count {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let mut vips = vips(9);
        let (first, second) = (vip("10.99.0.50", None, None), vip("10.99.0.51", None, None));
        let start = Instant::now();
        vips.put_on(start, &first).unwrap();
        let mut command = tokio::process::Command::new("sh");
        command.arg("-c").arg(format!("head -n 3 >{}", list.display()));
        vips.guarded_by(Guard::of(command).unwrap());
        vips.put_on(start, &second).unwrap();
        vips.take_off(&first).unwrap();
        let wanted =
            format!("watch {index} 10.99.0.50 24\nwatch {index} 10.99.0.51 24\nforget {index} 10.99.0.50 24\n");
        assert_eq!(heard(3).await, wanted);
        // It has ended after three lines; the renewals notice.
        let mut now = start;
        let notices = loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            now += Duration::from_millis(300);
            let notices = vips.tick(now, |_| true);
            if !notices.is_empty() {
                break notices;
            }
        };
        assert!(matches!(&notices[..], [Notice::Unguarded(_)]), "{notices:?}");
        assert_eq!(vips.tick(now + Duration::from_millis(300), |_| true), []);
    });
}
