//! The IPVS client against the real kernel, with ipvsadm as the judge.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Instant;

use lab::{Cluster, LAN, Node, Plan, Result};
use lvs::ipvs::{
    Change, Destination, Family, Forward, Mark, Netmask, Persistence, Protocol, Refusal, SchedulerFlags, Service,
    ServiceKey, SyncDaemon, SyncRole, Table, Timeouts, Tunnel, TunnelChecksum, VirtualService, table_of,
};
use lvs::netlink::Namespace;
use lvs::netlink::ipvs::{Client, Handle};

fn director() -> Result<Cluster> {
    Cluster::new(Plan::default().plug("director", LAN, &["192.168.60.130/24", "2001:db8::130/64"]))
}

/// Does something with a client in the director's network.
fn with_client<T: Send>(node: &Node, work: impl FnOnce(&mut Client) -> T + Send) -> Result<T> {
    node.in_network(|| work(&mut Client::open().expect("this kernel has IPVS")))
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn scheduled(by: &str) -> Service {
    Service { scheduler: by.parse().expect("a name"), ..Service::default() }
}

fn mark(number: u32, family: Family) -> ServiceKey {
    ServiceKey::Mark { family, mark: Mark::new(number).expect("not 0") }
}

fn all_done(results: Vec<std::result::Result<(), Refusal>>) {
    for result in results {
        result.expect("carried out");
    }
}

fn additions(table: &Table) -> Vec<Change> {
    let mut changes = Vec::new();
    for (&key, VirtualService { service, destinations }) in table {
        changes.push(Change::AddService(key, service.clone()));
        changes.extend(destinations.iter().map(|(&at, &server)| Change::AddDestination(key, at, server)));
    }
    changes
}

/// Something of everything that the kernel can hold.
fn of_every_kind() -> Table {
    let masq = |weight| Destination::new(Forward::Masq, weight);
    let gate = Destination::new(Forward::Gate, 1);
    let tunnel = |tunnel| Destination::new(Forward::Tunnel(tunnel), 1);
    let keep = |timeout, netmask| Some(Persistence { timeout, netmask });
    let services = [
        (
            ServiceKey::tcp(at("192.0.2.1:80")),
            scheduled("wrr"),
            vec![
                ("10.0.0.1:8080", masq(3)),
                ("10.0.0.2:80", Destination { upper_threshold: 10, lower_threshold: 5, ..masq(0) }),
                ("10.0.0.3:80", Destination { weight: 2_147_483_647, ..gate }),
            ],
        ),
        (
            ServiceKey::udp(at("192.0.2.1:53")),
            Service { one_packet: true, ..scheduled("rr") },
            vec![
                ("10.0.0.1:53", tunnel(Tunnel::Ipip)),
                ("10.0.0.2:53", tunnel(Tunnel::Gue { port: 6080, checksum: TunnelChecksum::Remote })),
                ("10.0.0.3:53", tunnel(Tunnel::Gre { checksum: TunnelChecksum::Full })),
                ("[2001:db8::3]:53", tunnel(Tunnel::Ipip)),
            ],
        ),
        (
            ServiceKey::Address { protocol: Protocol::Sctp, at: at("192.0.2.1:9") },
            Service {
                scheduler_flags: SchedulerFlags { flag_1: true, flag_2: true, flag_3: false },
                ..scheduled("sh")
            },
            Vec::new(),
        ),
        (
            ServiceKey::tcp(at("[2001:db8::1]:443")),
            Service { persistence: keep(600, Netmask::Prefix(64.try_into().expect("not 0"))), ..scheduled("wlc") },
            vec![("[2001:db8::2]:443", gate)],
        ),
        (
            mark(4_000_000_000, Family::Inet),
            Service {
                persistence: keep(300, Netmask::Mask(Ipv4Addr::new(255, 255, 255, 0))),
                engine: Some("sip".parse().expect("a name")),
                ..scheduled("rr")
            },
            vec![("10.0.0.1:0", gate)],
        ),
        (mark(7, Family::Inet6), scheduled("lblcr"), vec![("[2001:db8::2]:0", gate)]),
    ];
    let servers = |list: Vec<(&str, Destination)>| list.into_iter().map(|(text, server)| (at(text), server)).collect();
    services
        .into_iter()
        .map(|(key, service, list)| (key, VirtualService { service, destinations: servers(list) }))
        .collect()
}

#[test]
fn what_is_added_is_listed_and_ipvsadm_sees_the_same() -> Result<()> {
    let cluster = director()?;
    let node = cluster.node("director");
    let wanted = of_every_kind();
    with_client(node, |client| {
        all_done(client.change(&additions(&wanted)));
        assert_eq!(client.table().expect("a table"), wanted);
        for (key, VirtualService { service, .. }) in &wanted {
            let one = client.service(key).expect("an answer").expect("the service");
            assert_eq!((&one.key, &one.service), (key, service));
        }
        assert_eq!(client.service(&mark(8, Family::Inet)).expect("an answer"), None);
        assert_eq!(client.destinations(&mark(8, Family::Inet)).expect("an answer"), []);
    })?;
    let mut saved: Vec<String> = node.run(&["ipvsadm", "-Sn"])?.lines().map(str::to_owned).collect();
    saved.sort();
    let mut expected = [
        "-A --sctp-service 192.0.2.1:9 -s sh -b sh-fallback,sh-port",
        // ipvsadm writes marks as signed numbers.
        "-A -f -294967296 -s rr -p 300 -M 255.255.255.0 --pe sip",
        "-A -f 7 -6 -s lblcr",
        "-A -t 192.0.2.1:80 -s wrr",
        "-A -t [2001:db8::1]:443 -s wlc -p 600 -M 64",
        "-A -u 192.0.2.1:53 -s rr -o",
        "-a -f -294967296 -r 10.0.0.1:0 -g -w 1",
        "-a -f 7 -6 -r [2001:db8::2]:0 -g -w 1",
        "-a -t 192.0.2.1:80 -r 10.0.0.1:8080 -m -w 3",
        "-a -t 192.0.2.1:80 -r 10.0.0.2:80 -m -w 0",
        "-a -t 192.0.2.1:80 -r 10.0.0.3:80 -g -w 2147483647",
        "-a -t [2001:db8::1]:443 -r [2001:db8::2]:443 -g -w 1",
        "-a -u 192.0.2.1:53 -r 10.0.0.1:53 -i -w 1 --tun-type ipip",
        "-a -u 192.0.2.1:53 -r 10.0.0.2:53 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum",
        "-a -u 192.0.2.1:53 -r 10.0.0.3:53 -i -w 1 --tun-type gre --tun-csum",
        "-a -u 192.0.2.1:53 -r [2001:db8::3]:53 -i -w 1 --tun-type ipip",
    ];
    expected.sort_unstable();
    assert_eq!(saved, expected);
    Ok(())
}

#[test]
fn every_change_does_what_the_model_does() -> Result<()> {
    let cluster = director()?;
    with_client(cluster.node("director"), |client| {
        let mut model = Table::new();
        let web = ServiceKey::tcp(at("192.0.2.1:80"));
        let dns = ServiceKey::udp(at("192.0.2.1:53"));
        let (first, second) = (at("10.0.0.1:80"), at("10.0.0.2:80"));
        let gate = |weight| Destination::new(Forward::Gate, weight);
        let changes = [
            Change::AddService(web, scheduled("rr")),
            Change::AddService(web, scheduled("wlc")),
            Change::EditService(dns, scheduled("rr")),
            Change::AddService(dns, scheduled("rr")),
            Change::EditService(web, Service { one_packet: true, ..scheduled("wrr") }),
            Change::EditService(web, scheduled("wrr")),
            Change::AddDestination(web, first, gate(1)),
            Change::AddDestination(web, first, gate(2)),
            Change::AddDestination(web, second, gate(1)),
            Change::EditDestination(web, first, Destination::new(Forward::Masq, 7)),
            Change::EditDestination(dns, first, gate(1)),
            Change::DeleteDestination(dns, first),
            Change::DeleteDestination(web, second),
            Change::DeleteDestination(web, second),
            Change::DeleteService(dns),
            Change::DeleteService(dns),
            Change::AddDestination(dns, first, gate(1)),
            Change::Zero(Some(web)),
            Change::Zero(Some(dns)),
            Change::Zero(None),
        ];
        let results = client.change(&changes);
        for (change, result) in changes.iter().zip(results) {
            let expected = lvs::ipvs::apply_to(&mut model, change).map_err(|refusal| refusal.0);
            assert_eq!(result.map_err(|refusal| refusal.errno), expected, "{change}");
        }
        assert_eq!(client.table().expect("a table"), model);
        assert_eq!(model[&web].destinations, BTreeMap::from([(first, Destination::new(Forward::Masq, 7))]));
        all_done(client.change(&[Change::Flush]));
        assert_eq!(client.table().expect("a table"), Table::new());
    })
}

#[test]
fn every_refusal_has_the_errno_and_the_words_of_its_cause() -> Result<()> {
    let cluster = director()?;
    with_client(cluster.node("director"), |client| {
        let web = ServiceKey::tcp(at("192.0.2.1:80"));
        let none = ServiceKey::tcp(at("192.0.2.9:80"));
        let gate = Destination::new(Forward::Gate, 1);
        let server = at("10.0.0.1:80");
        all_done(client.change(&[Change::AddService(web, scheduled("rr")), Change::AddDestination(web, server, gate)]));
        let prefix = Persistence { timeout: 300, netmask: Netmask::Prefix(200.try_into().expect("not 0")) };
        let gue = Destination::new(Forward::Tunnel(Tunnel::Gue { port: 0, checksum: TunnelChecksum::None }), 1);
        let add = |at, server| Change::AddDestination(web, at, server);
        let daemon = |interface: &str| SyncDaemon {
            role: SyncRole::Master,
            interface: interface.into(),
            sync_id: 0,
            max_length: None,
            group: None,
            port: None,
            ttl: None,
        };
        let sip = Service { engine: Some("nosuch".parse().expect("a name")), ..scheduled("rr") };
        let six = ServiceKey::tcp(at("[2001:db8::1]:80"));
        let refused = [
            (Change::AddService(web, scheduled("rr")), libc::EEXIST, "already exists"),
            (Change::AddService(none, scheduled("nosuch")), libc::ENOENT, "ip_vs_nosuch"),
            (Change::AddService(none, sip), libc::ENOENT, "ip_vs_pe_nosuch"),
            (
                Change::AddService(six, Service { persistence: Some(prefix), ..scheduled("rr") }),
                libc::EINVAL,
                "128 bits",
            ),
            (Change::EditService(none, scheduled("rr")), libc::ESRCH, "no such service"),
            (Change::DeleteService(none), libc::ESRCH, "no such service"),
            (Change::Zero(Some(none)), libc::ESRCH, "no such service"),
            (Change::AddDestination(none, server, gate), libc::ESRCH, "virtual service does not exist"),
            (add(server, gate), libc::EEXIST, "already exists"),
            (add(at("224.0.0.1:80"), gate), libc::EINVAL, "not unicast"),
            (add(at("[2001:db8::9]:80"), gate), libc::EINVAL, "tunnelling"),
            (add(at("10.0.0.2:80"), gue), libc::EINVAL, "UDP port"),
            (add(at("10.0.0.2:80"), Destination { weight: u32::MAX, ..gate }), libc::ERANGE, "weight"),
            (
                add(at("10.0.0.2:80"), Destination { upper_threshold: 1, lower_threshold: 2, ..gate }),
                libc::ERANGE,
                "threshold",
            ),
            (Change::EditDestination(web, at("10.0.0.2:80"), gate), libc::ENOENT, "no such real server"),
            (Change::DeleteDestination(web, at("10.0.0.2:80")), libc::ENOENT, "no such real server"),
            (Change::StopDaemon(SyncRole::Master), libc::ESRCH, "no such sync daemon"),
            (Change::StartDaemon(daemon("nosuch")), libc::ENODEV, "no such interface"),
            (
                Change::StartDaemon(SyncDaemon { group: Some(IpAddr::from([10, 0, 0, 1])), ..daemon("eth0") }),
                libc::EINVAL,
                "multicast",
            ),
            (Change::SetTimeouts(Timeouts { tcp: u32::MAX, tcp_fin: 0, udp: 0 }), libc::EINVAL, "longer"),
        ];
        // Once all in one go, and once each by itself.
        let changes: Vec<Change> = refused.iter().map(|(change, ..)| change.clone()).collect();
        let together = client.change(&changes);
        for ((change, errno, words), result) in refused.into_iter().zip(together) {
            let alone = client.change(std::slice::from_ref(&change)).pop();
            assert_eq!(alone, Some(result.clone()), "{change}");
            let refusal = result.expect_err(&change.to_string());
            assert_eq!((refusal.errno, &*refusal.change), (errno, &change), "{refusal}");
            assert!(refusal.to_string().contains(words), "{refusal}");
        }
        let table = client.table().expect("a table");
        assert_eq!(table.iter().map(|(key, s)| (*key, s.destinations.len())).collect::<Vec<_>>(), [(web, 1)]);
    })
}

#[test]
fn each_of_many_changes_has_its_own_result_in_its_own_place() -> Result<()> {
    let cluster = director()?;
    with_client(cluster.node("director"), |client| {
        let web = ServiceKey::tcp(at("192.0.2.1:80"));
        let server = |n: u16| SocketAddr::from(([10, 0, 0, 1], n));
        let add = |n| Change::AddDestination(web, server(n), Destination::new(Forward::Masq, 1));
        let mut changes = vec![Change::AddService(web, scheduled("rr"))];
        // Every seventh is refused; several batches, and one that ends with a refusal.
        changes.extend((1..=640).map(|n| if n % 7 == 0 { add(n - 1) } else { add(n) }));
        let results = client.change(&changes);
        assert_eq!(results.len(), changes.len());
        for (n, result) in results.iter().enumerate().skip(1) {
            let expected = (n % 7 == 0).then_some(libc::EEXIST);
            assert_eq!(result.as_ref().err().map(|refusal| refusal.errno), expected, "change {n}");
        }
        assert_eq!(client.destinations(&web).expect("a list").len(), 640 - 640 / 7);
    })
}

#[test]
fn answers_that_did_not_fit_into_the_socket_are_said_to_be_lost() -> Result<()> {
    let cluster = director()?;
    with_client(cluster.node("director"), |client| {
        let web = ServiceKey::tcp(at("192.0.2.1:80"));
        rustix::net::sockopt::set_socket_recv_buffer_size(&*client, 1).expect("a socket option");
        let changes = vec![Change::DeleteService(web); 64];
        let errnos: Vec<i32> =
            client.change(&changes).into_iter().map(|result| result.expect_err("no such service").errno).collect();
        assert_eq!(errnos[0], libc::ESRCH, "{errnos:?}");
        assert_eq!(errnos[63], libc::ENOBUFS, "{errnos:?}");
        assert!(errnos.iter().all(|errno| [libc::ESRCH, libc::ENOBUFS].contains(errno)), "{errnos:?}");
        // The socket hears again.
        all_done(client.change(&[Change::AddService(web, scheduled("rr"))]));
        assert_eq!(client.table().expect("a table").len(), 1);
    })
}

#[test]
fn sync_daemons_and_timeouts_are_set_and_told() -> Result<()> {
    let cluster = director()?;
    with_client(cluster.node("director"), |client| {
        let usual = Timeouts { tcp: 900, tcp_fin: 120, udp: 300 };
        assert_eq!(client.timeouts().expect("timeouts"), usual);
        all_done(client.change(&[Change::SetTimeouts(Timeouts { tcp: 100, tcp_fin: 0, udp: 17 })]));
        assert_eq!(client.timeouts().expect("timeouts"), Timeouts { tcp: 100, tcp_fin: 120, udp: 17 });

        let master = SyncDaemon {
            role: SyncRole::Master,
            interface: "eth0".into(),
            sync_id: 255,
            max_length: None,
            group: None,
            port: None,
            ttl: None,
        };
        let backup = SyncDaemon {
            role: SyncRole::Backup,
            sync_id: 7,
            max_length: Some(1400),
            group: Some("ff02::81".parse().expect("an address")),
            port: Some(9000),
            ttl: Some(3),
            ..master.clone()
        };
        all_done(client.change(&[Change::StartDaemon(backup.clone()), Change::StartDaemon(master.clone())]));
        let chosen = SyncDaemon {
            max_length: Some(1472),
            group: Some(IpAddr::from([224, 0, 0, 81])),
            port: Some(8848),
            ttl: Some(1),
            ..master.clone()
        };
        assert_eq!(client.daemons().expect("daemons"), [chosen, backup]);
        let again = client.change(&[Change::StartDaemon(master)]).pop().expect("one result");
        assert_eq!(again.expect_err("it runs").errno, libc::EEXIST);
        all_done(client.change(&[Change::StopDaemon(SyncRole::Master), Change::StopDaemon(SyncRole::Backup)]));
        assert_eq!(client.daemons().expect("daemons"), []);
        assert_eq!(client.info().expect("an answer").version >> 16, 1);
    })
}

#[test]
fn without_the_capability_the_caller_is_told_at_once() -> Result<()> {
    let cluster = director()?;
    let error = cluster.node("director").in_network(|| {
        lvs::daemon::privilege::reduce(None, lvs::daemon::privilege::CapabilitySet::empty()).expect("less is allowed");
        Client::open().expect_err("no CAP_NET_ADMIN")
    })?;
    assert_eq!(error.errno(), libc::EPERM);
    assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
    Ok(())
}

/// The library's other ways in: from outside of the namespace, entry by entry, from tasks.
#[test]
fn a_table_is_streamed_and_changed_from_another_namespace() -> Result<()> {
    let cluster = director()?;
    let namespace = cluster
        .node("director")
        .in_network(|| Namespace::at(Path::new("/proc/thread-self/ns/net")).expect("a namespace"))?;
    let wanted = large(1, 2_000);
    let mut client = Client::open_in(&namespace).expect("it may be entered");
    all_done(client.change(&additions(&wanted)));
    assert_eq!(client.table().expect("a table"), wanted);
    let elsewhere = Client::open().expect("this kernel has IPVS").table().expect("a table");
    assert!(elsewhere.is_empty(), "this thread has stayed where it was: {elsewhere:?}");

    let (key, servers) = wanted.first_key_value().map(|(key, s)| (*key, &s.destinations)).expect("one service");
    let streamed: std::result::Result<BTreeMap<_, _>, _> = client
        .stream_destinations(&key)
        .expect("a stream")
        .map(|row| row.map(|row| (row.at, row.destination)))
        .collect();
    assert_eq!(&streamed.expect("every row"), servers);
    // A stream that is given up leaves a socket that answers.
    assert!(client.stream_destinations(&key).expect("a stream").next().expect("a row").is_ok());
    assert_eq!(client.services().expect("a list").len(), 1);

    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let handle = Handle::of(client).expect("a thread");
    runtime.block_on(async {
        let (one, other) = (handle.clone(), handle.clone());
        let (mut entries, mut count) = (one.stream_destinations(key), 0);
        while let Some(entry) = entries.next().await {
            entry.expect("a row");
            count += 1;
        }
        assert_eq!(count, servers.len());
        drop(one.stream_destinations(key));
        let refused = other.change(vec![Change::DeleteService(key), Change::DeleteService(key)]).await.expect("asked");
        assert_eq!(refused[0], Ok(()));
        assert_eq!(refused[1].as_ref().map_err(|refusal| refusal.errno), Err(libc::ESRCH));
        assert!(handle.table().await.expect("a table").is_empty());
    });
    Ok(())
}

/// Tables of the baseline (spec/ipvs.md part D).
#[test]
fn large_tables_are_whole() -> Result<()> {
    for (services, servers) in [(1, 10_000), (1_000, 10)] {
        let cluster = director()?;
        let node = cluster.node("director");
        let wanted = large(services, servers);
        with_client(node, |client| {
            let start = Instant::now();
            all_done(client.change(&additions(&wanted)));
            let (added, start) = (start.elapsed(), Instant::now());
            let listed = client.listing().expect("a listing");
            println!(
                "    {services} services with {servers} servers: added in {added:?}, listed in {:?}",
                start.elapsed()
            );
            assert_eq!(listed.len(), wanted.len());
            assert_eq!(table_of(&listed), wanted);
            // The servers of many services are asked for while others are read.
            assert_eq!(client.table().expect("a table"), wanted);
        })?;
        let shown = node.run(&["sh", "-c", "ipvsadm -Ln | wc -l"])?;
        let lines = 3 + usize::from(services) * (1 + usize::from(servers));
        assert_eq!(shown.trim().parse(), Ok(lines));
    }
    Ok(())
}

#[test]
fn ten_thousand_servers_are_added_and_listed_faster_than_by_ipvsadm() -> Result<()> {
    let cluster = Cluster::new(Plan::default().plug("ours", LAN, &["192.168.60.130/24"]).plug(
        "theirs",
        LAN,
        &["192.168.60.131/24"],
    ))?;
    let (ours, theirs) = (cluster.node("ours"), cluster.node("theirs"));
    let wanted = large(100, 100);
    let (added, listed) = with_client(ours, |client| {
        let start = Instant::now();
        all_done(client.change(&additions(&wanted)));
        let (added, start) = (start.elapsed(), Instant::now());
        assert_eq!(client.table().expect("a table"), wanted);
        (added, start.elapsed())
    })?;
    theirs.write("/run/saved", &ours.run(&["ipvsadm", "-Sn"])?)?;
    let start = Instant::now();
    theirs.run(&["sh", "-c", "ipvsadm -R </run/saved"])?;
    let (restored, start) = (start.elapsed(), Instant::now());
    theirs.run(&["sh", "-c", "ipvsadm -Ln >/run/listed"])?;
    let shown = start.elapsed();
    assert_eq!(with_client(theirs, |client| client.table().expect("a table"))?, wanted);
    println!(
        "    added in {added:?}, by ipvsadm -R in {restored:?}; listed in {listed:?}, by ipvsadm -Ln in {shown:?}"
    );
    assert!(added < restored && listed < shown);
    Ok(())
}

fn large(services: u16, servers: u16) -> Table {
    let address = |net: u8, number: u16, port| {
        let [high, low] = number.to_be_bytes();
        SocketAddr::from(([10, net, high, low], port))
    };
    let servers = |service: u16| {
        let server = move |n: u16| (address(2, service, 1 + n), Destination::new(Forward::Masq, 1));
        (0..servers).map(server).collect()
    };
    (0..services)
        .map(|n| {
            let entry = VirtualService { service: scheduled("rr"), destinations: servers(n) };
            (ServiceKey::tcp(address(1, n, 80)), entry)
        })
        .collect()
}
