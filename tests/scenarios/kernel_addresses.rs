//! Addresses, links and announcements on the real kernel.

use std::future::Future;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use lab::capture::Capture;
use lab::{Cluster, LAN, Plan, Result, VIP, VIP6, wait_until};
use lvs::netlink::address::{Address, AddressState, Lifetime, Scope};
use lvs::netlink::announce::{Announcer, holder};
use lvs::netlink::route::{Client, Cover};
use lvs::netlink::watch::{Event, Watch};

const SOON: Duration = Duration::from_secs(20);

fn two_machines() -> Result<Cluster> {
    Cluster::new(Plan::default().plug("lvs1", LAN, &["192.168.60.130/24", "fd00:60::130/64"]).plug(
        "lvs2",
        LAN,
        &["192.168.60.131/24", "fd00:60::131/64"],
    ))
}

fn index_of(name: &str) -> u32 {
    let mut client = Client::open().expect("a socket");
    client.link(name).expect("a listing").expect("the interface").index
}

fn listed(ip: IpAddr) -> Option<AddressState> {
    let all = Client::open().expect("a socket").addresses().expect("a listing");
    all.into_iter().find(|state| state.address.ip == ip)
}

fn block_on<T>(story: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(story)
}

#[test]
fn an_address_is_set_renewed_and_taken_off() -> Result<()> {
    let cluster = two_machines()?;
    let node = cluster.node("lvs1");
    node.in_network(|| {
        let mut client = Client::open().expect("a socket");
        let eth0 = client.link("eth0").expect("a listing").expect("eth0");
        assert!(eth0.up && eth0.running && eth0.resolves && eth0.mac.is_some(), "{eth0:?}");
        let lease = Lifetime::Seconds(NonZeroU32::new(1000).expect("not 0"));
        let vip = Address {
            label: Some("eth0:0".into()),
            broadcast: Some([192, 168, 60, 255].into()),
            ..Address::new(eth0.index, VIP, 24)
        };
        for wanted in [vip.clone().lasting(lease), vip.clone().lasting(lease), vip.clone()] {
            client.set_address(&wanted).expect("set");
            assert_eq!(listed(VIP).expect("the address").address, wanted);
        }
        let six = Address::new(eth0.index, VIP6, 64).lasting(lease);
        client.set_address(&six).expect("set");
        assert_eq!(listed(VIP6), Some(AddressState { address: six.clone(), tentative: false, duplicate: false }));
        for address in [&vip, &six] {
            assert!(client.delete_address(address).expect("taken off"));
            assert!(!client.delete_address(address).expect("nothing to take off"));
        }
        assert_eq!((listed(VIP), listed(VIP6)), (None, None));
        assert!(!client.delete_address(&Address::new(999, VIP, 24)).expect("no such interface"));
        let refused = client.set_address(&Address::new(999, VIP, 24)).expect_err("no such interface");
        assert!(refused.to_string().contains("192.168.60.200/24"), "{refused}");
    })
}

/// A back end holds the virtual address without anybody on the link learning of it.
#[test]
fn a_back_end_holds_the_address_on_lo() -> Result<()> {
    let cluster = two_machines()?;
    let node = cluster.node("lvs1");
    node.in_network(|| {
        let mut client = Client::open().expect("a socket");
        let lo = index_of("lo");
        let four = Address { label: Some("lo:0".into()), scope: Scope::Host, ..Address::new(lo, VIP, 32) };
        let six = Address::new(lo, VIP6, 128);
        for address in [four, six] {
            client.set_address(&address).expect("set");
            assert_eq!(listed(address.ip).expect("the address").address, address);
        }
    })?;
    let shown = node.run(&["ip", "-4", "-o", "address", "show", "dev", "lo"])?;
    assert!(shown.contains("192.168.60.200/32 scope host lo:0"), "{shown}");
    Ok(())
}

#[test]
fn the_kernel_takes_an_address_off_when_its_lease_ends() -> Result<()> {
    let cluster = two_machines()?;
    cluster.node("lvs1").in_network(|| {
        let (mut client, eth0) = (Client::open().expect("a socket"), index_of("eth0"));
        let lease = Lifetime::Seconds(NonZeroU32::MIN);
        for ip in [VIP, VIP6] {
            let prefix = if ip.is_ipv4() { 32 } else { 128 };
            client.set_address(&Address::new(eth0, ip, prefix).lasting(lease)).expect("set");
            let set = Instant::now();
            wait_until("the end of the lease", SOON, || listed(ip).is_none()).expect("the kernel keeps time");
            assert!(set.elapsed() >= Duration::from_millis(900), "{ip} was gone after {:?}", set.elapsed());
        }
    })
}

#[test]
fn the_interface_of_an_address_is_found_by_its_network() -> Result<()> {
    let cluster = two_machines()?;
    let node = cluster.node("lvs1");
    node.ip("address add 10.1.0.1/16 dev eth0 noprefixroute\nroute add default via 192.168.60.131\n")?;
    node.in_network(|| {
        let (mut client, interface) = (Client::open().expect("a socket"), index_of("eth0"));
        let mut covering = |ip: &str| client.covering(ip.parse().expect("an address")).expect("a listing");
        assert_eq!(covering("192.168.60.200"), Some(Cover { interface, prefix: 24 }));
        assert_eq!(covering("fd00:60::200"), Some(Cover { interface, prefix: 64 }));
        // No route leads there, but an address has this network.
        assert_eq!(covering("10.1.2.3"), Some(Cover { interface, prefix: 16 }));
        // The default route leads anywhere and says nothing.
        assert_eq!(covering("203.0.113.1"), None);
        assert_eq!(covering("127.0.0.2"), None);
    })
}

#[test]
fn links_and_addresses_are_watched() -> Result<()> {
    let cluster = two_machines()?;
    let node = cluster.node("lvs1");
    node.in_network(|| {
        block_on(async {
            let mut watch = Watch::open().expect("a socket");
            node.ip(
                "link add d0 type veth peer name d1\nlink set d0 up\naddress add 10.9.9.9/24 dev d0\nlink delete d0\n",
            )
            .expect("carried out");
            let mut seen = Vec::new();
            while !seen.iter().any(|event| matches!(event, Event::LinkGone(link) if link.name == "d0")) {
                seen.push(tokio::time::timeout(SOON, watch.next()).await.expect("an event").expect("no failure"));
            }
            let ip = IpAddr::from([10, 9, 9, 9]);
            let places = [
                seen.iter().position(|event| matches!(event, Event::Link(link) if link.name == "d0" && !link.up)),
                seen.iter().position(|event| matches!(event, Event::Link(link) if link.name == "d0" && link.up)),
                seen.iter().position(|event| matches!(event, Event::Address(state) if state.address.ip == ip)),
                seen.iter().position(|event| matches!(event, Event::AddressGone(state) if state.address.ip == ip)),
            ];
            assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{seen:?}");
        });
    })
}

#[test]
fn a_watcher_that_missed_something_is_told_to_look_again() -> Result<()> {
    let cluster = two_machines()?;
    let node = cluster.node("lvs1");
    node.in_network(|| {
        block_on(async {
            let mut watch = Watch::open().expect("a socket");
            // Each of these lines is an event, and nobody reads.
            let flapping = "address add 10.9.9.9/32 dev eth0\naddress delete 10.9.9.9/32 dev eth0\n".repeat(1000);
            node.ip(&flapping).expect("carried out");
            let first = tokio::time::timeout(SOON, watch.next()).await.expect("an event").expect("no failure");
            assert_eq!(first, Event::Missed);
            node.ip("address add 10.8.8.8/32 dev eth0\n").expect("carried out");
            let next = tokio::time::timeout(SOON, watch.next()).await.expect("an event").expect("no failure");
            let ip = IpAddr::from([10, 8, 8, 8]);
            assert!(matches!(&next, Event::Address(state) if state.address.ip == ip), "{next:?}");
        });
    })
}

/// The neighbour's own table is what counts.
#[test]
fn neighbours_believe_an_announcement() -> Result<()> {
    let cluster = two_machines()?;
    let (node, neighbour) = (cluster.node("lvs1"), cluster.node("lvs2"));
    let wrong = "02:00:00:00:00:01";
    neighbour.ip(&format!(
        "neighbour replace {VIP} lladdr {wrong} dev eth0 nud stale\nneighbour replace {VIP6} lladdr {wrong} dev eth0 nud stale\n"
    ))?;
    let capture = Capture::start(cluster.switch(), "lvs1-lan", "arp or icmp6")?;
    let mac = node.in_network(|| {
        let eth0 = Client::open().expect("a socket").link("eth0").expect("a listing").expect("eth0");
        let mac = eth0.mac.expect("an Ethernet address");
        let announcer = Announcer::open().expect("a socket");
        for ip in [VIP, VIP6] {
            announcer.announce(eth0.index, mac, ip, false).expect("sent");
        }
        let refused = announcer.announce(999, mac, VIP, false).expect_err("no such interface");
        assert!([Some(libc::ENODEV), Some(libc::ENXIO)].contains(&refused.raw_os_error()), "{refused}");
        mac.map(|byte| format!("{byte:02x}")).join(":")
    })?;
    for ip in [VIP, VIP6] {
        wait_until("the neighbour to believe it", SOON, || {
            let shown = neighbour.run(&["ip", "neighbour", "show", &ip.to_string()]);
            shown.is_ok_and(|shown| shown.contains(&mac))
        })?;
    }
    let captured = capture.stop()?;
    assert_eq!(captured.count(&format!("arp[6:2] = 1 and arp src host {VIP} and arp dst host {VIP}"))?, 1);
    assert_eq!(captured.count(&format!("arp[6:2] = 2 and arp src host {VIP} and arp dst host {VIP}"))?, 1);
    assert_eq!(captured.count(&format!("icmp6 and ip6[40] = 136 and src host {VIP6}"))?, 1);
    Ok(())
}

#[test]
fn another_holder_of_an_address_is_found() -> Result<()> {
    let cluster = two_machines()?;
    cluster.node("lvs2").ip(&format!("address add {VIP}/24 dev eth0\naddress add {VIP6}/64 dev eth0 nodad\n"))?;
    let mac_of = |name: &str| {
        cluster.node(name).in_network(|| {
            let eth0 = Client::open().expect("a socket").link("eth0").expect("a listing").expect("eth0");
            (eth0.index, eth0.mac.expect("an Ethernet address"))
        })
    };
    let (index, mac) = mac_of("lvs1")?;
    let (_, theirs) = mac_of("lvs2")?;
    let free = ["192.168.60.201", "fd00:60::201"].map(|ip| ip.parse().expect("an address"));
    cluster.node("lvs1").in_network(|| {
        for ip in [VIP, VIP6] {
            assert_eq!(holder(index, mac, ip, SOON).expect("asked"), Some(theirs), "{ip}");
        }
        let patience = Duration::from_millis(300);
        for ip in free {
            let asked = Instant::now();
            assert_eq!(holder(index, mac, ip, patience).expect("asked"), None, "{ip}");
            assert!(asked.elapsed() >= patience);
        }
        assert!(holder(999, mac, VIP, patience).is_err());
    })
}
